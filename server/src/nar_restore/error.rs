//! Errors when a NAR is unpacked.

use std::io;
use std::path::PathBuf;

use crate::system_error::reason;
use interplanar_core::nar::NarError;

/// Why a NAR could not be unpacked. Nothing is left at the target.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The target already exists.
    #[error("can't unpack to {0}: it already exists; name a new path")]
    Exists(PathBuf),
    /// The target has no last component, or its parent folder doesn't exist.
    #[error(
        "can't unpack to {0}: it has no name, or its folder doesn't exist; name a new path in an existing folder"
    )]
    Target(PathBuf),
    /// The operating system refused an access; `AlreadyExists` if two names in the archive are the
    /// same for the file system.
    #[error("can't unpack {path}: {}", reason(*kind))]
    Io {
        /// The file, as a path within the archive.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// The archive is malformed or incomplete.
    #[error(transparent)]
    Nar(#[from] NarError),
}
