mod index;
mod indexer;
mod search;

use super::cut::cut;
use super::index::parameters_id;
use super::piece_list::IndexedPiece;
use super::*;
use crate::store::trees::{Tree, Trees};
use interplanar_core::dedup::Parameters;
use interplanar_core::store_path::StorePath;
use std::fs;
use std::time::Instant;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let block = |n: u64| *Sha256::of(&[seed.to_le_bytes(), n.to_le_bytes()].concat()).as_bytes();
    (0..length.div_ceil(32) as u64).flat_map(block).collect()
}

/// A store with items of these names. Each has 300 kB of its own, and 3 MB that all share.
fn store(dir: &Path, names: &[&str]) -> Arc<dyn Source> {
    let tree = |(name, own): (&&str, u64)| {
        let path = dir.join(name);
        fs::create_dir_all(path.join("lib")).unwrap();
        fs::write(path.join("own"), noise(own, 300_000)).unwrap();
        fs::write(path.join("lib/shared"), noise(9, 3_000_000)).unwrap();
        Tree { path, name: None }
    };
    let trees: Vec<Tree> = names.iter().zip(20..).map(tree).collect();
    Arc::new(Trees::open(&trees, "/gnu/store").unwrap())
}

fn candidate(store: &Arc<dyn Source>, name: &str) -> Candidate {
    let all = store.items(None, 100).unwrap();
    let item = all
        .into_iter()
        .find(|item| item.store_path.name() == name)
        .unwrap();
    Candidate {
        store: Arc::clone(store),
        item,
    }
}

fn cut_now(candidate: &Candidate) -> Vec<IndexedPiece> {
    cut(candidate, &Parameters::default(), &mut || true).unwrap()
}

fn wanted(pieces: &[IndexedPiece]) -> Vec<(Sha256, u32)> {
    pieces.iter().map(|one| (one.plain, one.length)).collect()
}

fn entry(candidate: &Candidate, rank: i64) -> super::index::IndexEntry<'_> {
    super::index::IndexEntry {
        path: &candidate.item.store_path,
        nar_hash: &candidate.item.nar_hash,
        cut: parameters_id(&Parameters::default()),
        rank,
    }
}
