//! Why an archive can't be unpacked.

use std::io;
use std::path::PathBuf;

use interplanar_core::nar::NarError;

/// A failed unpacking. Nothing of it is left at the target.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Something is at the target already.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The target has no last component to be created, or no folder to be created in.
    #[error("{0} can't be created")]
    Target(PathBuf),
    /// The operating system refused an access; `AlreadyExists` when the file system takes two names of the archive for one.
    #[error("{path}: {kind}")]
    Io {
        /// The file, as a path within the archive.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// The bytes are no NAR, or not the whole of one.
    #[error(transparent)]
    Nar(#[from] NarError),
}
