//! Errors of stores. The messages are for the operator's log; clients never see them.

use std::io;
use std::path::{Path, PathBuf};

use crate::nar_dump::DumpError;
use crate::system_error::reason;

/// Why a store could not be opened or read.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The store that the operator named doesn't exist.
    #[error("can't open the store: there is no {path}; {advice}")]
    NotAStore {
        /// The file that was looked for.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The operating system refused an access.
    #[error("can't read {path}: {}", reason(*kind))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// SQLite failed, for the reason in its message.
    #[error("can't read the store's database: {0}")]
    Database(String),
    /// A database row, a narinfo or a derivation is malformed.
    #[error("{path} is malformed: expected {expected}")]
    Malformed {
        /// The store item or file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// The item was deleted after it was found, for example by garbage collection.
    #[error("{0} doesn't exist, or was deleted meanwhile")]
    Gone(PathBuf),
    /// The files differ from the registered or hashed ones.
    #[error("{0} has changed since it was hashed")]
    Changed(String),
    /// All files of the item in a binary cache are missing or in unsupported compressions.
    #[error("can't read {0}: all its files are missing or have an unsupported compression")]
    Unreadable(String),
    /// The item's tree can't be written as a NAR.
    #[error(transparent)]
    Dump(DumpError),
    /// A compressed NAR is damaged.
    #[error("can't decompress {path}: {reason}")]
    Decompress {
        /// The compressed file.
        path: PathBuf,
        /// The reason of the decoder.
        reason: String,
    },
    /// The writer failed that gets the NAR.
    #[error("can't write the archive: {0}")]
    Write(io::ErrorKind),
    /// A file or folder has no name that a store item can have.
    #[error("can't publish \"{path}\": {reason}")]
    Tree {
        /// The file or folder.
        path: PathBuf,
        /// Why it can't be published.
        reason: &'static str,
    },
}

impl SourceError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            kind: error.kind(),
        }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, expected: &'static str) -> Self {
        Self::Malformed {
            path: path.into(),
            expected,
        }
    }
}

impl From<rusqlite::Error> for SourceError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<DumpError> for SourceError {
    fn from(error: DumpError) -> Self {
        match error {
            DumpError::Write(kind) => Self::Write(kind),
            DumpError::Missing(path) => Self::Gone(path),
            other => Self::Dump(other),
        }
    }
}
