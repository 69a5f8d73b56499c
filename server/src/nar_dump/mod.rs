//! Writes the NAR of a file or folder, with the same bytes as `nix-store --dump` and guix-daemon's
//! export.
//!
//! Entries are sorted by the bytes of their names. A file is executable if its owner's `x` bit is
//! set. Symbolic links are archived, never followed. Times, owners and other modes are left out.
//! Each folder is opened relative to the descriptor of its parent, so a folder that is replaced by
//! a link meanwhile can't lead elsewhere. Holes of sparse files are archived as zeros.
//!
//! ```no_run
//! let mut nar = Vec::new();
//! let size = interplanar_server::nar_dump::dump("/etc/skel".as_ref(), &mut nar)?;
//! assert_eq!(size, nar.len() as u64);
//! # Ok::<(), interplanar_server::nar_dump::DumpError>(())
//! ```

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::{Errno, retry_on_intr};

mod archive;
mod error;

use archive::Archive;
pub use error::DumpError;

/// Most nested folders, as in core's NAR parser.
pub const MAX_DEPTH: usize = 64;
/// Most bytes of a symbolic link's target, as in core's NAR parser.
const MAX_TARGET: usize = 4095;

/// Writes the NAR of the file, folder or symbolic link at `path`, and returns its length in bytes.
///
/// After an error, `out` may have got any prefix of the archive.
pub fn dump(path: &Path, out: &mut dyn Write) -> Result<u64, DumpError> {
    let mut walk = Walk {
        path: path.to_path_buf(),
        levels: Vec::new(),
        archive: Archive::new(out),
    };
    let kind = walk.kind(CWD, path.as_os_str())?;
    walk.node(kind, path.as_os_str().as_bytes())?;
    while walk.step()? {}
    walk.archive.finish()
}

/// A folder that is being archived.
struct Level {
    folder: OwnedFd,
    /// The remaining entries; the next one is last.
    names: Vec<(Vec<u8>, FileType)>,
}

struct Walk<'w> {
    /// The path of the current entry on disk, for errors.
    path: PathBuf,
    levels: Vec<Level>,
    archive: Archive<'w>,
}

impl Walk<'_> {
    /// Archives the next entry of the innermost folder, or ends that folder. Returns false at the
    /// end.
    fn step(&mut self) -> Result<bool, DumpError> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        match level.names.pop() {
            Some((name, kind)) => {
                self.path.push(OsStr::from_bytes(&name));
                self.archive.entry_start(&name);
                if !self.node(kind, &name)? {
                    self.leave();
                }
            }
            None => {
                self.levels.pop();
                self.archive.directory_end();
                if !self.levels.is_empty() {
                    self.leave();
                }
            }
        }
        Ok(true)
    }

    fn leave(&mut self) {
        self.archive.entry_end();
        self.path.pop();
    }

    /// Archives a file or link, or starts a folder. Returns whether it started a folder.
    fn node(&mut self, kind: FileType, name: &[u8]) -> Result<bool, DumpError> {
        self.archive.make_room()?;
        match kind {
            FileType::RegularFile => self.file(name)?,
            FileType::Symlink => self.symlink(name)?,
            FileType::Directory => {
                self.directory(name)?;
                return Ok(true);
            }
            FileType::Unknown => {
                let kind = self.kind(self.parent(), OsStr::from_bytes(name))?;
                if kind == FileType::Unknown {
                    return Err(self.special("file of unknown type"));
                }
                return self.node(kind, name);
            }
            FileType::Socket => return Err(self.special("socket")),
            FileType::Fifo => return Err(self.special("named pipe")),
            FileType::CharacterDevice | FileType::BlockDevice => {
                return Err(self.special("device"));
            }
        }
        Ok(false)
    }

    fn directory(&mut self, name: &[u8]) -> Result<(), DumpError> {
        if self.levels.len() >= MAX_DEPTH {
            return Err(DumpError::TooDeep(self.path.clone()));
        }
        let folder = self.open(name, OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(|errno| self.failed(errno))? {
            let entry = entry.map_err(|errno| self.failed(errno))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((name.to_vec(), entry.file_type()));
            }
        }
        names.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        self.archive.directory_start();
        self.levels.push(Level { folder, names });
        Ok(())
    }

    fn symlink(&mut self, name: &[u8]) -> Result<(), DumpError> {
        let target = readlinkat(self.parent(), name, Vec::new()).map_err(|e| self.failed(e))?;
        if target.as_bytes().len() > MAX_TARGET {
            return Err(DumpError::LongTarget(self.path.clone()));
        }
        self.archive.symlink(target.as_bytes());
        Ok(())
    }

    fn file(&mut self, name: &[u8]) -> Result<(), DumpError> {
        // If a named pipe has replaced the file, NONBLOCK keeps `open` from waiting for its other
        // end.
        let file = self.open(name, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fstat(&file).map_err(|errno| self.failed(errno))?;
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mode = Mode::from_raw_mode(stat.st_mode);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(DumpError::Changed(self.path.clone()));
        }
        self.archive.file_start(mode.contains(Mode::XUSR), size);
        let mut left = size;
        loop {
            self.archive.make_room()?;
            let read = self
                .archive
                .fill(file.as_fd())
                .map_err(|e| self.failed(e))?;
            if read == 0 {
                break;
            }
            left = left
                .checked_sub(read)
                .ok_or_else(|| DumpError::Changed(self.path.clone()))?;
        }
        if left > 0 {
            return Err(DumpError::Changed(self.path.clone()));
        }
        self.archive.file_end(size);
        Ok(())
    }

    fn open(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd, DumpError> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| openat(self.parent(), name, flags, Mode::empty())).map_err(|errno| {
            match errno {
                // The entry has changed its type since the names were read.
                Errno::LOOP | Errno::NOTDIR | Errno::NXIO => DumpError::Changed(self.path.clone()),
                errno => self.failed(errno),
            }
        })
    }

    /// Returns the folder that names are relative to: the innermost one, or at the start the
    /// working directory.
    fn parent(&self) -> BorrowedFd<'_> {
        self.levels.last().map_or(CWD, |level| level.folder.as_fd())
    }

    fn kind(&self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<FileType, DumpError> {
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| self.failed(e))?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    fn failed(&self, errno: Errno) -> DumpError {
        match errno {
            Errno::NOENT => DumpError::Missing(self.path.clone()),
            errno => DumpError::Io {
                path: self.path.clone(),
                kind: errno.kind(),
            },
        }
    }

    fn special(&self, what: &'static str) -> DumpError {
        DumpError::Special {
            path: self.path.clone(),
            what,
        }
    }
}

#[cfg(test)]
mod tests;
