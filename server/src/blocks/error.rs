//! What can go wrong with a block store.

use std::path::{Path, PathBuf};

/// Why a block store cannot be opened, read or written.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum BlocksError {
    /// Another process writes to it.
    #[error("{} is in use by {holder}; stop it, or open the store to read only", dir.display())]
    Locked {
        /// The folder of the store.
        dir: PathBuf,
        /// What the other process wrote into the lock file.
        holder: String,
    },
    /// There is no store in the folder.
    #[error("{} holds no block store", .0.display())]
    Missing(PathBuf),
    /// It was opened to read only.
    #[error("the block store was opened to read only")]
    ReadOnly,
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The index cannot be read or written.
    #[error("the index of the block store: {0}")]
    Index(#[from] rusqlite::Error),
    /// Writing failed before, so what is on disk is uncertain until the store is opened again.
    #[error("the block store takes no more blocks since an error: {0}")]
    Failed(String),
}

impl BlocksError {
    /// Names the file of an I/O error.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io {
            path: path.to_owned(),
            error,
        }
    }
}
