//! The DAG of `tests/fixtures/kubo-0.43.0/shapes.car`, and how Kubo makes that file.
//!
//! Tests of crates that can't run Kubo read the file; [`car`] makes it anew, byte for byte.

use super::Dags;
use super::with_kubo::{self, Entry};
use crate::checkout;
use crate::kubo::Repo;
use interplanar_core::cid::Cid;
use std::path::PathBuf;

/// Path of the file.
#[must_use]
pub fn path() -> PathBuf {
    checkout().join("tests/fixtures/kubo-0.43.0/shapes.car")
}

/// The file as the installed Kubo writes it.
///
/// # Panics
/// When Kubo fails.
#[must_use]
pub fn car(repo: &Repo) -> Vec<u8> {
    let root = root(repo);
    let mut export = repo.ipfs();
    crate::bytes(export.args(["dag", "export", "--progress=false", &root.to_string()]))
}

pub(super) fn build_with_kubo(dags: &mut Dags, repo: &Repo) {
    let root = root(repo);
    let paths = [
        "/file",
        "/trickle",
        "/folder/",
        "/hamt/7.txt",
        "/sha512",
        "/inline",
        "/json",
    ];
    dags.add("golden", root, &paths);
    with_kubo::store(dags, repo, &[("golden".to_owned(), root)]);
}

/// Adds a file of each layout, directories, and documents; their root is a document with a link to each.
fn root(repo: &Repo) -> Cid {
    let numbers: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    let numbers = repo.file("numbers", numbers.as_bytes());
    let folder = with_kubo::folder(
        repo,
        "golden",
        &[
            (b"hello.txt", Entry::File(b"hello\n")),
            (b"empty", Entry::File(b"")),
            ("zażółć 100% \"q\" ☃".as_bytes(), Entry::File(b"x\n")),
            (b"sub/link", Entry::Symlink("../hello.txt")),
            (b"sub/\xff\xfe", Entry::File(b"hello")),
        ],
    );
    let names: Vec<(String, String)> = (1..=40)
        .map(|number| (format!("{number}.txt"), format!("{number}\n")))
        .collect();
    let names: Vec<(&[u8], Entry<'_>)> = names
        .iter()
        .map(|(name, content)| (name.as_bytes(), Entry::File(content.as_bytes())))
        .collect();
    let many = with_kubo::folder(repo, "golden-many", &names);
    let hello = folder.join("hello.txt");
    let add = |options: &[&str], path: &PathBuf| {
        let mut add = repo.ipfs();
        add.args(["add", "-Q", "--pin=false"])
            .args(options)
            .arg(path);
        with_kubo::root(&mut add)
    };
    let put = |arguments: &[&str], input: &str| {
        with_kubo::root_of(repo.ipfs().args(arguments), input.as_bytes())
    };
    let links = [
        (
            "file",
            add(
                &[
                    "--chunker=size-1000",
                    "--cid-version=0",
                    "--raw-leaves=false",
                ],
                &numbers,
            ),
        ),
        (
            "trickle",
            add(
                &["--trickle", "--chunker=size-500", "--cid-version=1"],
                &numbers,
            ),
        ),
        ("folder", add(&["-r", "--cid-version=1"], &folder)),
        (
            "hamt",
            add(
                &[
                    "-r",
                    "--cid-version=1",
                    "--max-directory-links=8",
                    "--max-hamt-fanout=16",
                ],
                &many,
            ),
        ),
        ("sha512", add(&["--hash=sha2-512"], &hello)),
        ("inline", add(&["--cid-version=1", "--inline"], &hello)),
        (
            "document",
            put(
                &["dag", "put", "--store-codec=dag-json"],
                "{\"name\":\"json\"}\n",
            ),
        ),
        (
            "json",
            put(&["block", "put", "--cid-codec=json"], "{\"plain\":1}\n"),
        ),
    ];
    let links = links.map(|(name, cid)| format!(r#""{name}":{{"/":"{cid}"}}"#));
    put(&["dag", "put"], &format!("{{{}}}", links.join(",")))
}
