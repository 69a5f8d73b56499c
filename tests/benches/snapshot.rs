//! `make bench-snapshot`: the time, bytes and blocks that one more item adds to a snapshot of
//! 100,000 items, and the time against building the whole snapshot.
//!
//! Narinfos are generated, and each NAR is one leaf. So this measures the directory, not the
//! baking. All blocks are durable when a time is taken.

use interplanar_core::block::Block;
use interplanar_core::hash::Sha256;
use interplanar_server::bake::snapshot::{SnapshotChanges, SnapshotItem, Snapshots, new_blocks};
use interplanar_server::blocks::BlockStore;
use std::time::{Duration, Instant};

const ITEMS: u32 = 100_000;
/// The number of items that are added one by one.
const MORE: u32 = 21;

fn main() {
    // `cargo test --benches` only checks that this builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let blocks = BlockStore::open(&dir.path().join("blocks")).expect("a block store");
    let snapshots = Snapshots::open(dir.path(), blocks.clone());
    let mut held = snapshots.hold();
    let start = Instant::now();
    let mut put = (0..ITEMS).map(|number| entry(&blocks, number));
    let mut root = held.apply(changes(), &mut put).expect("made").expect("new");
    let whole = start.elapsed();
    let (mut times, mut bytes, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for number in ITEMS..ITEMS + MORE {
        let before = blocks.stats().expect("an index").bytes;
        let mut put = vec![entry(&blocks, number)].into_iter();
        let start = Instant::now();
        let next = held.apply(changes(), &mut put).expect("made").expect("new");
        times.push(start.elapsed());
        let new = new_blocks(&blocks, next, Some(root), "nar").expect("nothing is lost");
        counts.push(new.len() as u64);
        bytes.push(blocks.stats().expect("an index").bytes - before);
        root = next;
    }
    let median = |values: &mut Vec<u64>| {
        values.sort_unstable();
        values[values.len() / 2]
    };
    times.sort_unstable();
    let worst = times.last().copied().unwrap_or_default();
    let all = blocks.stats().expect("an index");
    println!("| a snapshot of {ITEMS} items | |\n|---|---|");
    println!(
        "| made at once | {:.1} s, {} blocks of {} MB |",
        whole.as_secs_f64(),
        all.blocks,
        all.bytes / 1_000_000
    );
    println!(
        "| one more item, median and worst of {MORE} | {} and {} ms (wanted: 1000) |",
        millis(times[times.len() / 2]),
        millis(worst)
    );
    println!(
        "| its new bytes, median and most | {} and {} KiB (wanted: 1024) |",
        median(&mut bytes) >> 10,
        bytes.last().copied().unwrap_or_default() >> 10
    );
    println!("| its new blocks | {} |", median(&mut counts));
    println!(
        "| against making it at once | {:.5} of the time |",
        times[times.len() / 2].as_secs_f64() / whole.as_secs_f64()
    );
}

fn millis(time: Duration) -> u128 {
    time.as_millis()
}

/// Returns the files beside the narinfos.
fn changes() -> SnapshotChanges {
    SnapshotChanges {
        files: vec![("nix-cache-info", b"StoreDir: /gnu/store\n".to_vec())],
        keep_for: Duration::from_secs(3600),
        ..SnapshotChanges::default()
    }
}

/// Makes an item, and stores its NAR.
fn entry(blocks: &BlockStore, number: u32) -> SnapshotItem {
    let hash = Sha256::of(&number.to_le_bytes());
    let nix32 = hash.to_nix32();
    let base = format!("{}-package-{number}-1.{}", &nix32[..32], number % 97);
    let nar = Block::raw(hash.as_bytes().to_vec().into());
    blocks.put(std::slice::from_ref(&nar)).expect("stored");
    let url = format!("nar/zstd/{base}");
    let references: Vec<String> = (1..6)
        .map(|n| format!("{}-reference-{n}", &nix32[..32]))
        .collect();
    let narinfo = format!(
        "StorePath: /gnu/store/{base}\nNarHash: sha256:{nix32}\nNarSize: 123456\nReferences: {}\nDeriver: {base}.drv\n\
         Signature: 1;host;{}\nURL: {url}\nCompression: zstd\nFileSize: 12345\n",
        references.join(" "),
        nix32.repeat(9)
    );
    SnapshotItem {
        hash_part: nix32[..32].to_owned(),
        narinfo: narinfo.into(),
        files: vec![(url, *nar.cid())],
    }
}
