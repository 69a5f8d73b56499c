//! `make bench-dedup`: what the deduplicating form costs and saves, as ratios against the real `zstd` of the same level on the same NARs.
//!
//! | column | the client holds | and fetches |
//! |---|---|---|
//! | first | nothing | the old packages |
//! | update | the old packages | the new ones |
//! | rebuild | the old packages | the same with other hashes of their references |
//! | elsewhere | the old packages | one item that has all their files |
//!
//! Debian packages have no references, so some are written into their programs and scripts: the rebuild is synthetic. Bytes are leaves that the
//! client lacks, and the chunk index. "both" is what a store takes for the old packages and the rebuilt ones.

use interplanar_core::cid::Cid;
use interplanar_core::dedup::{Body, Index, Parameters, Plan};
use interplanar_core::hash::Sha256;
use interplanar_core::nix_base32;
use interplanar_core::store_path::StorePath;
use interplanar_server::bake::{Baker, Config, Record};
use interplanar_server::nar_dump;
use interplanar_server::store::{Item, Log, Source, SourceError};
use interplanar_tests::checkout;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// References of each item.
const REFERENCES: usize = 5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    // `cargo test --benches` only asks whether this builds.
    if !arguments.any(|argument| argument == "--bench") {
        return;
    }
    let levels = std::env::args().filter_map(|argument| argument.parse::<u32>().ok());
    let sets = Arc::new(Sets::read(&checkout().join("target/dedup-data")));
    println!(
        "{} packages, {} MB of NARs",
        sets.old.len(),
        sets.size() / 1_000_000
    );
    println!(
        "\n| | first | update | rebuild | elsewhere | both | pieces | time to bake |\n|---|---|---|---|---|---|---|---|"
    );
    for level in levels {
        let zstd = sets.compress("zstd", level);
        println!(
            "| whole zstd -{level} | 1.00 ({}) | | | | 2.00 | | 1.00 |",
            zstd.bytes
        );
        for (name, cut) in [
            ("large", Parameters::LARGE),
            ("medium", Parameters::MEDIUM),
            ("small", Parameters::SMALL),
        ] {
            row(name, level, cut, &sets, &zstd);
        }
    }
    for name in ["gzip", "lzip"] {
        let bytes = sets.compress(name, 9).bytes;
        println!("| whole {name} -9 | ({bytes}) | | | | | | |");
    }
}

/// Bakes all sets and prints what comes of it.
fn row(name: &str, level: u32, cut: Parameters, sets: &Arc<Sets>, zstd: &Whole) {
    let dir = tempfile::tempdir_in(checkout().join("target")).expect("a folder");
    let config = Config {
        compressors: vec![format!("zstd:{level}").parse().expect("a method")],
        cut,
        workers: 1,
        ..Config::new(dir.path())
    };
    let source: Arc<dyn Source> = Arc::clone(sets) as _;
    let baker = Baker::open(source, config).expect("a baker");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bake = |item: &Item| {
        runtime
            .block_on(baker.bake(item.clone()))
            .expect("baked")
            .record
            .clone()
    };
    let start = Instant::now();
    let old: Vec<Record> = sets.old.iter().map(bake).collect();
    let seconds = start.elapsed().as_secs_f64();
    let (mut held, mut pieces, mut first) = (HashSet::new(), 0, 0);
    for record in &old {
        let (entries, _) = index(&baker, record);
        pieces += entries.len();
        first += record.representations[0].file_size;
        held.extend(entries.iter().flat_map(|entry| entry.cids()));
    }
    let lacking = |items: &[Item]| -> f64 {
        let bytes = items.iter().map(|item| {
            let (entries, length) = index(&baker, &bake(item));
            Plan::new(&entries, |_| false, |cid: &Cid| held.contains(cid)).bytes + length
        });
        bytes.sum::<u64>() as f64 / zstd.bytes as f64
    };
    let stored = |baker: &Baker| baker.blocks().stats().expect("counted").bytes as f64;
    let rebuild = lacking(&sets.rebuilt);
    let both = stored(&baker) / zstd.bytes as f64;
    let (update, elsewhere) = (lacking(&sets.new), lacking(&sets.elsewhere));
    println!(
        "| {name}, zstd -{level} | {:.3} | {update:.3} | {rebuild:.3} | {elsewhere:.3} | {both:.2} | {pieces} | {:.2} |",
        first as f64 / zstd.bytes as f64,
        seconds / zstd.time.as_secs_f64(),
    );
}

/// The pieces of an item and the length of its chunk index.
fn index(baker: &Baker, record: &Record) -> (Vec<interplanar_core::dedup::Entry>, u64) {
    let root = record.representations[0].index.expect("an index");
    let get = |cid: &Cid| baker.blocks().get(cid).expect("readable").expect("there");
    let block = get(&root);
    let mut length = block.len() as u64;
    let entries = match Index::decode(&block).expect("an index").body {
        Body::Pieces(entries) => entries,
        Body::Parts(parts) => {
            let part = |part: &interplanar_core::dedup::Part| {
                let block = get(&part.cid);
                length += block.len() as u64;
                part.decode(&block).expect("a part")
            };
            parts.iter().flat_map(part).collect()
        }
    };
    (entries, length)
}

/// What a program makes of the old packages.
struct Whole {
    bytes: u64,
    time: Duration,
}

/// Items and their NARs.
#[derive(Default)]
struct Sets {
    nars: HashMap<String, Vec<u8>>,
    old: Vec<Item>,
    new: Vec<Item>,
    rebuilt: Vec<Item>,
    elsewhere: Vec<Item>,
}

impl Sets {
    fn read(data: &Path) -> Self {
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

    /// An item of a generation of references, which are written into its NAR.
    fn item(&mut self, name: &str, set: &str, generation: char, mut nar: Vec<u8>) -> Item {
        let hashes: Vec<String> = (0..REFERENCES)
            .map(|n| hash(&format!("{generation}{n}")))
            .collect();
        refer(&mut nar, &hashes);
        let base = format!("{}-{name}", hash(&format!("{name} {set}")));
        let item = Item {
            store_path: StorePath::in_directory("/gnu/store", &base).expect("a store path"),
            nar_hash: Sha256::of(&nar),
            nar_size: nar.len() as u64,
            references: hashes
                .iter()
                .map(|hash| format!("{hash}-reference"))
                .collect(),
            deriver: None,
            system: None,
            ca: None,
            signatures: vec![],
        };
        self.nars.insert(base, nar);
        item
    }

    fn nar(&self, item: &Item) -> &[u8] {
        &self.nars[item.store_path.base_name()]
    }

    fn size(&self) -> u64 {
        self.old.iter().map(|item| item.nar_size).sum()
    }

    /// The old packages through a real program, one by one.
    fn compress(&self, program: &str, level: u32) -> Whole {
        let (mut bytes, start) = (0, Instant::now());
        for item in &self.old {
            let mut child = Command::new(program)
                .args([&format!("-{level}"), "-c"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}"));
            let mut stdin = child.stdin.take().expect("a pipe");
            std::thread::scope(|scope| {
                scope.spawn(move || stdin.write_all(self.nar(item)).expect("written"));
                bytes += child.wait_with_output().expect("compressed").stdout.len() as u64;
            });
        }
        let time = start.elapsed();
        Whole { bytes, time }
    }
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

/// A hash part.
fn hash(seed: &str) -> String {
    nix_base32::encode(&Sha256::of(seed.as_bytes()).as_bytes()[..20])
}

/// Writes references where builds have them: the interpreter and the search path of programs, the first line of scripts.
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
