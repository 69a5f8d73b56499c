//! The file-system half of unpacking: creates files in a folder of its own and moves the whole to its place at the end.
//!
//! Every name is created anew, relative to the descriptor of its folder; nothing that exists is opened, so no link is ever followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, fchmod, futimens, mkdirat,
    openat, renameat, renameat_with, statat, symlinkat, utimensat,
};
use rustix::io::{Errno, retry_on_intr};
use tempfile::TempDir;

use super::{RestoreError, Style};

/// What the archive's root is called until it has its name.
const ROOT: &[u8] = b"root";

/// A tree that is being unpacked. Dropped before [`Tree::publish`], it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Tree {
    target: PathBuf,
    style: Style,
    /// The descriptors of the folders on the way to the one last created in, by name; before them the temporary folder.
    folders: Vec<(Vec<u8>, OwnedFd)>,
    base: OwnedFd,
    /// The file that is being written, and whether it is executable.
    file: Option<(PathBuf, File, bool)>,
    /// Last, so that it is removed after all descriptors are closed.
    _temporary: TempDir,
}

impl Tree {
    /// Prepares to create `target`, which mustn't exist, in its folder, which must.
    pub(super) fn new(target: &Path, style: Style) -> Result<Self, RestoreError> {
        let cannot = || RestoreError::Target(target.to_path_buf());
        target.file_name().ok_or_else(cannot)?;
        if target.symlink_metadata().is_ok() {
            return Err(RestoreError::Exists(target.to_path_buf()));
        }
        let beside = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".interplanar-")
            .tempdir_in(beside)
            .map_err(|error| RestoreError::Io {
                path: beside.to_path_buf(),
                kind: error.kind(),
            })?;
        let base = open_folder(CWD, temporary.path().as_os_str())
            .map_err(|errno| failed(temporary.path(), errno))?;
        Ok(Self {
            target: target.to_path_buf(),
            style,
            folders: Vec::new(),
            base,
            file: None,
            _temporary: temporary,
        })
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> Result<(), RestoreError> {
        let (folder, name) = self.place(path)?;
        mkdirat(folder, name, Mode::from_raw_mode(0o755)).map_err(|errno| failed(path, errno))
    }

    pub(super) fn create_file(
        &mut self,
        path: &Path,
        executable: bool,
    ) -> Result<(), RestoreError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let (folder, name) = self.place(path)?;
        let file = retry_on_intr(|| openat(folder, name, flags, mode))
            .map_err(|errno| failed(path, errno))?;
        self.file = Some((path.to_path_buf(), file.into(), executable));
        Ok(())
    }

    /// Appends to the file created last.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), RestoreError> {
        let Some((path, file, _)) = &mut self.file else {
            return Ok(());
        };
        file.write_all(data).map_err(|error| RestoreError::Io {
            path: path.clone(),
            kind: error.kind(),
        })
    }

    pub(super) fn finish_file(&mut self) -> Result<(), RestoreError> {
        match self.file.take() {
            Some((path, file, executable)) if self.style == Style::Store => {
                finish(file.as_fd(), executable).map_err(|errno| failed(&path, errno))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn finish_directory(&mut self, path: &Path) -> Result<(), RestoreError> {
        if self.style == Style::Plain {
            return Ok(());
        }
        let (folder, name) = self.place(path)?;
        let fd = open_folder(folder, name).map_err(|errno| failed(path, errno))?;
        finish(fd.as_fd(), true).map_err(|errno| failed(path, errno))
    }

    pub(super) fn symlink(&mut self, path: &Path, target: &[u8]) -> Result<(), RestoreError> {
        let style = self.style;
        let (folder, name) = self.place(path)?;
        symlinkat(target, folder, name).map_err(|errno| failed(path, errno))?;
        match style {
            Style::Plain => Ok(()),
            Style::Store => utimensat(folder, name, &TIME_ONE, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| failed(path, errno)),
        }
    }

    /// Moves the whole tree to its place, unless something has come there meanwhile.
    pub(super) fn publish(mut self) -> Result<(), RestoreError> {
        self.folders.clear();
        let name = OsStr::from_bytes(ROOT);
        let moved = renameat_with(&self.base, name, CWD, &self.target, RenameFlags::NOREPLACE);
        let moved = match moved {
            // Some file systems can't do that in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match statat(CWD, &self.target, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => renameat(&self.base, name, CWD, &self.target),
                    Ok(_) => Err(Errno::EXIST),
                    Err(errno) => Err(errno),
                }
            }
            moved => moved,
        };
        moved.map_err(|errno| match errno {
            Errno::EXIST | Errno::NOTEMPTY => RestoreError::Exists(self.target.clone()),
            errno => failed(&self.target, errno),
        })
    }

    /// The folder that a path of the archive lies in, and its name there. The archive's root has the empty path.
    fn place<'p>(&mut self, path: &'p Path) -> Result<(BorrowedFd<'_>, &'p OsStr), RestoreError> {
        let root = OsStr::from_bytes(ROOT);
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            self.folders.clear();
            return Ok((self.base.as_fd(), root));
        }
        let mut names: Vec<&[u8]> = bytes.split(|&byte| byte == b'/').collect();
        // Core has checked them; a second look costs nothing.
        if names.iter().any(|name| matches!(*name, b"" | b"." | b"..")) {
            return Err(failed(path, Errno::INVAL));
        }
        let name = names.pop().map(OsStr::from_bytes).unwrap_or(root);
        names.insert(0, ROOT);
        let known = self.folders.iter().map(|(name, _)| name.as_slice());
        let common = known.zip(&names).take_while(|(one, other)| one == *other);
        let common = common.count();
        self.folders.truncate(common);
        for &next in names.iter().skip(common) {
            let fd = open_folder(self.folder(), OsStr::from_bytes(next))
                .map_err(|errno| failed(path, errno))?;
            self.folders.push((next.to_vec(), fd));
        }
        Ok((self.folder(), name))
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.folders
            .last()
            .map_or(self.base.as_fd(), |(_, fd)| fd.as_fd())
    }
}

fn open_folder(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| openat(parent, name, flags, Mode::empty()))
}

/// The time of everything in a store.
const TIME_ONE: Timestamps = Timestamps {
    last_access: Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    },
    last_modification: Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    },
};

/// The mode and time of a file or folder in a store.
fn finish(fd: BorrowedFd<'_>, executable: bool) -> Result<(), Errno> {
    fchmod(
        fd,
        Mode::from_raw_mode(if executable { 0o555 } else { 0o444 }),
    )?;
    futimens(fd, &TIME_ONE)
}

fn failed(path: &Path, errno: Errno) -> RestoreError {
    RestoreError::Io {
        path: path.to_path_buf(),
        kind: errno.kind(),
    }
}
