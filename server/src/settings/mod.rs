//! Settings: one mechanism for every sub-command.
//!
//! A setting is a long flag of a sub-command. Its value comes from the first of these that has one:
//!
//! 1. the command line, `--flag VALUE`;
//! 2. the environment, `INTERPLANAR_<SUB>_<FLAG>` (upper case, `-` becomes `_`; a flag that may be
//!    repeated takes several values, separated by white space);
//! 3. the TOML file, `flag = …` in the section `[<sub>]` (string, integer, float or boolean; an
//!    array for a repeated flag);
//! 4. the flag's own default.
//!
//! The file is `--config FILE`, else `$INTERPLANAR_CONFIG`, else
//! `$XDG_CONFIG_HOME/interplanar/config.toml` (`~/.config` if the variable is not set), else
//! `/etc/interplanar.toml`. Only the first that exists is read. A file named by `--config` or the
//! environment must exist. An unknown section or key is an error, also in sections that are not in
//! use.
//!
//! Restrictions: arguments without a long flag and the options of the program itself (`-v`,
//! `--config`) are not settings.
//! `--help` shows the values from environment and file as defaults.
//!
//! ```
//! use clap::{Arg, ArgAction, Command};
//! use interplanar_server::settings::{File, layer};
//!
//! let command = Command::new("interplanar")
//!     .subcommand(Command::new("proxy").arg(
//!         Arg::new("upstream").long("upstream").action(ArgAction::Append)));
//! let text = "[proxy]\nupstream = ['http://one', 'http://two']";
//! let file = File::parse("example.toml", text).unwrap();
//! let command = layer(command, Some(&file), &|_| None).unwrap();
//! let matches = command.get_matches_from(["interplanar", "proxy"]);
//! let (_, proxy) = matches.subcommand().unwrap();
//! assert_eq!(proxy.get_many::<String>("upstream").unwrap().count(), 2);
//! ```

mod file;
mod layer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use file::{File, locate};
pub use layer::{layer, variable_name};

/// Why the settings can't be used. The program ends with exit code 2.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The settings file can't be read.
    #[error("can't read the settings file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error message.
        reason: String,
    },
    /// The file is not TOML.
    #[error("can't read the settings file {}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The position and the error, from the TOML parser.
        reason: String,
    },
    /// A section that is not a sub-command, or a key outside any section.
    #[error("{}: there is no command named \"{section}\"; `interplanar --help` lists all", path.display())]
    UnknownSection {
        /// The file.
        path: PathBuf,
        /// The section's name.
        section: String,
    },
    /// A key that is not a flag of its sub-command.
    #[error("{}: [{section}] has no setting named \"{key}\"; `interplanar {section} --help` lists all", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The sub-command.
        section: String,
        /// The key.
        key: String,
    },
    /// A value that the flag doesn't accept.
    #[error("{origin}: {reason}")]
    Value {
        /// The file with section and key, or the environment variable.
        origin: String,
        /// The expected value.
        reason: String,
    },
}
