//! The restore plan: what to create, in order, to unpack an archive.

use super::Event;
use alloc::vec::Vec;

/// One step of unpacking. Paths are relative to the destination of the archive's root, which has
/// the empty path. The parser has checked every name in a path, so no path leads outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreStep<'a> {
    /// Create a directory. Its content follows.
    CreateDirectory {
        /// Path of the directory.
        path: &'a [u8],
    },
    /// A directory is complete.
    FinishDirectory {
        /// Path of the directory.
        path: &'a [u8],
    },
    /// Create a file. Its content follows.
    CreateFile {
        /// Path of the file.
        path: &'a [u8],
        /// Whether the file is executable.
        executable: bool,
        /// Bytes of its content.
        size: u64,
    },
    /// Append bytes to the file.
    Write(&'a [u8]),
    /// A file is complete.
    FinishFile {
        /// Path of the file.
        path: &'a [u8],
    },
    /// Create a symbolic link.
    Symlink {
        /// Path of the link.
        path: &'a [u8],
        /// Target of the link.
        target: &'a [u8],
    },
}

/// Turns events into steps.
///
/// ```
/// use interplanar_core::nar::{Event, Restore, RestoreStep};
/// let mut restore = Restore::new();
/// assert_eq!(restore.step(Event::DirectoryStart), Some(RestoreStep::CreateDirectory { path: b"" }));
/// assert_eq!(restore.step(Event::EntryStart { name: b"a" }), None);
/// let step = restore.step(Event::Symlink { target: b"b" });
/// assert_eq!(step, Some(RestoreStep::Symlink { path: b"a", target: b"b" }));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Restore {
    path: Vec<u8>,
    /// Length of the path at each open entry, without the entry's own name.
    parents: Vec<usize>,
}

impl Restore {
    /// Starts at the root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the step for an event; some events need none.
    pub fn step<'a>(&'a mut self, event: Event<'a>) -> Option<RestoreStep<'a>> {
        match event {
            Event::EntryStart { name } => {
                self.parents.push(self.path.len());
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name);
                None
            }
            Event::EntryEnd => {
                self.path.truncate(self.parents.pop().unwrap_or(0));
                None
            }
            Event::DirectoryStart => Some(RestoreStep::CreateDirectory { path: &self.path }),
            Event::DirectoryEnd => Some(RestoreStep::FinishDirectory { path: &self.path }),
            Event::FileStart {
                executable, size, ..
            } => Some(RestoreStep::CreateFile {
                path: &self.path,
                executable,
                size,
            }),
            Event::FileData(bytes) => Some(RestoreStep::Write(bytes)),
            Event::FileEnd => Some(RestoreStep::FinishFile { path: &self.path }),
            Event::Symlink { target } => Some(RestoreStep::Symlink {
                path: &self.path,
                target,
            }),
            Event::End => None,
        }
    }
}
