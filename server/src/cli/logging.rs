//! Logs to standard error; in colour only on a terminal and if NO_COLOR is not set.

use crate::proxy::EXPLAIN;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts the log for `-v` (given so many times) and `-q`. `$INTERPLANAR_LOG`, a filter of the
/// `tracing` crate, overrides both. By default a server logs its work. Other commands log warnings
/// only, because their output tells the rest, unless they `explain` what they do.
pub(super) fn start(verbose: u8, quiet: bool, server: bool, explain: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) if server => "info",
        (false, 0) => "warn",
        (false, 1) => "info,interplanar_server=debug,interplanar_core=debug",
        (false, _) => "debug,interplanar_server=trace,interplanar_core=trace",
    };
    let mut level = String::from(level);
    if explain {
        level.push(',');
        level.push_str(EXPLAIN);
        level.push_str("=debug");
    }
    let set = std::env::var("INTERPLANAR_LOG")
        .ok()
        .filter(|filter| !filter.is_empty());
    let filter = set
        .as_deref()
        .and_then(|filter| EnvFilter::try_new(filter).ok());
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ignored = set.is_some() && filter.is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(level)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        .with_target(false)
        .init();
    if ignored {
        tracing::warn!("ignoring INTERPLANAR_LOG: it is not a valid log filter");
    }
}
