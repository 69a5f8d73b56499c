//! What can go wrong between a store and whoever reads it. The messages are for the operator's log, never for strangers.

use std::io;
use std::path::{Path, PathBuf};

use crate::nar_dump::DumpError;

/// Why a store could not be opened, asked or dumped.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no store where the operator said that one is.
    #[error("{path}: {expected}")]
    NotAStore {
        /// The file or folder that was looked for.
        path: PathBuf,
        /// What should have been there.
        expected: &'static str,
    },
    /// The operating system refused an access.
    #[error("{path}: {kind}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// SQLite refused a query; its own words.
    #[error("store database: {0}")]
    Database(String),
    /// A database row, a narinfo or a derivation isn't what the format says.
    #[error("{path}: {expected}")]
    Malformed {
        /// The store item or file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// The item was valid when it was found and has gone since (garbage collection, say).
    #[error("{0} is gone")]
    Gone(PathBuf),
    /// What is on disk isn't what was registered or hashed.
    #[error("{0} has changed since it was hashed")]
    Changed(String),
    /// None of a cache's files for an item can be decompressed here, or all are missing.
    #[error("{0}: no file of it can be read")]
    Unreadable(String),
    /// The item's tree can't be written as a NAR.
    #[error(transparent)]
    Dump(DumpError),
    /// A compressed NAR is damaged; the decoder's own words.
    #[error("{path}: {reason}")]
    Decompress {
        /// The compressed file.
        path: PathBuf,
        /// The decoder's words.
        reason: String,
    },
    /// Whoever takes the NAR refused more of it.
    #[error("writing the archive: {0}")]
    Write(io::ErrorKind),
    /// Two trees of one command line have the same store path and different contents, or a tree has no usable name.
    #[error("{path}: {expected}")]
    Tree {
        /// The tree.
        path: PathBuf,
        /// What is wrong with it.
        expected: &'static str,
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
