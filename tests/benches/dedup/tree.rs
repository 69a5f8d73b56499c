//! The bytes that trees add to plain NARs.

use super::sets::Sets;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::dedup::TreeBuilder;
use interplanar_core::unixfs::Content;
use std::collections::{HashMap, HashSet};

/// Prints the bytes of the old packages' trees that their NARs lack.
pub(crate) fn report(sets: &Sets) {
    let (mut nars, mut added, mut blocks, mut worst) = (0, 0, 0, 0.0_f64);
    for item in &sets.old {
        let (all, root) = build(sets.nar(item));
        let below = below(root, &all);
        let own = all.iter().filter(|(cid, _)| !below.contains(*cid));
        let own: usize = own.map(|(_, block)| block.data().len()).sum();
        nars += item.nar_size;
        added += own as u64;
        blocks += all.len();
        worst = worst.max(own as f64 / item.nar_size as f64);
    }
    println!(
        "tree: {:.3} × the bytes of the NARs ({worst:.3} at most), {blocks} blocks",
        added as f64 / nars as f64
    );
}

/// Returns all blocks, and the root of the NAR.
fn build(nar: &[u8]) -> (HashMap<Cid, Block>, Cid) {
    let mut all = HashMap::new();
    let mut sink = |block: Block| drop(all.insert(*block.cid(), block));
    let mut builder = TreeBuilder::new();
    builder.push(nar, &mut sink).expect("a NAR");
    let tree = builder.finish(&mut sink).expect("a NAR");
    (all, tree.nar.cid)
}

/// Returns the CIDs of a file's blocks.
fn below(root: Cid, all: &HashMap<Cid, Block>) -> HashSet<Cid> {
    let (mut found, mut open) = (HashSet::new(), vec![root]);
    while let Some(cid) = open.pop() {
        if !found.insert(cid) {
            continue;
        }
        if let Ok(Content::File { children, .. }) = Content::decode(&all[&cid]) {
            open.extend(children.into_iter().map(|(cid, _)| cid));
        }
    }
    found
}
