//! DAGs out of nothing: blocks whose links lead to each other, with everything else as wrong as the fuzzer likes.

use arbitrary::Arbitrary;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::hash::Sha256;
use interplanar_core::unixfs::{Data, Kind};

/// A block that may link to those before it.
#[derive(Debug, Arbitrary)]
pub enum Part {
    Raw(Vec<u8>),
    /// Anything at all, under the codec of nodes.
    Odd(Vec<u8>),
    Node {
        kind: u8,
        data: Option<Vec<u8>>,
        file_size: Option<u64>,
        block_sizes: Vec<u64>,
        fanout: Option<u64>,
        links: Vec<(u8, Vec<u8>, u64)>,
        /// The sizes are those of the children.
        honest: bool,
    },
}

/// Builds them; the last is the root. A link to a block that isn't there yet leads nowhere.
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
        Kind::Raw,
        Kind::Directory,
        Kind::File,
        Kind::Symlink,
        Kind::HamtShard,
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

/// The block of a CID.
pub fn find<'a>(blocks: &'a [Block], cid: &Cid) -> Option<&'a Block> {
    blocks.iter().find(|block| block.cid() == cid)
}
