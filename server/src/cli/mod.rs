//! The command line: the sub-commands, and what they share (settings, logs, signals, exit codes).
//!
//! To add a sub-command, declare its `pub mod` with `Args` (a [`clap::Args`]) and
//! `run(Args, Context) -> Result<(), Failure>`, and add its line to `sub_commands!` below.
//! Its flags then also work as environment variables and settings ([`crate::settings`]).

pub mod add;
pub mod cat;
pub mod du;
mod exit;
pub mod fsck;
pub mod gc;
pub mod get;
pub mod import;
pub mod installed;
mod logging;
pub mod ls;
pub mod proxy;
pub mod publish;
pub mod run;
mod signals;
pub mod snapshot;
pub mod substitute;
#[cfg(test)]
mod tests;
pub mod verify;

use crate::settings::{self, File};
use crate::substitute::handover;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use exit::{Exit, Failure};
#[cfg(test)]
pub(crate) use logging::capture;
pub use signals::Context;

/// Share Guix and Nix substitutes over IPFS.
#[derive(Debug, Parser)]
#[command(name = "interplanar", version, arg_required_else_help = true, after_help = SETTINGS_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const SETTINGS_HELP: &str = "\
Each flag of a command can also be set in the environment (INTERPLANAR_PROXY_PORT=8181) or in the
settings file (port = 8181 in the section [proxy]). Separate several values in the environment by
spaces; in the file, write a list. The command line wins, then the environment, then the file.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 verification failed, 4 not found.";

/// The heading of the options below in `--help`.
const GLOBAL: &str = "Options of every command";

/// Options of every sub-command.
#[derive(Debug, clap::Args)]
struct Global {
    /// Settings file, in TOML [default: $INTERPLANAR_CONFIG, else interplanar/config.toml in the
    /// user's configuration folder, else /etc/interplanar.toml].
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Log more; twice, log everything. To select by module, set $INTERPLANAR_LOG to a filter such
    /// as "info,interplanar_server::proxy=debug".
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
    /// Log errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    quiet: bool,
}

/// One line per sub-command: its variant and its module. The help text is that of the module's
/// `Args`.
macro_rules! sub_commands {
    ($($variant:ident => $module:ident),* $(,)?) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $($variant($module::Args)),*
        }

        impl Command {
            async fn run(self, context: Context) -> Result<(), Failure> {
                match self {
                    $(Self::$variant(args) => $module::run(args, context).await),*
                }
            }
        }
    };
}

sub_commands! {
    Publish => publish,
    Proxy => proxy,
    Substitute => substitute,
    Get => get,
    Cat => cat,
    Ls => ls,
    Verify => verify,
    Add => add,
    Import => import,
    Du => du,
    Gc => gc,
    Fsck => fsck,
    Snapshot => snapshot,
    Run => run,
}

/// Parses `arguments` (the program's name first), runs the sub-command and reports how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(reason) = handover::to_real_guix(&arguments) {
        return Failure::from(anyhow::anyhow!(reason)).report();
    }
    let cli = match parse(&arguments, &|name| std::env::var_os(name)) {
        Ok(cli) => cli,
        Err(failure) => return failure.report(),
    };
    let server = matches!(cli.command, Command::Publish(_) | Command::Proxy(_));
    let explain = matches!(&cli.command, Command::Get(args) if args.explain);
    logging::start(cli.global.verbose, cli.global.quiet, server, explain);
    match signals::run(|context| cli.command.run(context)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn parse(
    arguments: &[OsString],
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Cli, Failure> {
    let file = match settings::locate(arguments, variable) {
        Some(path) => Some(File::read(&path).map_err(Failure::usage)?),
        None => None,
    };
    let command =
        settings::layer(Cli::command(), file.as_ref(), variable).map_err(Failure::usage)?;
    let matches = command.try_get_matches_from(arguments)?;
    Ok(Cli::from_arg_matches(&matches)?)
}
