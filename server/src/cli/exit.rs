//! How a sub-command ends: its exit code and its error message.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit codes of the program; they are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: the command failed.
    Failed,
    /// 2: the command line or a setting is wrong.
    Usage,
    /// 3: data doesn't match its hash or signature.
    Verification,
    /// 4: nobody has the requested data.
    NotFound,
    /// 128 + the signal's number: stopped by a signal.
    Signal(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Verification => 3,
            Self::NotFound => 4,
            Self::Signal(number) => number.saturating_add(128),
        }
    }
}

/// Why a sub-command ended early. `?` converts any error to one with [`Exit::Failed`].
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error, printed with its causes.
    pub error: anyhow::Error,
}

impl Failure {
    /// An error with exit code 2.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
        }
    }

    /// An error with exit code 3.
    pub fn verification(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Verification,
            error: error.into(),
        }
    }

    /// An error with exit code 4.
    pub fn not_found(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::NotFound,
            error: error.into(),
        }
    }

    /// Prints the error to standard error and returns the exit code. For an error of clap, prints
    /// it in clap's colours; help goes to standard output. If the reader of our output has closed
    /// it (`interplanar ls … | head`), prints nothing: that isn't an error.
    pub(super) fn report(self) -> ExitCode {
        if let Some(error) = self.error.downcast_ref::<clap::Error>() {
            // There is nothing left to do if even this can't be printed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                Exit::Usage.code()
            } else {
                0
            });
        }
        let broken_pipe = self
            .error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if broken_pipe {
            return ExitCode::SUCCESS;
        }
        if !matches!(self.exit, Exit::Signal(_)) {
            let _ = writeln!(io::stderr(), "interplanar: {}", self.text());
        }
        ExitCode::from(self.exit.code())
    }

    /// Returns the error with its causes. Many errors name their cause themselves, and such a cause
    /// is not repeated.
    #[must_use]
    pub fn text(&self) -> String {
        chain(self.error.chain())
    }
}

/// Joins an error and its causes, without those that end the text before them.
pub(super) fn chain<'a>(errors: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut text = String::new();
    for error in errors {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            exit: Exit::Failed,
            error: error.into(),
        }
    }
}
