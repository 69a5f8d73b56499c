use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::nar_dump::dump;

/// Returns a folder to unpack in, a tree with all types of files, and its NAR.
fn sample() -> (TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("sub/deep/er")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(tree.join("file"), "hello").unwrap();
    fs::write(tree.join("sub/deep/er/large"), vec![7; 300_000]).unwrap();
    fs::write(tree.join("sub/none"), "").unwrap();
    fs::write(tree.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../file", tree.join("sub/link")).unwrap();
    symlink("/nonexistent", tree.join("zz")).unwrap();
    let nar = nar_of(&tree);
    (dir, tree, nar)
}

fn nar_of(path: &Path) -> Vec<u8> {
    let mut nar = Vec::new();
    dump(path, &mut nar).unwrap();
    nar
}

fn unpack(nar: &[u8], target: &Path) -> Result<(), RestoreError> {
    let mut unpacker = Unpacker::new(target)?;
    unpacker.push(nar)?;
    unpacker.finish()
}

/// Returns the names in a folder, to see that nothing was left.
fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn dump_restore_dump_is_the_same() {
    let (dir, tree, nar) = sample();
    let target = dir.path().join("again");
    unpack(&nar, &target).unwrap();
    assert_eq!(nar_of(&target), nar);
    for name in ["file", "run", "zz", "empty"] {
        let nar = nar_of(&tree.join(name));
        let target = dir.path().join(name);
        unpack(&nar, &target).unwrap();
        assert_eq!(nar_of(&target), nar, "{name}");
    }
    assert_eq!(
        names(dir.path()),
        ["again", "empty", "file", "run", "tree", "zz"]
    );
}

#[test]
fn chunks_of_any_length_give_the_same() {
    let (dir, _, nar) = sample();
    for length in [1, 7, 8, 4096] {
        let target = dir.path().join(length.to_string());
        let mut unpacker = Unpacker::new(&target).unwrap();
        for piece in nar.chunks(length) {
            unpacker.push(piece).unwrap();
        }
        unpacker.finish().unwrap();
        assert_eq!(nar_of(&target), nar);
    }
}

#[test]
fn only_executables_are_executable() {
    let (dir, _, nar) = sample();
    let target = dir.path().join("again");
    unpack(&nar, &target).unwrap();
    let mode = |name| target.join(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("file") & 0o711, 0o600);
    assert_eq!(mode("run") & 0o700, 0o700);
    assert_eq!(mode("sub") & 0o700, 0o700);
}

#[test]
fn an_existing_target_stays() {
    let (dir, tree, nar) = sample();
    let full = fs::read_dir(&tree).unwrap().count();
    assert_eq!(
        unpack(&nar, &tree).unwrap_err(),
        RestoreError::Exists(tree.clone())
    );
    assert_eq!(fs::read_dir(&tree).unwrap().count(), full);
    // A dangling link exists, too.
    let link = dir.path().join("link");
    symlink("nowhere", &link).unwrap();
    assert_eq!(unpack(&nar, &link).unwrap_err(), RestoreError::Exists(link));
    // So does a target that is created while the archive is unpacked, even an empty folder that a
    // rename could replace.
    let late = dir.path().join("late");
    let mut unpacker = Unpacker::new(&late).unwrap();
    unpacker.push(&nar).unwrap();
    fs::create_dir(&late).unwrap();
    assert_eq!(unpacker.finish().unwrap_err(), RestoreError::Exists(late));
    assert_eq!(names(dir.path()), ["late", "link", "tree"]);
}

#[test]
fn nothing_is_left_of_half_an_archive() {
    let (dir, _, nar) = sample();
    let target = dir.path().join("again");
    for length in [0, 8, 100, 1000, nar.len() - 8, nar.len() - 1] {
        let error = unpack(&nar[..length], &target).unwrap_err();
        assert!(matches!(error, RestoreError::Nar(_)), "{error}");
    }
    unpack(&[&nar[..], &[0]].concat(), &target).unwrap_err();
    let mut dropped = Unpacker::new(&target).unwrap();
    dropped.push(&nar).unwrap();
    drop(dropped);
    assert_eq!(names(dir.path()), ["tree"]);
}

#[test]
fn targets_must_be_valid() {
    for target in ["", "/", ".."] {
        let error = Unpacker::new(target.as_ref()).unwrap_err();
        assert_eq!(error, RestoreError::Target(target.into()));
    }
    let error = Unpacker::new("/nonexistent/folder/x".as_ref()).unwrap_err();
    let kind = io::ErrorKind::NotFound;
    let path = "/nonexistent/folder".into();
    assert_eq!(error, RestoreError::Io { path, kind });
}

#[test]
fn items_of_a_store_are_read_only_and_have_time_one() {
    use std::os::unix::fs::MetadataExt;
    let (dir, _, nar) = sample();
    let target = dir.path().join("again");
    let mut unpacker = Unpacker::for_store(&target).unwrap();
    unpacker.push(&nar).unwrap();
    unpacker.finish().unwrap();
    assert_eq!(nar_of(&target), nar);
    for (name, mode) in [
        ("", 0o555),
        ("file", 0o444),
        ("run", 0o555),
        ("sub", 0o555),
        ("sub/none", 0o444),
        ("empty", 0o555),
    ] {
        let metadata = target.join(name).metadata().unwrap();
        assert_eq!(
            (metadata.mode() & 0o777, metadata.mtime()),
            (mode, 1),
            "{name}"
        );
    }
    assert_eq!(
        target.join("sub/link").symlink_metadata().unwrap().mtime(),
        1
    );
}
