//! Why a file tree can't be written as a NAR.

use std::io;
use std::path::PathBuf;

/// A failed dump. Paths are those on disk.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// The tree, or a file that was listed in it, isn't there (any more).
    #[error("{0} is gone")]
    Missing(PathBuf),
    /// The operating system refused an access.
    #[error("{path}: {kind}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// A socket, pipe or device, which no NAR can hold.
    #[error("{path}: a {what} can't be archived")]
    Special {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// More folders in folders than [`super::MAX_DEPTH`].
    #[error("{0}: too many folders in each other")]
    TooDeep(PathBuf),
    /// A file became longer or shorter, or another kind of file, while it was read.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// A symbolic link whose target no NAR can hold.
    #[error("{0}: the link's target is too long")]
    LongTarget(PathBuf),
    /// Whoever takes the NAR refused more of it.
    #[error("writing the archive: {0}")]
    Write(io::ErrorKind),
}
