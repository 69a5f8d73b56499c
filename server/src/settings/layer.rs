//! Makes the values of environment and file the defaults of the flags.
//!
//! clap itself prefers the command line to defaults. It keeps defaults as `'static` strings, so
//! values from environment and file are leaked: a few hundred bytes per run.

use super::{File, SettingsError};
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;

/// Returns the environment variable of a flag: `INTERPLANAR_PROXY_CACHE_SIZE` for `--cache-size` of
/// `proxy`.
#[must_use]
pub fn variable_name(sub_command: &str, flag: &str) -> String {
    format!("INTERPLANAR_{sub_command}_{flag}")
        .replace('-', "_")
        .to_uppercase()
}

/// Returns `command` with the settings of environment and `file` as defaults of its sub-commands'
/// flags. `variable` reads an environment variable.
///
/// # Errors
/// The file has an unknown section or key, or its flag doesn't accept a value from file or
/// environment.
pub fn layer(
    command: Command,
    file: Option<&File>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Command, SettingsError> {
    if let Some(file) = file {
        check_names(&command, file)?;
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut error = None;
    let command = names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |sub| {
            sub.mut_args(|arg| match settled(name, &arg, file, variable) {
                Ok(Some(values)) => with_default(arg, values),
                Ok(None) => arg,
                Err(reason) => {
                    error.get_or_insert(reason);
                    arg
                }
            })
        })
    });
    error.map_or(Ok(command), Err)
}

fn check_names(command: &Command, file: &File) -> Result<(), SettingsError> {
    for (section, keys) in &file.sections {
        let Some(sub) = command
            .get_subcommands()
            .find(|sub| sub.get_name() == section)
        else {
            return Err(SettingsError::UnknownSection {
                path: file.path.clone(),
                section: section.clone(),
            });
        };
        for key in keys.keys() {
            if !sub
                .get_arguments()
                .any(|arg| is_setting(arg) && arg.get_long() == Some(key))
            {
                let (section, key) = (section.clone(), key.clone());
                return Err(SettingsError::UnknownKey {
                    path: file.path.clone(),
                    section,
                    key,
                });
            }
        }
    }
    Ok(())
}

fn is_setting(arg: &Arg) -> bool {
    matches!(
        arg.get_action(),
        ArgAction::Set | ArgAction::Append | ArgAction::SetTrue | ArgAction::SetFalse
    ) && !arg.is_global_set()
}

/// Returns the values that environment or file set for one flag.
fn settled(
    sub_command: &str,
    arg: &Arg,
    file: Option<&File>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Vec<String>>, SettingsError> {
    let Some(flag) = arg.get_long().filter(|_| is_setting(arg)) else {
        return Ok(None);
    };
    let several = matches!(arg.get_action(), ArgAction::Append);
    let name = variable_name(sub_command, flag);
    let (origin, values) = if let Some(value) = variable(&name) {
        let value = value.into_string().map_err(|_| SettingsError::Value {
            origin: name.clone(),
            reason: "expected text in UTF-8".to_owned(),
        })?;
        let values = if several {
            value.split_whitespace().map(str::to_owned).collect()
        } else {
            vec![value]
        };
        (name, values)
    } else if let Some((file, values)) =
        file.and_then(|file| Some((file, file.sections.get(sub_command)?.get(flag)?)))
    {
        (
            format!("{}: [{sub_command}] {flag}", file.path.display()),
            values.clone(),
        )
    } else {
        return Ok(None);
    };
    if !several && values.len() != 1 {
        return Err(SettingsError::Value {
            origin,
            reason: "expected one value".to_owned(),
        });
    }
    check_values(arg, flag, &values).map_err(|reason| SettingsError::Value { origin, reason })?;
    Ok(Some(values))
}

/// Checks values with the flag's own parser, so that the error can name the file or variable.
fn check_values(arg: &Arg, flag: &str, values: &[String]) -> Result<(), String> {
    let probe = Arg::new(arg.get_id().clone())
        .long(leak(flag.to_owned()))
        .value_parser(arg.get_value_parser().clone())
        .action(ArgAction::Append)
        .num_args(1);
    Command::new("settings")
        .no_binary_name(true)
        .disable_help_flag(true)
        .arg(probe)
        .try_get_matches_from(values.iter().map(|value| format!("--{flag}={value}")))
        .map(|_| ())
        .map_err(|error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        })
}

fn with_default(arg: Arg, values: Vec<String>) -> Arg {
    if values.is_empty() {
        return arg;
    }
    arg.required(false)
        .default_values(values.into_iter().map(leak))
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
