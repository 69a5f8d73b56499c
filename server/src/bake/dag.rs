//! All blocks of baked DAGs and of snapshots, and the CAR of some of them.

use std::collections::HashSet;
use std::io;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::dedup::{Body, Index};
use interplanar_core::unixfs::Content as Node;

use super::Baker;
use crate::blocks::BlockStore;

/// A block of the store, verified; `None` if it is lost.
fn get(blocks: &BlockStore, cid: &Cid) -> Option<Block> {
    let data = blocks.get(cid).unwrap_or_else(|error| {
        tracing::error!(%cid, %error, "a block can't be read");
        None
    });
    Block::verify(*cid, data?).ok()
}

/// The blocks of files, directories and chunk indexes.
pub(crate) struct Walked {
    /// Their CIDs, parents before their children, each once. That leaves are there isn't checked.
    pub(crate) cids: Vec<Cid>,
    /// A node that is lost, and with it what lies below it.
    pub(crate) lost: Option<Cid>,
}

/// Walks files, directories and chunk indexes from their roots. Blocks on the disk.
pub(crate) fn blocks_of(blocks: &BlockStore, roots: &[Cid]) -> Walked {
    let (mut cids, mut known) = (Vec::new(), HashSet::new());
    let mut lost = None;
    // The next one last.
    let mut open: Vec<Cid> = roots.iter().rev().copied().collect();
    while let Some(cid) = open.pop() {
        if !known.insert(cid) {
            continue;
        }
        cids.push(cid);
        if cid.codec() == cid::RAW {
            continue;
        }
        match get(blocks, &cid).and_then(|block| children(&block).ok()) {
            Some(children) => open.extend(children.into_iter().rev()),
            None => lost = Some(cid),
        }
    }
    Walked { cids, lost }
}

/// Blocks of DAGs that stay, by multihash.
#[derive(Default)]
pub(super) struct Alive(HashSet<Vec<u8>>);

impl Alive {
    /// Adds DAGs.
    ///
    /// # Errors
    /// The block that is lost: those below it can't be told.
    pub(super) fn add(&mut self, blocks: &BlockStore, roots: &[Cid]) -> Result<(), Cid> {
        let walked = blocks_of(blocks, roots);
        self.0
            .extend(walked.cids.iter().map(|cid| cid.hash().to_bytes()));
        walked.lost.map_or(Ok(()), Err)
    }

    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.0.contains(&cid.hash().to_bytes())
    }
}

/// What a node leads to.
pub(crate) fn children(block: &Block) -> io::Result<Vec<Cid>> {
    if block.cid().codec() == cid::DAG_CBOR {
        // A part of an index has no links, and isn't an index.
        let parts = match Index::decode(block.data()) {
            Ok(Index {
                body: Body::Parts(parts),
                ..
            }) => parts,
            _ => Vec::new(),
        };
        return Ok(parts.into_iter().map(|part| part.cid).collect());
    }
    Ok(match Node::decode(block).map_err(io::Error::other)? {
        Node::File { children, .. } => children.into_iter().map(|(cid, _)| cid).collect(),
        Node::Directory(links) | Node::Shard { links, .. } => {
            links.into_iter().map(|link| link.cid).collect()
        }
        Node::Raw(_) | Node::Symlink(_) => Vec::new(),
    })
}

/// The pieces of a CAR with blocks of one item, or of a snapshot. Blocks on the disk.
pub(crate) struct Car {
    store: BlockStore,
    /// Whom to tell of what that a block is lost.
    damaged: Option<(Baker, String)>,
    header: Option<Bytes>,
    blocks: std::vec::IntoIter<Cid>,
}

impl Car {
    pub(super) fn new(baker: &Baker, hash_part: &str, roots: &[Cid], blocks: Vec<Cid>) -> Self {
        Self {
            damaged: Some((baker.clone(), hash_part.to_owned())),
            ..Self::of(baker.blocks(), roots, blocks)
        }
    }

    /// Of any blocks.
    pub(crate) fn of(store: &BlockStore, roots: &[Cid], blocks: Vec<Cid>) -> Self {
        Self {
            store: store.clone(),
            damaged: None,
            header: Some(car::header(roots).into()),
            blocks: blocks.into_iter(),
        }
    }
}

impl Iterator for Car {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(header) = self.header.take() {
            return Some(Ok(header));
        }
        let cid = self.blocks.next()?;
        let Some(block) = get(&self.store, &cid) else {
            if let Some((baker, hash_part)) = self.damaged.take() {
                baker.damaged(&hash_part);
            }
            return Some(Err(io::Error::other("a block is lost")));
        };
        let mut section = car::block_prefix(&cid, block.data().len());
        section.extend_from_slice(block.data());
        Some(Ok(section.into()))
    }
}
