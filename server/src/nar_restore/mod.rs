//! Unpacks a stream with a NAR into a new file, folder or symbolic link.
//!
//! Everything is created in a temporary folder beside the target. [`Unpacker::finish`] moves it to
//! the target in one step. Without that call (the hash is wrong, the stream has ended) nothing
//! stays. Files get the modes that Guix and Nix give them outside a store: 0644, 0755 if
//! executable, 0755 for folders, less the umask. [For a store](Unpacker::for_store) they get 0444,
//! 0555 and 0555, and time 1. A hostile archive can't write outside its folder: core refuses bad
//! names, and each file is created relative to the descriptor of its folder, so no link is
//! followed.
//!
//! ```no_run
//! use interplanar_server::nar_restore::Unpacker;
//!
//! let mut unpacker = Unpacker::new("hello-2.12".as_ref())?;
//! for chunk in [&b"\x0d\0\0\0\0\0\0\0nix-archive-1"[..], b"\0\0\0 and so on"] {
//!     unpacker.push(chunk)?;
//! }
//! // Here the caller compares the NAR's hash.
//! unpacker.finish()?;
//! # Ok::<(), interplanar_server::nar_restore::RestoreError>(())
//! ```

use std::path::Path;

use interplanar_core::nar::{Parser, Restore, RestoreStep};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

mod error;
mod unpacked_tree;

pub use error::RestoreError;
use unpacked_tree::UnpackedTree;

/// An archive that is being unpacked.
#[derive(Debug)]
pub struct Unpacker {
    parser: Parser,
    restore: Restore,
    tree: UnpackedTree,
}

/// The modes and times of unpacked files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// The usual modes and times.
    Plain,
    /// Read-only, with time 1.
    Store,
}

impl Unpacker {
    /// Prepares to create `target`. It must not exist, but its parent folder must.
    ///
    /// # Errors
    /// [`RestoreError::Exists`], [`RestoreError::Target`], or the folder can't be written to.
    pub fn new(target: &Path) -> Result<Self, RestoreError> {
        Self::with(target, Style::Plain)
    }

    /// Does the same for a store item: files are read-only and have time 1, as in Guix and Nix.
    ///
    /// # Errors
    /// As [`Unpacker::new`].
    pub fn for_store(target: &Path) -> Result<Self, RestoreError> {
        Self::with(target, Style::Store)
    }

    fn with(target: &Path, style: Style) -> Result<Self, RestoreError> {
        Ok(Self {
            parser: Parser::new(),
            restore: Restore::new(),
            tree: UnpackedTree::new(target, style)?,
        })
    }

    /// Unpacks the next bytes of the archive.
    ///
    /// # Errors
    /// [`RestoreError::Nar`] if the archive is malformed, [`RestoreError::Io`] if a file can't be
    /// created. When the unpacker is dropped then, nothing stays.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        while let Some(event) = self.parser.push(&mut bytes)? {
            let tree = &mut self.tree;
            let path = |path| Path::new(OsStr::from_bytes(path));
            match self.restore.step(event) {
                Some(RestoreStep::CreateDirectory { path: at }) => {
                    tree.create_directory(path(at))?
                }
                Some(RestoreStep::FinishDirectory { path: at }) => {
                    tree.finish_directory(path(at))?
                }
                Some(RestoreStep::CreateFile {
                    path: at,
                    executable,
                    ..
                }) => tree.create_file(path(at), executable)?,
                Some(RestoreStep::Write(data)) => tree.write(data)?,
                Some(RestoreStep::FinishFile { .. }) => tree.finish_file()?,
                Some(RestoreStep::Symlink { path: at, target }) => {
                    tree.symlink(path(at), target)?
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Moves the unpacked tree to the target. Call it after the hash of the archive was verified.
    ///
    /// # Errors
    /// [`RestoreError::Nar`] if the archive is not complete; [`RestoreError::Exists`] if the target
    /// exists by now.
    pub fn finish(self) -> Result<(), RestoreError> {
        self.parser.finish()?;
        self.tree.move_to_target()
    }
}

#[cfg(test)]
mod tests;
