//! Builds DAGs from the fuzzer's bytes: links lead to real blocks, and all other fields hold any value.

use arbitrary::Arbitrary;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::hash::Sha256;
use interplanar_core::unixfs::{Data, NodeType};

/// One block. Its links lead to blocks before it.
#[derive(Debug, Arbitrary)]
pub enum Part {
    /// A raw leaf.
    Raw(Vec<u8>),
    /// Any bytes, with the codec of dag-pb.
    Odd(Vec<u8>),
    /// A dag-pb node with UnixFS data.
    Node {
        kind: u8,
        data: Option<Vec<u8>>,
        file_size: Option<u64>,
        block_sizes: Vec<u64>,
        fanout: Option<u64>,
        /// For each link: index of the block, name, and `Tsize`.
        links: Vec<(u8, Vec<u8>, u64)>,
        /// The sizes are the right ones.
        honest: bool,
    },
}

/// Builds the blocks; the last one is the root. One index stands for a block that doesn't exist.
pub fn build(parts: &[Part]) -> Vec<Block> {
    let mut blocks: Vec<(Block, u64)> = Vec::new();
    for part in parts.iter().take(64) {
        let (codec, bytes, size) = match part {
            Part::Raw(bytes) => (cid::RAW, bytes.clone(), bytes.len() as u64),
            Part::Odd(bytes) => (cid::DAG_PB, bytes.clone(), 0),
            Part::Node { .. } => {
                let (bytes, size) = node(part, &blocks);
                (cid::DAG_PB, bytes, size)
            }
        };
        let cid = cid::of_sha256(cid::Version::V1, codec, &Sha256::of(&bytes));
        if let Ok(block) = Block::verify(cid, Bytes::from(bytes)) {
            blocks.push((block, size));
        }
    }
    blocks.into_iter().map(|(block, _)| block).collect()
}

fn node(part: &Part, blocks: &[(Block, u64)]) -> (Vec<u8>, u64) {
    let Part::Node {
        kind,
        data,
        file_size,
        block_sizes,
        fanout,
        links,
        honest,
    } = part
    else {
        return (Vec::new(), 0);
    };
    let nowhere = cid::of_sha256(cid::Version::V1, cid::RAW, &Sha256::of(b"nowhere"));
    let target = |at: u8| blocks.get(usize::from(at) % (blocks.len() + 1));
    let kinds = [
        NodeType::Raw,
        NodeType::Directory,
        NodeType::File,
        NodeType::Symlink,
        NodeType::HamtShard,
    ];
    let mut unixfs = Data::new(kinds[usize::from(*kind) % kinds.len()]);
    unixfs.data = data.clone().map(Bytes::from);
    unixfs.fanout = *fanout;
    let here = data.as_ref().map_or(0, Vec::len) as u64;
    let sizes = links
        .iter()
        .map(|(at, _, _)| target(*at).map_or(0, |(_, size)| *size));
    let total = sizes.clone().fold(here, u64::saturating_add);
    if *honest {
        unixfs.blocksizes = sizes.collect();
        unixfs.filesize = Some(total);
    } else {
        unixfs.blocksizes.clone_from(block_sizes);
        unixfs.filesize = *file_size;
    }
    let links = links.iter().map(|(at, name, tsize)| Link {
        cid: target(*at).map_or(nowhere, |(block, _)| *block.cid()),
        name: Bytes::from(name.clone()),
        tsize: *tsize,
    });
    let node = Node {
        links: links.collect(),
        data: Some(unixfs.encode()),
    };
    (node.encode().to_vec(), total)
}

/// Finds a block by its CID.
pub fn find<'a>(blocks: &'a [Block], cid: &Cid) -> Option<&'a Block> {
    blocks.iter().find(|block| block.cid() == cid)
}
