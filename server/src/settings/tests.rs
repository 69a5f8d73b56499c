use super::*;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;

fn command() -> Command {
    Command::new("interplanar")
        .arg(Arg::new("config").long("config").global(true))
        .subcommand(
            Command::new("proxy")
                .arg(
                    Arg::new("port")
                        .long("port")
                        .value_parser(clap::value_parser!(u16))
                        .default_value("8181"),
                )
                .arg(
                    Arg::new("upstream")
                        .long("upstream")
                        .action(ArgAction::Append)
                        .required(true),
                )
                .arg(Arg::new("cache-size").long("cache-size"))
                .arg(
                    Arg::new("offline")
                        .long("offline")
                        .action(ArgAction::SetTrue),
                ),
        )
}

fn matches(
    line: &[&str],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<ArgMatches, SettingsError> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let file = File::parse("test.toml", file)?;
    let command = layer(command(), Some(&file), &|name| {
        variables.get(name).map(OsString::from)
    })?;
    let line = ["interplanar", "proxy"].iter().chain(line);
    Ok(command
        .try_get_matches_from(line)
        .unwrap()
        .remove_subcommand()
        .unwrap()
        .1)
}

fn strings(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches
        .get_many::<String>(name)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "[proxy]\nport = 3\nupstream = ['http://file/1', 'http://file/2']";
    let variables = [
        ("INTERPLANAR_PROXY_PORT", "2"),
        ("INTERPLANAR_PROXY_UPSTREAM", "http://env/1 http://env/2"),
    ];
    let line = ["--port=1", "--upstream=http://flag"];
    type Row<'a> = (
        &'a [&'a str],
        &'a [(&'a str, &'a str)],
        &'a str,
        u16,
        &'a [&'a str],
    );
    let table: [Row<'_>; 5] = [
        (&line, &variables, file, 1, &["http://flag"]),
        (&line, &[], file, 1, &["http://flag"]),
        (&[], &variables, file, 2, &["http://env/1", "http://env/2"]),
        (&[], &[], file, 3, &["http://file/1", "http://file/2"]),
        (&["--upstream=http://flag"], &[], "", 8181, &["http://flag"]),
    ];
    for (line, variables, file, port, upstreams) in table {
        let matches = matches(line, variables, file).unwrap();
        assert_eq!(matches.get_one::<u16>("port"), Some(&port));
        assert_eq!(strings(&matches, "upstream"), upstreams);
    }
}

#[test]
fn a_switch_is_a_boolean() {
    let upstream = ["--upstream=http://flag"];
    assert!(
        matches(&upstream, &[], "[proxy]\noffline = true")
            .unwrap()
            .get_flag("offline")
    );
    assert!(
        !matches(&upstream, &[], "[proxy]\noffline = false")
            .unwrap()
            .get_flag("offline")
    );
    assert!(
        matches(&upstream, &[("INTERPLANAR_PROXY_OFFLINE", "true")], "")
            .unwrap()
            .get_flag("offline")
    );
    let switched = ["--upstream=http://flag", "--offline"];
    assert!(
        matches(&switched, &[], "[proxy]\noffline = false")
            .unwrap()
            .get_flag("offline")
    );
}

#[test]
fn unknown_names_are_errors_that_name_them() {
    let error = |file| matches(&[], &[], file).unwrap_err();
    let (path, section) = (PathBuf::from("test.toml"), "proxy".to_owned());
    assert_eq!(
        error("[proxy]\nupstraem = 'x'"),
        SettingsError::UnknownKey {
            path: path.clone(),
            section: section.clone(),
            key: "upstraem".to_owned()
        }
    );
    // The program's own options are no settings of a sub-command.
    assert_eq!(
        error("[proxy]\nconfig = 'x'"),
        SettingsError::UnknownKey {
            path: path.clone(),
            section,
            key: "config".to_owned()
        }
    );
    for file in ["[porxy]\nport = 1", "porxy = 1"] {
        assert_eq!(
            error(file),
            SettingsError::UnknownSection {
                path: path.clone(),
                section: "porxy".to_owned()
            }
        );
    }
}

#[test]
fn wrong_values_are_errors_that_name_their_source() {
    let text = |variables, file| matches(&[], variables, file).unwrap_err().to_string();
    let error = text(&[], "[proxy]\nport = 99999");
    assert!(
        error.starts_with("test.toml: [proxy] port: invalid value '99999'"),
        "{error}"
    );
    let error = text(&[("INTERPLANAR_PROXY_PORT", "http")], "");
    assert!(
        error.starts_with("INTERPLANAR_PROXY_PORT: invalid value 'http'"),
        "{error}"
    );
    assert_eq!(
        text(&[], "[proxy]\nport = [1, 2]"),
        "test.toml: [proxy] port: expected one value"
    );
    assert!(matches!(
        matches(&[], &[], "[proxy]\nport = 1979-05-27"),
        Err(SettingsError::Value { .. })
    ));
    assert!(matches!(
        matches(&[], &[], "[proxy\n"),
        Err(SettingsError::Syntax { .. })
    ));
}

#[test]
fn the_named_file_is_used_or_else_the_first_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let user = folder.path().join("interplanar/config.toml");
    let locate = |line: &[&str], variables: &[(&str, &str)]| {
        let line: Vec<OsString> = line.iter().map(OsString::from).collect();
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        locate(&line, &|name| variables.get(name).map(OsString::from))
    };
    let home = [("XDG_CONFIG_HOME", folder.path().to_str().unwrap())];
    assert_ne!(locate(&["interplanar"], &home), Some(user.clone()));
    std::fs::create_dir(user.parent().unwrap()).unwrap();
    std::fs::write(&user, "").unwrap();
    assert_eq!(locate(&["interplanar", "proxy"], &home), Some(user));
    let variables = [home[0], ("INTERPLANAR_CONFIG", "/named/by/variable")];
    assert_eq!(
        locate(&["interplanar"], &variables),
        Some("/named/by/variable".into())
    );
    for line in [
        ["interplanar", "--config", "/named"].as_slice(),
        &["interplanar", "proxy", "--config=/named"],
    ] {
        assert_eq!(locate(line, &variables), Some("/named".into()));
    }
    assert_eq!(
        locate(&["interplanar", "--", "--config=/named"], &variables),
        Some("/named/by/variable".into())
    );
}

#[test]
fn a_named_file_must_exist() {
    assert!(matches!(
        File::read("/nonexistent/settings.toml".as_ref()),
        Err(SettingsError::Unreadable { .. })
    ));
}
