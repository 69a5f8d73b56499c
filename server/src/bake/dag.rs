//! All blocks of baked DAGs, and the CAR of some of them.

use std::io;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::dedup::{Body, Index};
use interplanar_core::unixfs::Content as Node;

use super::Baker;

/// A block of the store, verified; the baker is told of what item one is lost.
fn get(baker: &Baker, hash_part: &str, cid: &Cid) -> io::Result<Block> {
    let data = baker.blocks().get(cid).map_err(io::Error::other)?;
    let Some(data) = data else {
        baker.damaged(hash_part);
        return Err(io::Error::other("a block is lost"));
    };
    Block::verify(*cid, data).map_err(io::Error::other)
}

/// The CIDs of the blocks of files and chunk indexes, parents before their children, each once. Blocks on the disk.
pub(super) fn blocks_of(baker: &Baker, hash_part: &str, roots: &[Cid]) -> io::Result<Vec<Cid>> {
    let (mut all, mut known) = (Vec::new(), std::collections::HashSet::new());
    // The next one last.
    let mut open: Vec<Cid> = roots.iter().rev().copied().collect();
    while let Some(cid) = open.pop() {
        if !known.insert(cid) {
            continue;
        }
        all.push(cid);
        if cid.codec() == cid::RAW {
            continue;
        }
        let children = children(&get(baker, hash_part, &cid)?)?;
        open.extend(children.into_iter().rev());
    }
    Ok(all)
}

fn children(block: &Block) -> io::Result<Vec<Cid>> {
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
    match Node::decode(block).map_err(io::Error::other)? {
        Node::File { children, .. } => Ok(children.into_iter().map(|(cid, _)| cid).collect()),
        _ => Ok(Vec::new()),
    }
}

/// The pieces of a CAR with blocks of one item. Blocks on the disk.
pub(super) struct Car {
    baker: Baker,
    hash_part: String,
    header: Option<Bytes>,
    blocks: std::vec::IntoIter<Cid>,
}

impl Car {
    pub(super) fn new(baker: &Baker, hash_part: &str, roots: &[Cid], blocks: Vec<Cid>) -> Self {
        Self {
            baker: baker.clone(),
            hash_part: hash_part.to_owned(),
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
        let section = get(&self.baker, &self.hash_part, &cid).map(|block| {
            let mut section = car::block_prefix(&cid, block.data().len());
            section.extend_from_slice(block.data());
            section.into()
        });
        Some(section)
    }
}
