//! Tests of the whole module: a NAR is cut, compressed, laid out, indexed, and read back in every
//! way.

use super::cut::tests::{cuts, item, nar, tiny};
use super::frame::tests::compress;
use super::*;
use crate::block::Block;
use crate::cid::Cid;
use crate::decompress::{Decoder, Limits};
use crate::hash::Sha256;
use crate::narinfo::Compression;
use crate::unixfs::{Budget, Built, Walker};
use std::collections::HashMap;
use std::vec;
use std::vec::Vec;

const BEFORE: [&str; 2] = [
    "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r",
    "bnfap3gvj3v0k345a5zkxwyd38m1f2s5",
];
const AFTER: [&str; 2] = [
    "0123456789abcdfghijklmnpqrsvwxyz",
    "agkhnj5wmbrb40rigsyf6ynkdi22d89g",
];

#[test]
fn published_narinfos_keep_the_names_of_their_fields() {
    let names = [FIELD, SMALL_FIELD, TREE_FIELD];
    assert_eq!(names, ["ChunkIndex", "SmallPieces", "Tree"]);
}

/// Reads the content of a UnixFS file.
pub(in crate::dedup) fn read(root: Cid, blocks: &HashMap<Cid, Block>) -> Vec<u8> {
    let mut walker = Walker::new(root, Budget::default());
    let mut read = vec![];
    while !walker.is_done() {
        for cid in walker.wants(3).unwrap() {
            walker.push(blocks[&cid].clone()).unwrap();
        }
        while let Some(bytes) = walker.next() {
            read.extend_from_slice(&bytes);
        }
    }
    read
}

struct Baked {
    nar: Vec<u8>,
    file: Built,
    blocks: HashMap<Cid, Block>,
    entries: Vec<PieceEntry>,
}

fn bake(hashes: [&str; 2], parameters: Parameters) -> Baked {
    let nar = nar(&item(hashes));
    let mut blocks = HashMap::new();
    let mut sink = |block: Block| drop(blocks.insert(*block.cid(), block));
    let (mut dag, mut index) = (Dag::new(&mut sink), IndexBuilder::new(parameters));
    for cut in cuts(&nar, parameters, hashes, 1 << 16) {
        match cut {
            Cut::Enter => dag.enter(),
            Cut::Leave { size } => dag.leave(size, &mut sink),
            Cut::Piece(piece) => {
                let compressed = compress(&piece.data, 3);
                let length = compressed.len() as u32;
                let leaves = leaves(compressed.into());
                dag.add(&leaves, &mut sink);
                let digests = leaves.iter().map(|leaf| Sha256::of(leaf.data()));
                let entry = PieceEntry {
                    offset: piece.offset,
                    length: piece.data.len() as u32,
                    compressed: length,
                    plain: Sha256::of(&piece.data),
                    leaves: digests.collect(),
                };
                index.add(entry, &mut sink);
                leaves.into_iter().for_each(&mut sink);
            }
        }
    }
    let file = dag.finish(&mut sink);
    let root = index.finish(&mut sink);
    let IndexBody::Pieces(entries) = Index::decode(blocks[&root].data()).unwrap().body else {
        panic!("few pieces")
    };
    Baked {
        nar,
        file,
        blocks,
        entries,
    }
}

fn file(baked: &Baked) -> Vec<u8> {
    read(baked.file.cid, &baked.blocks)
}

#[test]
fn the_file_is_the_nar_in_one_zstd_frame() {
    for parameters in [tiny(), Parameters::LARGE] {
        let baked = bake(BEFORE, parameters);
        let limits = Limits {
            max_output: baked.nar.len() as u64,
            max_window: frame::WINDOW,
        };
        let (mut decoder, mut nar) = (Decoder::new(Compression::Zstd, limits).unwrap(), vec![]);
        let file = file(&baked);
        let mut input = &file[..];
        while !input.is_empty() {
            decoder.push(&mut input, &mut nar).unwrap();
        }
        while !decoder.finish(&mut nar).unwrap() {}
        assert!(nar == baked.nar);
    }
}

#[test]
fn any_range_is_decoded_from_the_pieces_that_cover_it() {
    let baked = bake(BEFORE, tiny());
    let end = baked.nar.len() as u64;
    for start in (0..end).step_by(9973) {
        for stop in [start + 1, start + 700, (start + 50_000).min(end)] {
            let wanted = covering(&baked.entries, start..stop);
            let mut bytes = vec![];
            for entry in wanted {
                let leaves = entry
                    .cids()
                    .flat_map(|cid| baked.blocks[&cid].data().to_vec());
                let plain = frame::decode(&leaves.collect::<Vec<_>>(), entry.length).unwrap();
                assert_eq!(Sha256::of(&plain), entry.plain);
                bytes.extend(plain);
            }
            let first = wanted[0].offset as usize;
            let stop = stop.min(end) as usize;
            assert!(bytes[start as usize - first..stop - first] == baked.nar[start as usize..stop]);
        }
    }
}

/// If the old item is installed, or its blocks are cached, only pieces around references are
/// fetched.
#[test]
fn an_update_fetches_what_changed() {
    let (old, new) = (bake(BEFORE, tiny()), bake(AFTER, tiny()));
    let installed = |plain: &Sha256| old.entries.iter().any(|entry| entry.plain == *plain);
    let cached = |cid: &Cid| old.blocks.contains_key(cid);
    let from_store = Plan::new(&new.entries, installed, |_| false);
    let from_cache = Plan::new(&new.entries, |_| false, cached);
    let all = Plan::new(&new.entries, |_| false, |_| false);
    assert_eq!(from_store.fetch, from_cache.fetch);
    // The item has many references, and hashes don't compress.
    assert!(
        from_store.bytes * 4 < all.bytes,
        "{} of {}",
        from_store.bytes,
        all.bytes
    );
    let changed = from_store
        .sources
        .iter()
        .filter(|way| **way == PieceSource::Fetch)
        .count();
    assert!(
        0 < changed && changed < new.entries.len(),
        "{changed} of {}",
        new.entries.len()
    );
}
