//! Sharded directories, as far as finding one name and knowing shards from entries.
//!
//! A link's name begins with its slot in upper-case hex; what follows is an entry's name, and nothing follows for a deeper shard.

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::Kind;

use super::dag::{Dag, Node, PbNode, decode};
use super::refusal::Refusal;

/// The most slots of a shard: what 16 bits address. Kubo makes 256.
const MAX_FANOUT: u64 = 1 << 16;

/// A link of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Shard(Cid),
    Named { name: Bytes, cid: Cid, tsize: u64 },
}

/// The links of a shard, in order.
pub(super) fn entries(node: &PbNode) -> Result<Vec<Entry>, Refusal> {
    let (width, _) = shape(node)?;
    node.links
        .iter()
        .map(|link| match link.name.len().checked_sub(width) {
            None => Err(Refusal::malformed("directory shard")),
            Some(0) => Ok(Entry::Shard(link.cid)),
            Some(_) => Ok(Entry::Named {
                name: link.name.slice(width..),
                cid: link.cid,
                tsize: link.tsize,
            }),
        })
        .collect()
}

/// Finds a name, from shard to shard; the shards that are read join `visited`.
pub(super) fn find(
    dag: &Dag,
    visited: &mut Vec<Cid>,
    mut node: PbNode,
    name: &[u8],
) -> Result<Option<Cid>, Refusal> {
    let hash = murmur3_x64(name);
    let mut used = 0;
    loop {
        let (width, bits) = shape(&node)?;
        // The bits of the hash are taken from the most significant end.
        if used + bits > 64 {
            return Ok(None);
        }
        let slot = (hash << used) >> (64 - bits);
        used += bits;
        let prefix = format!("{slot:0width$X}");
        let link = node
            .links
            .iter()
            .find(|link| link.name.starts_with(prefix.as_bytes()));
        let Some(link) = link else {
            return Ok(None);
        };
        if link.name.len() > width {
            return Ok((&link.name[width..] == name).then_some(link.cid));
        }
        let data = dag.load(&link.cid)?;
        visited.push(link.cid);
        node = match decode(&link.cid, &data)? {
            Node::Pb(node) => node,
            Node::Raw | Node::Tree(_) => return Err(Refusal::malformed("directory shard")),
        };
    }
}

/// The hex digits of a slot and the bits of the hash that it takes.
fn shape(node: &PbNode) -> Result<(usize, u32), Refusal> {
    let fanout = node
        .unixfs
        .as_ref()
        .filter(|unixfs| unixfs.kind == Kind::HamtShard);
    let fanout = fanout.map_or(0, |unixfs| unixfs.fanout);
    if !fanout.is_power_of_two() || !(2..=MAX_FANOUT).contains(&fanout) {
        return Err(Refusal::malformed("directory shard"));
    }
    Ok((format!("{:X}", fanout - 1).len(), fanout.trailing_zeros()))
}

/// The first half of MurmurHash3 x64 128 with seed 0, which sharded directories use.
fn murmur3_x64(data: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word = |bytes: &[u8]| {
        let reversed = bytes.iter().rev();
        reversed.fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let mut chunks = data.chunks_exact(16);
    for chunk in &mut chunks {
        let (low, high) = chunk.split_at(8);
        h1 = (h1 ^ mix1(word(low))).rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ mix2(word(high))).rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = chunks.remainder();
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix2(word(high));
    h1 ^= mix1(word(low));
    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}
