//! Why an item could not be baked. The messages are for the operator's log, never for strangers.

use std::io;
use std::path::{Path, PathBuf};

use interplanar_core::store_path::StorePath;

use crate::blocks::BlocksError;
use crate::store::SourceError;

/// Why a bake ended without a record. Whoever waits for the same item gets a clone.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BakeError {
    /// The store can't give the item.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The NAR isn't the one that was registered.
    #[error("{path}: its NAR differs from the registered NarHash or NarSize")]
    NarHash {
        /// The item.
        path: StorePath,
    },
    /// A binary cache's compressed file isn't the one that its narinfo names.
    #[error("{file}: differs from the narinfo's FileHash or FileSize")]
    FileHash {
        /// The compressed file.
        file: PathBuf,
    },
    /// The NAR is malformed, or has more entries than a listing takes.
    #[error("{path}: {reason}")]
    Nar {
        /// The item.
        path: StorePath,
        /// The parser's words.
        reason: String,
    },
    /// The block store can't take or give blocks.
    #[error("{0}")]
    Blocks(String),
    /// The disk of the cache folder is all but full.
    #[error("only {free} bytes are free in the cache folder, {least} should stay so")]
    DiskFull {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        least: u64,
    },
    /// A compressor failed.
    #[error("compressing: {0}")]
    Compress(String),
    /// A file or folder of the cache can't be read or written.
    #[error("{path}: {kind}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// It failed a short while ago, and isn't tried again yet.
    #[error("it failed a short while ago")]
    Recent,
    /// The program is ending.
    #[error("the program is ending")]
    Stopped,
}

impl BakeError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            path: path.to_path_buf(),
            kind: error.kind(),
        }
    }
}

impl From<BlocksError> for BakeError {
    fn from(error: BlocksError) -> Self {
        Self::Blocks(error.to_string())
    }
}
