//! Computes the disk usage of each item.

use std::collections::HashMap;
use std::time::SystemTime;

use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::blocks_of;
use super::{CacheParts, CachedItem};

/// The disk usage of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The item.
    pub store_path: StorePath,
    /// Bytes of its NAR.
    pub nar_size: u64,
    /// Bytes of its blocks.
    pub stored: u64,
    /// Bytes of the blocks that no other item uses.
    pub unique: u64,
    /// When its narinfo was last requested, to within an hour.
    pub served: SystemTime,
    /// Whether blocks of it are lost; its usage is then known only in part.
    pub damaged: bool,
}

/// The disk usage of a cache folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The items, the least recently requested first.
    pub items: Vec<Usage>,
    /// Bytes of the blocks that items use, each counted once.
    pub stored: u64,
    /// Bytes of the blocks that only snapshots use.
    pub snapshots: u64,
    /// Bytes of blocks that neither uses: imported ones, and those of an interrupted bake.
    pub other: u64,
    /// Bytes of the files on disk.
    pub disk: u64,
}

/// Counts the items that use each block.
pub(super) struct BlockUses {
    /// By multihash: bytes of the block, and the number of items that use it.
    blocks: HashMap<Vec<u8>, (u64, u32)>,
    /// For each item: its blocks, and whether some are lost.
    items: Vec<(Vec<Vec<u8>>, bool)>,
}

impl BlockUses {
    pub(super) fn of(cache: CacheParts<'_>, items: &[CachedItem]) -> Result<Self, BakeError> {
        let mut block_uses = Self {
            blocks: HashMap::new(),
            items: Vec::with_capacity(items.len()),
        };
        for item in items {
            let walked = blocks_of(cache.blocks, &item.roots());
            let mut damaged = walked.lost.is_some();
            let mut keys = Vec::with_capacity(walked.cids.len());
            for cid in walked.cids {
                let Some(size) = cache.blocks.size(&cid)? else {
                    damaged = true;
                    continue;
                };
                let key = cid.hash().to_bytes();
                let (_, count) = block_uses.blocks.entry(key.clone()).or_insert((size, 0));
                *count += 1;
                keys.push(key);
            }
            block_uses.items.push((keys, damaged));
        }
        Ok(block_uses)
    }

    /// Returns the bytes of those blocks of an item that at most `most` items use.
    fn bytes(&self, item: usize, most: u32) -> u64 {
        let keys = self.items.get(item).map(|(keys, _)| keys.as_slice());
        let blocks = keys.unwrap_or_default().iter();
        blocks
            .filter_map(|key| self.blocks.get(key))
            .filter(|(_, count)| *count <= most)
            .map(|(size, _)| size)
            .sum()
    }

    /// Returns whether an item uses a block.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.blocks.contains_key(&cid.hash().to_bytes())
    }

    /// Removes an item. Returns the bytes that no other item uses.
    pub(super) fn release(&mut self, item: usize) -> u64 {
        let freed = self.bytes(item, 1);
        let keys = self
            .items
            .get_mut(item)
            .map(|(keys, _)| std::mem::take(keys));
        for key in keys.unwrap_or_default() {
            if let Some((_, count)) = self.blocks.get_mut(&key) {
                *count = count.saturating_sub(1);
            }
        }
        freed
    }
}

pub(super) fn usage(cache: CacheParts<'_>) -> Result<Report, BakeError> {
    let items = cache.all()?;
    let block_uses = BlockUses::of(cache, &items)?;
    let stored = block_uses.blocks.values().map(|(size, _)| size).sum();
    let usages = items.into_iter().enumerate().map(|(index, item)| Usage {
        store_path: item.record.item.store_path,
        nar_size: item.record.item.nar_size,
        stored: block_uses.bytes(index, u32::MAX),
        unique: block_uses.bytes(index, 1),
        served: item.served,
        damaged: block_uses
            .items
            .get(index)
            .is_some_and(|(_, damaged)| *damaged),
    });
    let items = usages.collect();
    let stats = cache.blocks.stats()?;
    let mut snapshots = 0;
    for cid in blocks_of(cache.blocks, &cache.snapshots.hold().roots()).cids {
        if !block_uses.has(&cid) {
            snapshots += cache.blocks.size(&cid)?.unwrap_or_default();
        }
    }
    Ok(Report {
        items,
        stored,
        snapshots,
        other: stats.bytes.saturating_sub(stored).saturating_sub(snapshots),
        disk: stats.pack_bytes,
    })
}
