//! Logs to standard error; in colour only on a terminal and if NO_COLOR is not set.
//!
//! Values in log lines can come from strangers: the path of a request, a URL in a narinfo. So every
//! field of every line is escaped and shortened here, and no log call has to do so.

use super::exit;
use crate::printable::short;
use crate::proxy::EXPLAIN;
use std::error::Error;
use std::fmt::{self, Debug};
use std::io::IsTerminal as _;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Most bytes of a value in a log line. The longest honest one lists all forms of an item.
const MAX_VALUE: usize = 1000;

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
    let filter = filter.unwrap_or_else(|| EnvFilter::new(level));
    let in_colour = std::io::stderr().is_terminal() && !no_color;
    subscriber(filter, std::io::stderr, in_colour).init();
    if ignored {
        tracing::warn!("ignoring INTERPLANAR_LOG: it is not a valid log filter");
    }
}

/// Returns what writes the log lines.
fn subscriber<W>(filter: EnvFilter, writer: W, in_colour: bool) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .fmt_fields(SafeFields)
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(in_colour)
        .with_target(false)
        .finish()
}

/// Formats the message and the fields of a log line, printable and not too long.
struct SafeFields;

impl<'w> FormatFields<'w> for SafeFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut fields_writer = FieldsWriter {
            writer,
            separator: "",
            result: Ok(()),
        };
        fields.record(&mut fields_writer);
        fields_writer.result
    }
}

struct FieldsWriter<'w> {
    writer: Writer<'w>,
    separator: &'static str,
    result: fmt::Result,
}

impl FieldsWriter<'_> {
    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        let separator = std::mem::replace(&mut self.separator, " ");
        match (name, self.writer.has_ansi_escapes()) {
            ("message", _) => write!(self.writer, "{separator}{value}"),
            // The name in italics and the sign dimmed.
            (_, true) => write!(
                self.writer,
                "{separator}\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}"
            ),
            (_, false) => write!(self.writer, "{separator}{name}={value}"),
        }
    }
}

impl Visit for FieldsWriter<'_> {
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let causes = std::iter::successors(Some(error), |error| (*error).source());
        self.record_debug(field, &format_args!("{}", exit::chain(causes)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            let value = short(format_args!("{value:?}"), MAX_VALUE);
            self.result = self.write(field.name(), &value);
        }
    }
}

/// Collects what is logged on this thread until the guard is dropped.
#[cfg(test)]
pub(crate) fn capture() -> (
    std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    tracing::subscriber::DefaultGuard,
) {
    let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let writer = std::sync::Arc::clone(&log);
    let writer = move || SharedLog(std::sync::Arc::clone(&writer));
    let subscriber = subscriber(EnvFilter::new("debug"), writer, false);
    (log, tracing::subscriber::set_default(subscriber))
}

#[cfg(test)]
struct SharedLog(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl std::io::Write for SharedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_printable_line_of_bounded_length() {
        let path = format!("/{}\u{202e}", "a".repeat(9000));
        let error = anyhow::anyhow!("first\nline").context("\u{1b}[2Jouter");
        let (log, guard) = capture();
        tracing::warn!(path, %path, ?path, "can't answer {path}");
        tracing::error!(
            error = error.as_ref() as &dyn Error,
            text = "a\u{202e}b",
            "short"
        );
        drop(guard);
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].len() < 5000, "{}", lines[0].len());
        assert_eq!(lines[0].matches("more characters)").count(), 4);
        let expected = r#"short error=\u{1b}[2Jouter: first\nline text="a\u{202e}b""#;
        assert!(lines[1].ends_with(expected), "{}", lines[1]);
        assert!(!log.contains(['\u{1b}', '\u{202e}']));
    }
}
