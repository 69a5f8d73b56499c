//! Lists the blocks of baked DAGs and snapshots, and writes CARs of them.

use std::collections::HashSet;
use std::io;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::dedup::{Index, IndexBody};
use interplanar_core::unixfs::Content as Node;

use super::Baker;
use crate::blocks::BlockStore;

/// Returns a block of the store, verified; `None` if it is lost.
fn get(blocks: &BlockStore, cid: &Cid) -> Option<Block> {
    let data = blocks.get(cid).unwrap_or_else(|error| {
        tracing::error!(%cid, %error, "can't read a block");
        None
    });
    Block::verify(*cid, data?).ok()
}

/// The blocks of some DAGs: files, directories and chunk indexes.
pub(crate) struct DagBlocks {
    /// Their CIDs, parents before their children, each once. Whether leaves exist isn't
    /// checked.
    pub(crate) cids: Vec<Cid>,
    /// A lost node; the blocks below it are unknown.
    pub(crate) lost: Option<Cid>,
}

/// Walks files, directories and chunk indexes from their roots. Blocks.
pub(crate) fn blocks_of(blocks: &BlockStore, roots: &[Cid]) -> DagBlocks {
    let (mut cids, mut known) = (Vec::new(), HashSet::new());
    let mut lost = None;
    // The next block to visit comes last.
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
    DagBlocks { cids, lost }
}

/// The blocks that must not be deleted, by multihash.
#[derive(Default)]
pub(super) struct LiveBlocks(HashSet<Vec<u8>>);

impl LiveBlocks {
    /// Adds the blocks of some DAGs.
    ///
    /// # Errors
    /// Returns a lost block: the blocks below it are unknown.
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

/// Returns the links of a node.
pub(crate) fn children(block: &Block) -> io::Result<Vec<Cid>> {
    if block.cid().codec() == cid::DAG_CBOR {
        // A part of a chunk index has no links, and doesn't decode as an index.
        let parts = match Index::decode(block.data()) {
            Ok(Index {
                body: IndexBody::Parts(parts),
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

/// Yields a CAR with blocks of one item or of a snapshot, piece by piece. Blocks.
pub(crate) struct CarStream {
    store: BlockStore,
    /// The baker to notify when a block of this item is lost.
    damage: Option<(Baker, String)>,
    header: Option<Bytes>,
    blocks: std::vec::IntoIter<Cid>,
}

impl CarStream {
    pub(super) fn new(baker: &Baker, hash_part: &str, roots: &[Cid], blocks: Vec<Cid>) -> Self {
        Self {
            damage: Some((baker.clone(), hash_part.to_owned())),
            ..Self::of(baker.blocks(), roots, blocks)
        }
    }

    /// Returns a CAR of any blocks.
    pub(crate) fn of(store: &BlockStore, roots: &[Cid], blocks: Vec<Cid>) -> Self {
        Self {
            store: store.clone(),
            damage: None,
            header: Some(car::header(roots).into()),
            blocks: blocks.into_iter(),
        }
    }
}

impl Iterator for CarStream {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(header) = self.header.take() {
            return Some(Ok(header));
        }
        let cid = self.blocks.next()?;
        let Some(block) = get(&self.store, &cid) else {
            if let Some((baker, hash_part)) = self.damage.take() {
                baker.forget_damaged(&hash_part);
            }
            return Some(Err(io::Error::other(
                "a block is lost; repair the cache folder with `interplanar fsck`",
            )));
        };
        let mut section = car::block_prefix(&cid, block.data().len());
        section.extend_from_slice(block.data());
        Some(Ok(section.into()))
    }
}
