use super::*;

fn parsed(line: &[&str], variables: &[(&str, &str)]) -> Result<Cli, Failure> {
    let line: Vec<OsString> = line.iter().map(OsString::from).collect();
    parse(&line, &|name| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.into())
    })
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn settings_reach_the_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "[proxy]\nport = 1234\ncache-size = '5M'").unwrap();
    let config = format!("--config={}", file.display());
    let cli = parsed(
        &["interplanar", "proxy", &config],
        &[("INTERPLANAR_PROXY_UPSTREAM", "http://one http://two")],
    );
    let Command::Proxy(args) = cli.unwrap().command else {
        panic!("another sub-command")
    };
    assert_eq!(args.port, 1234);
    assert_eq!(args.cache_size, 5 << 20);
    assert_eq!(args.upstreams, ["http://one", "http://two"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let line = [
        "interplanar",
        "proxy",
        "--config=/nonexistent/settings.toml",
    ];
    assert_eq!(parsed(&line, &[]).unwrap_err().exit, Exit::Usage);
    for line in [
        ["interplanar", "proxy"].as_slice(),
        &["interplanar", "porxy"],
    ] {
        let failure = parsed(line, &[("INTERPLANAR_CONFIG", "/dev/null")]).unwrap_err();
        assert_eq!(failure.report(), ExitCode::from(2));
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    assert_eq!(failure.report(), ExitCode::SUCCESS);
}
