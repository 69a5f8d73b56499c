//! The directory builder: turns entries into the blocks of `ipfs add -r`. It shards large
//! directories as Kubo does.

use super::{Built, Data, NodeType, UnixFsError, hamt};
use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::dag_pb::{Link, Node};
use crate::murmur3;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// Most bytes of names and CIDs in a plain directory. Larger ones are sharded (Kubo's
/// `HAMTShardingSize`).
pub const MAX_PLAIN_DIRECTORY: usize = 262_144;
/// Number of slots of a shard in Kubo.
pub(super) const FANOUT: u32 = 256;

/// Builds one directory.
#[derive(Debug, Clone)]
pub struct DirectoryBuilder {
    pub(super) entries: BTreeMap<Bytes, (Cid, u64)>,
    version: Version,
}

impl DirectoryBuilder {
    /// Creates an empty directory. `version` is the version of the directory's own CIDs.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self {
            entries: BTreeMap::new(),
            version,
        }
    }

    /// Adds an entry, in any order. Replaces an entry with the same name.
    pub fn add(&mut self, name: Bytes, cid: Cid, tsize: u64) {
        self.entries.insert(name, (cid, tsize));
    }

    /// Builds the blocks and sends them to `sink`, the root last.
    ///
    /// # Errors
    /// [`UnixFsError::Shard`] if more names have the same hash than a shard can tell apart. This
    /// doesn't happen by chance.
    pub fn finish(self, sink: &mut impl FnMut(Block)) -> Result<Built, UnixFsError> {
        let estimate = self
            .entries
            .iter()
            .map(|(name, (cid, _))| estimate(name, cid))
            .fold(0, usize::saturating_add);
        if estimate > MAX_PLAIN_DIRECTORY {
            return self.shards(sink);
        }
        let links = self
            .entries
            .into_iter()
            .map(|(name, (cid, tsize))| Link { cid, name, tsize })
            .collect();
        Ok(node(
            links,
            Data::new(NodeType::Directory),
            self.version,
            sink,
        ))
    }

    fn shards(self, sink: &mut impl FnMut(Block)) -> Result<Built, UnixFsError> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.entries.len());
        for (name, (cid, tsize)) in self.entries {
            entries.push(Entry {
                hash: murmur3::hash(&name),
                link: Link { cid, name, tsize },
            });
        }
        entries.sort_by_key(|entry| entry.hash);
        // The open shards, from the root down. The entries are sorted by hash, so each shard is
        // closed once.
        let mut open: Vec<Vec<Link>> = Vec::from([Vec::new()]);
        let mut path: Vec<u32> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let before = index
                .checked_sub(1)
                .and_then(|before| entries.get(before))
                .map_or(0, |other| common_levels(entry.hash, other.hash));
            let after = entries
                .get(index.saturating_add(1))
                .map_or(0, |other| common_levels(entry.hash, other.hash));
            while path.len() > before {
                self::close(&mut open, &mut path, self.version, sink)?;
            }
            for level in path.len()..before.max(after) {
                let slot = slot_index(entry.hash, level)?;
                path.push(slot);
                open.push(Vec::new());
            }
            let slot = slot_index(entry.hash, path.len())?;
            let mut name = Vec::from(hamt::slot_name(FANOUT, slot).as_bytes());
            name.extend_from_slice(&entry.link.name);
            let link = Link {
                name: name.into(),
                ..entry.link.clone()
            };
            open.last_mut().ok_or(UnixFsError::Shard)?.push(link);
        }
        while !path.is_empty() {
            close(&mut open, &mut path, self.version, sink)?;
        }
        let links = open.pop().ok_or(UnixFsError::Shard)?;
        shard(links, self.version, sink)
    }
}

/// Returns the bytes that an entry adds to the size that decides about sharding.
pub(super) fn estimate(name: &[u8], cid: &Cid) -> usize {
    name.len().saturating_add(cid.encoded_len())
}

struct Entry {
    hash: u64,
    link: Link,
}

fn slot_index(hash: u64, level: usize) -> Result<u32, UnixFsError> {
    let level = u32::try_from(level).map_err(|_| UnixFsError::Shard)?;
    hamt::slot_index(hash, FANOUT, level).ok_or(UnixFsError::Shard)
}

/// Returns the number of levels on which two hashes have the same slot.
fn common_levels(one: u64, other: u64) -> usize {
    // Each level uses eight bits of the hash, because a shard has 256 slots.
    usize::try_from((one ^ other).leading_zeros() / 8).unwrap_or(0)
}

/// Closes the lowest open shard and links it from the shard above.
fn close(
    open: &mut Vec<Vec<Link>>,
    path: &mut Vec<u32>,
    version: Version,
    sink: &mut impl FnMut(Block),
) -> Result<(), UnixFsError> {
    let (links, slot) = open.pop().zip(path.pop()).ok_or(UnixFsError::Shard)?;
    let built = shard(links, version, sink)?;
    let name = Bytes::from(hamt::slot_name(FANOUT, slot).into_bytes());
    let link = Link {
        cid: built.cid,
        name,
        tsize: built.dag_size,
    };
    open.last_mut().ok_or(UnixFsError::Shard)?.push(link);
    Ok(())
}

/// Builds the node of a shard with these links.
pub(super) fn shard(
    mut links: Vec<Link>,
    version: Version,
    sink: &mut impl FnMut(Block),
) -> Result<Built, UnixFsError> {
    links.sort_by(|one, other| one.name.cmp(&other.name));
    let mut field = [0_u8; 32];
    for link in &links {
        let (slot, _) = hamt::split(FANOUT, link)?;
        let slot = usize::try_from(slot).map_err(|_| UnixFsError::Shard)?;
        // The bit field is one big-endian number.
        let byte = 31_usize
            .checked_sub(slot / 8)
            .and_then(|byte| field.get_mut(byte))
            .ok_or(UnixFsError::Shard)?;
        *byte |= 1 << (slot % 8);
    }
    let first = field
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(field.len());
    let bits = field.get(first..).unwrap_or_default();
    let data = Data {
        data: Some(Bytes::copy_from_slice(bits)),
        hash_type: Some(hamt::MURMUR3),
        fanout: Some(u64::from(FANOUT)),
        ..Data::new(NodeType::HamtShard)
    };
    Ok(node(links, data, version, sink))
}

fn node(links: Vec<Link>, data: Data, version: Version, sink: &mut impl FnMut(Block)) -> Built {
    let below = links
        .iter()
        .map(|link| link.tsize)
        .fold(0_u64, u64::saturating_add);
    let node = Node {
        links,
        data: Some(data.encode()),
    };
    let block = Block::dag_pb(node.encode(), version);
    let built = Built {
        cid: *block.cid(),
        size: 0,
        dag_size: below.saturating_add(block.data().len() as u64),
    };
    sink(block);
    built
}
