//! Deduplicates files in the store: hard links to `<store>/.links/<hash>`, as guix-daemon and
//! guix/store/deduplication.scm do.
//!
//! The hash is the SHA-256 of the file's own NAR, in base-32. Files below 8 KiB are skipped. Files
//! that can't be linked (too many links, no space, another file system) are skipped too, so an
//! installation never fails here.

use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::nar::{Encoder, Event};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes. Guix has the same limit and requires that all programs use it.
const MIN_SIZE: u64 = 8192;
const BUFFER: usize = 256 << 10;

/// Deduplicates all files of an installed item.
pub(super) fn deduplicate(root: &Path, links: &Path) {
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        } else if metadata.is_file() && metadata.size() >= MIN_SIZE {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            if let Err(error) = link_file(&path, executable, metadata.size(), links) {
                tracing::debug!(path = %path.display(), %error, "can't deduplicate a file");
            }
        }
    }
}

fn link_file(path: &Path, executable: bool, size: u64, links: &Path) -> io::Result<()> {
    let link = links.join(nar_hash(path, executable, size)?.to_nix32());
    match fs::hard_link(path, &link) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(links)?;
            return fs::hard_link(path, &link);
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    if fs::symlink_metadata(&link)?.size() != size {
        return Err(io::Error::other(
            "the file of the same hash in .links has another size",
        ));
    }
    let temporary = temporary_path(links);
    fs::hard_link(&link, &temporary)?;
    let replaced = fs::rename(&temporary, path);
    // Renaming one hard link onto another of the same file does nothing and keeps both names.
    drop(fs::remove_file(&temporary));
    replaced?;
    canonical_time(path.parent().unwrap_or(links))
}

fn temporary_path(links: &Path) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    links.join(format!(".tmp-link-{}-{count}", std::process::id()))
}

/// Resets the folder's modification time, which the rename changed. Everything in the store has
/// time 1.
fn canonical_time(folder: &Path) -> io::Result<()> {
    let one = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: one,
        last_modification: one,
    };
    Ok(utimensat(CWD, folder, &times, AtFlags::empty())?)
}

/// Returns the hash of a NAR that contains only this file.
fn nar_hash(path: &Path, executable: bool, size: u64) -> io::Result<Sha256> {
    let mut hasher = Sha256Hasher::new();
    let (mut encoder, mut framing) = (Encoder::new(), Vec::new());
    let mut file = File::open(path)?;
    let invalid = |error| io::Error::other(format!("{error}"));
    encoder
        .write(
            Event::FileStart {
                executable,
                size,
                offset: 0,
            },
            &mut framing,
        )
        .map_err(invalid)?;
    hasher.update(&framing);
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = file.read(&mut buffer)?;
        let Some(data) = buffer.get(..length).filter(|data| !data.is_empty()) else {
            break;
        };
        encoder.skip_data(length as u64).map_err(invalid)?;
        hasher.update(data);
    }
    framing.clear();
    encoder
        .write(Event::FileEnd, &mut framing)
        .map_err(invalid)?;
    encoder.write(Event::End, &mut framing).map_err(invalid)?;
    hasher.update(&framing);
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identical_files_become_one_and_small_or_different_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("item")).unwrap();
        for (name, content) in [
            ("item/a", vec![1; 9000]),
            ("item/b", vec![1; 9000]),
            ("item/c", vec![2; 9000]),
            ("item/d", vec![1; 9]),
            ("item/e", vec![1; 9]),
        ] {
            fs::write(at(name), content).unwrap();
        }
        deduplicate(&at("item"), &at(".links"));
        let inode = |name: &str| fs::metadata(at(name)).unwrap().ino();
        assert_eq!(inode("item/a"), inode("item/b"));
        assert_ne!(inode("item/a"), inode("item/c"));
        assert_ne!(inode("item/d"), inode("item/e"));
        assert_eq!(fs::read_dir(at(".links")).unwrap().count(), 2);
        assert_eq!(fs::metadata(at("item")).unwrap().mtime(), 1);
        deduplicate(&at("item"), &at(".links"));
        assert_eq!(inode("item/a"), inode("item/b"));
    }
}
