//! Reads a CAR with a snapshot. The whole file is verified before its blocks are stored, so that a
//! cache never has half a snapshot.

use super::Failure;
use crate::bake::dag::children;
use crate::bake::snapshot::Snapshots;
use crate::blocks::BlockStore;
use crate::get::Bar;
use anyhow::anyhow;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::{self, Cid};
use interplanar_core::unixfs::Content;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;

/// A CAR that contains every block of one snapshot, and no other block.
pub(super) struct VerifiedSnapshot {
    pub(super) root: Cid,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

/// Reads a CAR to its end and returns its roots. `take` gets each verified block.
fn blocks(
    mut input: BufReader<File>,
    bar: &Bar,
    take: &mut dyn FnMut(Block) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Cid>> {
    let (mut reader, mut found) = (Reader::new(), Vec::new());
    loop {
        let mut chunk = Vec::new();
        input.by_ref().take(CHUNK).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            reader.finish()?;
            return Ok(found);
        }
        bar.add(chunk.len());
        let mut chunk = Bytes::from(chunk);
        while let Some(item) = reader.push(&mut chunk)? {
            match item {
                Item::Header { roots } => found = roots,
                Item::Block { cid, data } => {
                    let block = Block::verify(cid, data);
                    take(block.map_err(|error| anyhow!("block {cid}: {error}"))?)?;
                }
            }
        }
    }
}

/// Checks that a CAR contains exactly one whole snapshot.
pub(super) fn check(input: BufReader<File>, path: &Path) -> Result<VerifiedSnapshot, Failure> {
    let bar = Bar::new(
        "verifying",
        input.get_ref().metadata().ok().map(|m| m.len()),
    );
    let (mut present, mut needed) = (HashSet::new(), HashSet::new());
    let (mut bytes, mut tops) = (0_u64, Vec::new());
    let roots = blocks(input, &bar, &mut |block| {
        if !present.insert(*block.cid()) {
            return Ok(());
        }
        bytes += block.data().len() as u64;
        if block.cid().codec() != cid::RAW {
            let below = children(&block)?;
            // A CID of the identity hash contains its block; a CAR doesn't store it.
            needed.extend(
                below
                    .into_iter()
                    .filter(|cid| cid::identity_data(cid).is_none()),
            );
        }
        if tops.is_empty() {
            tops.push(block);
        }
        Ok(())
    });
    let invalid = |what: String| {
        Failure::verification(anyhow!(
            "{} is not a whole snapshot: {what}",
            path.display()
        ))
    };
    let roots = roots.map_err(|error| invalid(error.to_string()))?;
    let &[root] = roots.as_slice() else {
        return Err(invalid(format!("{} roots, expected one", roots.len())));
    };
    needed.insert(root);
    if let Some(missing) = needed.difference(&present).next() {
        return Err(invalid(format!("block {missing} is missing")));
    }
    if let Some(stray) = present.difference(&needed).next() {
        return Err(invalid(format!("block {stray} doesn't belong to it")));
    }
    // An export starts with its root.
    let top = tops.first().filter(|block| *block.cid() == root);
    let is_directory = top.and_then(|block| Content::decode(block).ok());
    if !matches!(
        is_directory,
        Some(Content::Directory(_) | Content::Shard { .. })
    ) {
        return Err(invalid("its first block is not a directory".to_owned()));
    }
    Ok(VerifiedSnapshot {
        root,
        blocks: present.len() as u64,
        bytes,
    })
}

/// Stores a verified CAR in a cache folder. Removes its blocks again if that fails.
pub(super) fn store(
    input: BufReader<File>,
    dir: &Path,
    whole: &VerifiedSnapshot,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir.join("items"))?;
    let store = BlockStore::open(&dir.join("blocks"))?;
    let bar = Bar::new(
        "importing",
        input.get_ref().metadata().ok().map(|m| m.len()),
    );
    let mut new = Vec::new();
    let mut put = |block: Block| {
        if !store.has(block.cid())? {
            new.push(*block.cid());
            store.put(&[block])?;
        }
        Ok(())
    };
    let kept = blocks(input, &bar, &mut put).and_then(|_| {
        // Another program could have replaced the file since it was verified.
        let mut missing = crate::bake::dag::blocks_of(&store, &[whole.root]);
        missing
            .cids
            .retain(|cid| !matches!(store.has(cid), Ok(true)));
        if missing.lost.is_some() || !missing.cids.is_empty() {
            return Err(anyhow!("the file changed while it was imported"));
        }
        store.flush()?;
        let snapshots = Snapshots::open(dir, store.clone());
        Ok(snapshots.hold().imported(whole.root)?)
    });
    if kept.is_err() {
        store.remove(&new)?;
        store.compact()?;
    }
    kept
}
