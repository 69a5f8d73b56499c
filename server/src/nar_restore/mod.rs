//! Unpacks a NAR that comes as a stream into a file, folder or symbolic link that didn't exist before.
//!
//! Everything is created in a temporary folder beside the target and moved to its place, in one step, by [`Unpacker::finish`]; without that
//! (the hash was wrong, the stream ended) nothing of it stays. Files get the modes that Guix and Nix give them outside a store: 0644, 0755 if
//! executable, 0755 for folders, less what the umask takes away; or, [for a store](Unpacker::for_store), those that they have in one: 0444,
//! 0555, 0555, all with time 1. A hostile archive can't leave its folder: core refuses its names, and
//! each file is created anew relative to its folder's descriptor, so no link is followed.
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

use interplanar_core::nar::{Parser, Restore, Step};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

mod error;
mod tree;

pub use error::RestoreError;
use tree::Tree;

/// An archive that is being unpacked.
#[derive(Debug)]
pub struct Unpacker {
    parser: Parser,
    restore: Restore,
    tree: Tree,
}

/// What files and folders look like in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// As anyone's.
    Plain,
    /// Read-only and without a time of their own.
    Store,
}

impl Unpacker {
    /// Prepares to create `target`, which mustn't exist, in its folder, which must.
    ///
    /// # Errors
    /// [`RestoreError::Exists`], [`RestoreError::Target`], or the folder can't be written to.
    pub fn new(target: &Path) -> Result<Self, RestoreError> {
        Self::with(target, Style::Plain)
    }

    /// The same for an item of a store: read-only files, and time 1 for all, as Guix and Nix have them.
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
            tree: Tree::new(target, style)?,
        })
    }

    /// Takes the next bytes of the archive.
    ///
    /// # Errors
    /// [`RestoreError::Nar`] for what is no archive, [`RestoreError::Io`] for what can't be created. Nothing of it is left when this is
    /// dropped.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        while let Some(event) = self.parser.push(&mut bytes)? {
            let tree = &mut self.tree;
            let path = |path| Path::new(OsStr::from_bytes(path));
            match self.restore.step(event) {
                Some(Step::CreateDirectory { path: at }) => tree.create_directory(path(at))?,
                Some(Step::FinishDirectory { path: at }) => tree.finish_directory(path(at))?,
                Some(Step::CreateFile {
                    path: at,
                    executable,
                    ..
                }) => tree.create_file(path(at), executable)?,
                Some(Step::Write(data)) => tree.write(data)?,
                Some(Step::FinishFile { .. }) => tree.finish_file()?,
                Some(Step::Symlink { path: at, target }) => tree.symlink(path(at), target)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Moves the whole to its place. Call it when the archive's hash was found right.
    ///
    /// # Errors
    /// [`RestoreError::Nar`] when the archive is not over; [`RestoreError::Exists`] when something has come to the target.
    pub fn finish(self) -> Result<(), RestoreError> {
        self.parser.finish()?;
        self.tree.publish()
    }
}

#[cfg(test)]
mod tests;
