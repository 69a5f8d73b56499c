//! A store in memory: items to bake, and their NARs.

use interplanar_core::hash::Sha256;
use interplanar_core::nix_base32;
use interplanar_core::store_path::StorePath;
use interplanar_server::nar_dump;
use interplanar_server::store::{Item, Log, Source, SourceError};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// References of each item.
const REFERENCES: usize = 5;

/// The bytes and the time of a program that compressed the old packages.
pub(crate) struct Compressed {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// Items and their NARs.
#[derive(Default)]
pub(crate) struct Sets {
    nars: HashMap<String, Vec<u8>>,
    pub(crate) old: Vec<Item>,
    pub(crate) new: Vec<Item>,
    pub(crate) rebuilt: Vec<Item>,
    pub(crate) elsewhere: Vec<Item>,
}

impl Sets {
    pub(crate) fn read(data: &Path) -> Self {
        let mut sets = Self::default();
        let mut packages: Vec<_> = std::fs::read_dir(data.join("new"))
            .expect("packages; run make bench-dedup")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        packages.sort();
        for name in packages {
            let (old, new) = (
                dump(&data.join("old").join(&name)),
                dump(&data.join("new").join(&name)),
            );
            let item = sets.item(&name, "old", 'a', old.clone());
            sets.old.push(item);
            let item = sets.item(&name, "rebuilt", 'b', old);
            sets.rebuilt.push(item);
            let item = sets.item(&name, "new", 'a', new);
            sets.new.push(item);
        }
        let all = sets.item("all", "old", 'a', dump(&data.join("old")));
        sets.elsewhere.push(all);
        sets
    }

    /// Adds an item, and writes references of a generation into its NAR.
    fn item(&mut self, name: &str, set: &str, generation: char, mut nar: Vec<u8>) -> Item {
        let hashes: Vec<String> = (0..REFERENCES)
            .map(|n| hash(&format!("{generation}{n}")))
            .collect();
        refer(&mut nar, &hashes);
        let path = format!("/gnu/store/{}-{name}", hash(&format!("{name} {set}")));
        let references = hashes.iter().map(|hash| format!("{hash}-reference"));
        self.add(&path, references.collect(), nar)
    }

    /// Adds an item with an unchanged NAR.
    pub(crate) fn add(&mut self, path: &str, references: Vec<String>, nar: Vec<u8>) -> Item {
        let item = Item {
            store_path: StorePath::parse(path).expect("a store path"),
            nar_hash: Sha256::of(&nar),
            nar_size: nar.len() as u64,
            references,
            deriver: None,
            system: None,
            ca: None,
            signatures: vec![],
        };
        self.nars
            .insert(item.store_path.base_name().to_owned(), nar);
        item
    }

    pub(crate) fn nar(&self, item: &Item) -> &[u8] {
        &self.nars[item.store_path.base_name()]
    }

    pub(crate) fn size(&self) -> u64 {
        self.old.iter().map(|item| item.nar_size).sum()
    }

    /// Compresses items one by one with a real program.
    pub(crate) fn compress(&self, items: &[Item], program: &str, level: u32) -> Compressed {
        let start = Instant::now();
        let bytes = items
            .iter()
            .map(|item| compressed(self.nar(item), program, level));
        let bytes = bytes.sum();
        let time = start.elapsed();
        Compressed { bytes, time }
    }
}

/// Returns the bytes to which a real program compresses `plain`.
pub(crate) fn compressed(plain: &[u8], program: &str, level: u32) -> u64 {
    let mut child = Command::new(program)
        .args([&format!("-{level}"), "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(plain).expect("written"));
        child.wait_with_output().expect("compressed").stdout.len() as u64
    })
}

impl Source for Sets {
    fn store_dir(&self) -> &str {
        "/gnu/store"
    }

    fn find(&self, _: &str) -> Result<Option<Item>, SourceError> {
        Ok(None)
    }

    fn dump(&self, item: &Item, out: &mut dyn Write) -> Result<(), SourceError> {
        for piece in self.nar(item).chunks(256 << 10) {
            let path = item.store_path.as_str();
            out.write_all(piece)
                .map_err(|_| SourceError::Unreadable(path.to_owned()))?;
        }
        Ok(())
    }

    fn log(&self, _: &str) -> Result<Option<Log>, SourceError> {
        Ok(None)
    }

    fn items(&self, _: Option<&str>, _: usize) -> Result<Vec<Item>, SourceError> {
        Ok(vec![])
    }
}

fn dump(path: &Path) -> Vec<u8> {
    let mut nar = vec![];
    nar_dump::dump(path, &mut nar).expect("a NAR");
    nar
}

/// Returns a hash part that depends on a seed.
fn hash(seed: &str) -> String {
    nix_base32::encode(&Sha256::of(seed.as_bytes()).as_bytes()[..20])
}

/// Writes references where builds have them: in the interpreter and the search path of programs,
/// and in the first line of scripts.
fn refer(nar: &mut [u8], hashes: &[String]) {
    let write = |nar: &mut [u8], place: usize, n: usize| {
        nar[place..place + 32].copy_from_slice(hashes[n % hashes.len()].as_bytes());
    };
    let (mut at, mut programs) = (0, 0);
    while at + 5000 < nar.len() {
        if nar[at..].starts_with(b"\x7fELF") {
            write(nar, at + 0x318, 0);
            (0..3).for_each(|n| write(nar, at + 0x1000 + n * 60, programs + n));
            programs += 1;
            at += 5000;
        } else if nar[at..].starts_with(b"#!/usr/bin") || nar[at..].starts_with(b"#!/bin/") {
            write(nar, at + 11, 1);
            at += 43;
        } else {
            at += 1;
        }
    }
}
