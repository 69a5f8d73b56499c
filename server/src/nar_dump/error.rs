//! Errors when a file or folder is written as a NAR.

use std::io;
use std::path::PathBuf;

use crate::system_error::reason;

/// Why a NAR could not be written. Paths are those on disk.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// The tree or a file in it doesn't exist, or no longer does.
    #[error("{0} doesn't exist")]
    Missing(PathBuf),
    /// The operating system refused an access.
    #[error("can't read {path}: {}", reason(*kind))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// A socket, pipe or device, which a NAR can't contain.
    #[error("can't archive {path}: it is a {what}")]
    Special {
        /// The file.
        path: PathBuf,
        /// The type of the file.
        what: &'static str,
    },
    /// More nested folders than [`super::MAX_DEPTH`].
    #[error("can't archive {0}: too many nested folders")]
    TooDeep(PathBuf),
    /// A file became longer or shorter, or another type of file, while it was read.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// A symbolic link whose target is too long for a NAR.
    #[error("can't archive {0}: the link's target is too long")]
    LongTarget(PathBuf),
    /// The writer failed that gets the NAR.
    #[error("can't write the archive: {0}")]
    Write(io::ErrorKind),
}
