//! Symbolic links, with the CIDs of `ipfs add`.

use super::{Built, Data, NodeType};
use crate::block::Block;
use crate::cid::Version;
use crate::dag_pb::Node;
use alloc::vec::Vec;
use bytes::Bytes;

/// Builds a symbolic link and sends its block to `sink`.
pub fn symlink(target: &[u8], version: Version, sink: &mut impl FnMut(Block)) -> Built {
    let data = Data {
        data: Some(Bytes::copy_from_slice(target)),
        ..Data::new(NodeType::Symlink)
    };
    let node = Node {
        links: Vec::new(),
        data: Some(data.encode()),
    };
    let block = Block::dag_pb(node.encode(), version);
    let built = Built {
        cid: *block.cid(),
        size: 0,
        dag_size: block.data().len() as u64,
    };
    sink(block);
    built
}
