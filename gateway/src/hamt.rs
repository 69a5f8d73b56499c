//! Sharded directories: lists the links of a shard, and finds a name.
//!
//! A link's name starts with its slot in upper-case hex, followed by the entry's name. For a child
//! shard nothing follows.

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::{Budget, NodeType, Resolver, UnixFsError};

use crate::dag::{Dag, PbNode};
use crate::refusal::Refusal;
use crate::stop::Stop;

/// Maximum number of slots in a shard: 16 bits. Kubo uses 256.
const MAX_FANOUT: u64 = 1 << 16;

/// A link of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HamtEntry {
    Shard(Cid),
    Named { name: Bytes, cid: Cid, tsize: u64 },
}

/// Returns the links of a shard, in order.
pub(crate) fn entries(node: &PbNode) -> Result<Vec<HamtEntry>, Refusal> {
    let width = width(node)?;
    node.links
        .iter()
        .map(|link| match link.name.len().checked_sub(width) {
            None => Err(Refusal::malformed("directory shard")),
            Some(0) => Ok(HamtEntry::Shard(link.cid)),
            Some(_) => Ok(HamtEntry::Named {
                name: link.name.slice(width..),
                cid: link.cid,
                tsize: link.tsize,
            }),
        })
        .collect()
}

/// Finds a name, shard by shard. Appends the shards that were read below `root` to `visited`.
pub(crate) fn find(
    dag: &Dag,
    visited: &mut Vec<Cid>,
    root: &Cid,
    name: &[u8],
) -> Result<Option<Cid>, Stop> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Ok(None);
    };
    let malformed = || Refusal::malformed("directory shard");
    let mut resolver = Resolver::new(*root, vec![name.to_owned()], Budget::default());
    while let Some(cid) = resolver.wants() {
        let data = dag.load(&cid)?;
        if cid != *root {
            visited.push(cid);
        }
        let block = Block::verify(cid, data).map_err(|_| malformed())?;
        match resolver.push(block) {
            Ok(()) => {}
            Err(UnixFsError::NotFound { .. }) => return Ok(None),
            Err(_) => return Err(malformed().into()),
        }
    }
    Ok(resolver.resolved().map(|resolved| resolved.cid))
}

/// Returns the number of hex digits of a slot.
fn width(node: &PbNode) -> Result<usize, Refusal> {
    let unixfs = node
        .unixfs
        .as_ref()
        .filter(|unixfs| unixfs.kind == NodeType::HamtShard);
    let fanout = unixfs.and_then(|unixfs| unixfs.fanout).unwrap_or(0);
    if !fanout.is_power_of_two() || !(2..=MAX_FANOUT).contains(&fanout) {
        return Err(Refusal::malformed("directory shard"));
    }
    Ok(format!("{:X}", fanout - 1).len())
}
