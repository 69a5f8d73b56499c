use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn nar(path: &Path) -> Vec<u8> {
    let mut nar = Vec::new();
    let size = dump(path, &mut nar).unwrap();
    assert_eq!(size, nar.len() as u64);
    nar
}

fn fails(path: &Path) -> DumpError {
    dump(path, &mut io::sink()).unwrap_err()
}

fn position(nar: &[u8], needle: &[u8]) -> usize {
    nar.windows(needle.len()).position(|w| w == needle).unwrap()
}

#[test]
fn a_file_is_archived_in_the_right_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "hello").unwrap();
    let mut expected = Vec::new();
    for string in [
        "nix-archive-1",
        "(",
        "type",
        "regular",
        "contents",
        "hello",
        ")",
    ] {
        expected.extend((string.len() as u64).to_le_bytes());
        expected.extend(string.as_bytes());
        expected.resize(expected.len().next_multiple_of(8), 0);
    }
    assert_eq!(nar(&path), expected);
}

#[test]
fn only_the_owners_x_bit_makes_a_file_executable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "x").unwrap();
    for (mode, executable) in [
        (0o644, false),
        (0o677, false),
        (0o744, true),
        (0o500, true),
        (0o655, false),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = nar(&path).windows(10).any(|w| w == b"executable");
        assert_eq!(found, executable, "{mode:o}");
    }
}

#[test]
fn names_are_sorted_by_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let names: [&[u8]; 6] = [b"\xff\xfe", b"a", b"A", b"a.b", b"a-", "ä".as_bytes()];
    for name in names {
        fs::write(dir.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let nar = nar(dir.path());
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let positions: Vec<_> = sorted
        .iter()
        .map(|name| {
            let mut framed = (name.len() as u64).to_le_bytes().to_vec();
            framed.extend_from_slice(name);
            framed.resize(framed.len().next_multiple_of(8), 0);
            position(&nar, &framed)
        })
        .collect();
    assert!(positions.is_sorted(), "{positions:?}");
}

#[test]
fn links_are_archived_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    symlink(&outside, tree.join("folder")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    let archive = nar(&tree);
    assert!(!archive.windows(6).any(|w| w == b"secret"));
    position(&archive, b"nowhere");
    // So is the root.
    position(&nar(&tree.join("dangling")), b"nowhere");
}

#[test]
fn large_and_sparse_files_are_longer_than_the_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for size in [(256 << 10) - 100, 256 << 10, (264 << 10) + 1, (3 << 20) + 5] {
        let content: Vec<u8> = (0..size as u32).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        let nar = nar(&path);
        assert_eq!(position(&nar, &content[..1000]), 96);
        assert!(nar[96..].starts_with(&content));
        assert_eq!(nar.len(), 96 + content.len().next_multiple_of(8) + 16);
    }
    File::create(&path).unwrap().set_len(20 << 20).unwrap();
    assert_eq!(dump(&path, &mut io::sink()).unwrap(), (20 << 20) + 112);
}

#[test]
fn many_small_files_fill_the_buffer() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..3000 {
        fs::write(
            dir.path().join(format!("{number:04}")),
            format!("<{number}>"),
        )
        .unwrap();
    }
    let nar = nar(dir.path());
    position(&nar, b"<0>");
    position(&nar, b"<2999>");
    assert!(nar.len() > 2 * 264 * 1024);
}

#[test]
fn special_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let expected = DumpError::Special {
        path: socket.clone(),
        what: "socket",
    };
    assert_eq!(fails(&socket), expected);
    assert_eq!(fails(dir.path()), expected);
    let pipe = dir.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let what = "named pipe";
    assert_eq!(fails(&pipe), DumpError::Special { path: pipe, what });
}

#[test]
fn a_missing_tree_is_an_error() {
    let path = Path::new("/nonexistent/tree");
    assert_eq!(fails(path), DumpError::Missing(path.into()));
}

#[test]
fn depth_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().to_path_buf();
    for _ in 1..MAX_DEPTH {
        path.push("d");
        fs::create_dir(&path).unwrap();
    }
    fs::write(path.join("file"), "").unwrap();
    nar(dir.path());
    path.push("e");
    fs::create_dir(&path).unwrap();
    assert_eq!(fails(dir.path()), DumpError::TooDeep(path));
}

/// Changes a file as soon as its first bytes arrive.
struct Meddler<'p> {
    path: &'p Path,
    size: u64,
}

impl Write for Meddler<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        File::options()
            .write(true)
            .open(self.path)?
            .set_len(self.size)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_grows_or_shrinks_meanwhile_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for size in [1 << 20, 4 << 20, (2 << 20) + 1, (2 << 20) - 1] {
        fs::write(&path, vec![0; 2 << 20]).unwrap();
        let error = dump(dir.path(), &mut Meddler { path: &path, size }).unwrap_err();
        assert_eq!(error, DumpError::Changed(path.clone()));
    }
}

#[test]
fn a_failing_writer_ends_the_dump() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let error = dump(dir.path(), &mut Full).unwrap_err();
    assert_eq!(error, DumpError::Write(io::ErrorKind::BrokenPipe));
}
