//! Creates the files of an unpacked archive in a temporary folder, and moves the tree to its target
//! at the end.
//!
//! Every name is created relative to the descriptor of its folder. Existing files are never opened,
//! so no link is followed.

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

/// The name of the archive's root in the temporary folder.
const ROOT: &[u8] = b"root";

/// A tree that is being unpacked. If it is dropped before [`UnpackedTree::move_to_target`], nothing
/// stays.
#[derive(Debug)]
pub(super) struct UnpackedTree {
    target: PathBuf,
    style: Style,
    /// Names and descriptors of the folders on the path to the file created last, outermost
    /// first.
    folders: Vec<(Vec<u8>, OwnedFd)>,
    temporary_folder: OwnedFd,
    /// The file that is being written: its path, the file, and whether it is executable.
    file: Option<(PathBuf, File, bool)>,
    /// The last field, so that it is removed after all descriptors are closed.
    _temporary: TempDir,
}

impl UnpackedTree {
    /// Prepares to create `target`. It must not exist, but its parent folder must.
    pub(super) fn new(target: &Path, style: Style) -> Result<Self, RestoreError> {
        let cannot = || RestoreError::Target(target.to_path_buf());
        target.file_name().ok_or_else(cannot)?;
        if target.symlink_metadata().is_ok() {
            return Err(RestoreError::Exists(target.to_path_buf()));
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".interplanar-")
            .tempdir_in(parent)
            .map_err(|error| RestoreError::Io {
                path: parent.to_path_buf(),
                kind: error.kind(),
            })?;
        let temporary_folder = open_folder(CWD, temporary.path().as_os_str())
            .map_err(|errno| failed(temporary.path(), errno))?;
        Ok(Self {
            target: target.to_path_buf(),
            style,
            folders: Vec::new(),
            temporary_folder,
            file: None,
            _temporary: temporary,
        })
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> Result<(), RestoreError> {
        let (folder, name) = self.folder_and_name(path)?;
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
        let (folder, name) = self.folder_and_name(path)?;
        let file = retry_on_intr(|| openat(folder, name, flags, mode))
            .map_err(|errno| failed(path, errno))?;
        self.file = Some((path.to_path_buf(), file.into(), executable));
        Ok(())
    }

    /// Appends to the current file.
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
        let (folder, name) = self.folder_and_name(path)?;
        let fd = open_folder(folder, name).map_err(|errno| failed(path, errno))?;
        finish(fd.as_fd(), true).map_err(|errno| failed(path, errno))
    }

    pub(super) fn symlink(&mut self, path: &Path, target: &[u8]) -> Result<(), RestoreError> {
        let style = self.style;
        let (folder, name) = self.folder_and_name(path)?;
        symlinkat(target, folder, name).map_err(|errno| failed(path, errno))?;
        match style {
            Style::Plain => Ok(()),
            Style::Store => utimensat(folder, name, &TIME_ONE, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| failed(path, errno)),
        }
    }

    /// Moves the tree to its target, unless that exists by now.
    pub(super) fn move_to_target(mut self) -> Result<(), RestoreError> {
        self.folders.clear();
        let name = OsStr::from_bytes(ROOT);
        let moved = renameat_with(
            &self.temporary_folder,
            name,
            CWD,
            &self.target,
            RenameFlags::NOREPLACE,
        );
        let moved = match moved {
            // Some file systems can't check and rename in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match statat(CWD, &self.target, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => renameat(&self.temporary_folder, name, CWD, &self.target),
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

    /// Returns the parent folder of a path in the archive, and its name there. The root has the
    /// empty path.
    fn folder_and_name<'p>(
        &mut self,
        path: &'p Path,
    ) -> Result<(BorrowedFd<'_>, &'p OsStr), RestoreError> {
        let root = OsStr::from_bytes(ROOT);
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            self.folders.clear();
            return Ok((self.temporary_folder.as_fd(), root));
        }
        let mut names: Vec<&[u8]> = bytes.split(|&byte| byte == b'/').collect();
        // Core has already refused such names; checking again costs nothing.
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
            .map_or(self.temporary_folder.as_fd(), |(_, fd)| fd.as_fd())
    }
}

fn open_folder(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| openat(parent, name, flags, Mode::empty()))
}

/// The time of all files in a store.
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

/// Sets the mode and time of a file or folder in a store.
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
