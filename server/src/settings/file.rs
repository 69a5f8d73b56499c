//! The TOML file: finds it, and reads its sections as lists of strings.

use super::SettingsError;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The system-wide file, read when no other exists.
const SYSTEM_FILE: &str = "/etc/interplanar.toml";

/// A settings file. Each section maps a key to its values, written as on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub(super) path: PathBuf,
    pub(super) sections: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl File {
    /// Reads and parses the file at `path`.
    ///
    /// # Errors
    /// The file can't be read, is not TOML, or has a value that no setting can have (a date, or a
    /// table in a section).
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|error| SettingsError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Self::parse(path, &text)
    }

    /// Parses `text`. `path` is used only in errors.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Result<Self, SettingsError> {
        let path = path.into();
        let table: toml::Table =
            text.parse()
                .map_err(|error: toml::de::Error| SettingsError::Syntax {
                    path: path.clone(),
                    reason: error.to_string(),
                })?;
        let mut sections = BTreeMap::new();
        for (section, value) in table {
            let toml::Value::Table(keys) = value else {
                return Err(SettingsError::UnknownSection { path, section });
            };
            let mut values = BTreeMap::new();
            for (key, value) in keys {
                let Some(list) = strings(&value) else {
                    let origin = format!("{}: [{section}] {key}", path.display());
                    return Err(SettingsError::Value {
                        origin,
                        reason: EXPECTED.to_owned(),
                    });
                };
                values.insert(key, list);
            }
            sections.insert(section, values);
        }
        Ok(Self { path, sections })
    }
}

const EXPECTED: &str = "expected a string, a number, a boolean or an array of these";

fn strings(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::Array(values) => values.iter().map(scalar).collect(),
        value => Some(vec![scalar(value)?]),
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Returns the settings file to read: the one named by `arguments` (`--config FILE`) or the
/// environment, else the first default file that exists. `variable` reads an environment variable.
#[must_use]
pub fn locate(
    arguments: &[OsString],
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let set = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = named(arguments).or_else(|| set("INTERPLANAR_CONFIG")) {
        return Some(path);
    }
    let home = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    home.map(|home| home.join("interplanar/config.toml"))
        .into_iter()
        .chain([PathBuf::from(SYSTEM_FILE)])
        .find(|path| path.exists())
}

/// Returns the last `--config FILE` or `--config=FILE` before `--`, as clap does.
fn named(arguments: &[OsString]) -> Option<PathBuf> {
    let mut found = None;
    let mut arguments = arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--") => break,
            Some("--config") => found = arguments.next().map(PathBuf::from),
            Some(text) => {
                if let Some(path) = text.strip_prefix("--config=") {
                    found = Some(PathBuf::from(path));
                }
            }
            None => {}
        }
    }
    found
}
