//! Allows one writer at a time: an flock that ends with its process, in a file that names the
//! process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::BlocksError;

/// Most bytes that are read of the line that names the process.
const MAX_HOLDER: u64 = 256;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it unlocks")] File);

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, BlocksError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(BlocksError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(BlocksError::Locked {
                    dir: dir.to_owned(),
                    holder: holder(&file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(BlocksError::io(&path)(error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "process {}{}", std::process::id(), program()))
            .map_err(BlocksError::io(&path))?;
        Ok(Self(file))
    }
}

/// Returns the name of the program, for people.
fn program() -> String {
    let path = std::env::args_os().next();
    let name = path.as_deref().map(Path::new).and_then(Path::file_name);
    name.map_or_else(String::new, |name| format!(" ({})", name.to_string_lossy()))
}

/// Returns the line that names the process.
fn holder(file: &File) -> String {
    let mut text = String::new();
    match file.take(MAX_HOLDER).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}
