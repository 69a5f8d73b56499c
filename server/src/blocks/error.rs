//! Errors of the block store.

use std::path::{Path, PathBuf};

/// Why a block store can't be opened, read or written.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum BlocksError {
    /// Another process writes to it.
    #[error("the block store {} is in use by {holder}; stop it, or use another cache folder", dir.display())]
    Locked {
        /// The folder of the store.
        dir: PathBuf,
        /// The process and program in the lock file.
        holder: String,
    },
    /// There is no store in the folder.
    #[error("there is no block store in {}", .0.display())]
    Missing(PathBuf),
    /// The store was opened to read only.
    #[error("the block store was opened to read only")]
    ReadOnly,
    /// A file can't be read or written.
    #[error("can't read or write {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason of the system.
        error: std::io::Error,
    },
    /// The index can't be read or written.
    #[error("can't read or write the index of the block store: {0}")]
    Index(rusqlite::Error),
    /// A write failed before. Whether later ones reach the disk is uncertain until the store is
    /// opened again.
    #[error("the block store can't be written: {0}")]
    Failed(String),
}

/// Not by `#[from]`: the message has the cause, and SQLite's causes say the same once more.
impl From<rusqlite::Error> for BlocksError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Index(error)
    }
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
