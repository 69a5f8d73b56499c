//! Why a bake failed. The messages are for the operator's log; clients never see them.

use std::io;
use std::path::{Path, PathBuf};

use interplanar_core::store_path::StorePath;

use crate::blocks::BlocksError;
use crate::store::SourceError;
use crate::system_error::reason;
use crate::task::WorkError;

/// Why a bake ended without a record. Everyone who waits for the item gets a clone.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BakeError {
    /// The item can't be read from the store.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The NAR differs from the one in the store's database.
    #[error("the NAR of {path} differs from the NarHash or NarSize in the store's database")]
    NarHash {
        /// The item.
        path: StorePath,
    },
    /// A binary cache's compressed file differs from its narinfo.
    #[error("{file} differs from the FileHash or FileSize in its narinfo")]
    FileHash {
        /// The compressed file.
        file: PathBuf,
    },
    /// The NAR is malformed, or has more entries than a listing may have.
    #[error("can't read the NAR of {path}: {reason}")]
    Nar {
        /// The item.
        path: StorePath,
        /// The reason of the parser.
        reason: String,
    },
    /// The block store can't read or write blocks.
    #[error("{0}")]
    Blocks(String),
    /// The disk of the cache folder is almost full.
    #[error(
        "only {free} bytes are free on the disk of the cache folder, and {least} must stay free"
    )]
    DiskFull {
        /// Free bytes.
        free: u64,
        /// Bytes that must stay free.
        least: u64,
    },
    /// A compressor failed.
    #[error("can't compress: {0}")]
    Compress(String),
    /// A file or folder of the cache can't be read or written.
    #[error("can't read or write {path}: {}", reason(*kind))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// The last bake of the item failed less than a minute ago.
    #[error("the last bake failed less than a minute ago; it will be tried again later")]
    Recent,
    /// A panic ended the bake.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The program is stopping.
    #[error("the program is stopping")]
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
