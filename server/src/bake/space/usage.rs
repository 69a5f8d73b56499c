//! What each item takes.

use std::collections::HashMap;
use std::time::SystemTime;

use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::blocks_of;
use super::{Kept, Shelves};

/// What one item takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The item.
    pub store_path: StorePath,
    /// Bytes of its NAR.
    pub nar_size: u64,
    /// Bytes of the blocks that it needs.
    pub stored: u64,
    /// Bytes of those that no other item needs.
    pub unique: u64,
    /// When its narinfo was last asked for, to within an hour.
    pub served: SystemTime,
    /// Blocks of it are lost; what it takes is only known in part.
    pub damaged: bool,
}

/// What a cache takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The items, in the order of when they were last asked for.
    pub items: Vec<Usage>,
    /// Bytes of blocks that items need, each counted once.
    pub stored: u64,
    /// Bytes of blocks that only snapshots need.
    pub snapshots: u64,
    /// Bytes of blocks that neither needs: what was imported, and what a bake left that was cut off.
    pub other: u64,
    /// Bytes of the files on disk.
    pub disk: u64,
}

/// Which blocks items need.
pub(super) struct Needs {
    /// By multihash: how long a block is, and how many items need it.
    blocks: HashMap<Vec<u8>, (u64, u32)>,
    /// Of each item: its blocks, and whether some are lost.
    items: Vec<(Vec<Vec<u8>>, bool)>,
}

impl Needs {
    pub(super) fn of(shelves: Shelves<'_>, items: &[Kept]) -> Result<Self, BakeError> {
        let mut needs = Self {
            blocks: HashMap::new(),
            items: Vec::with_capacity(items.len()),
        };
        for item in items {
            let walked = blocks_of(shelves.blocks, &item.roots());
            let mut damaged = walked.lost.is_some();
            let mut keys = Vec::with_capacity(walked.cids.len());
            for cid in walked.cids {
                let Some(size) = shelves.blocks.size(&cid)? else {
                    damaged = true;
                    continue;
                };
                let key = cid.hash().to_bytes();
                let (_, count) = needs.blocks.entry(key.clone()).or_insert((size, 0));
                *count += 1;
                keys.push(key);
            }
            needs.items.push((keys, damaged));
        }
        Ok(needs)
    }

    /// Bytes of the blocks of an item that at most so many items need.
    fn bytes(&self, item: usize, most: u32) -> u64 {
        let keys = self.items.get(item).map(|(keys, _)| keys.as_slice());
        let blocks = keys.unwrap_or_default().iter();
        blocks
            .filter_map(|key| self.blocks.get(key))
            .filter(|(_, count)| *count <= most)
            .map(|(size, _)| size)
            .sum()
    }

    /// Whether an item needs a block.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.blocks.contains_key(&cid.hash().to_bytes())
    }

    /// Takes an item away; gives the bytes that nobody needs any more.
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

pub(super) fn usage(shelves: Shelves<'_>) -> Result<Report, BakeError> {
    let items = shelves.all()?;
    let needs = Needs::of(shelves, &items)?;
    let stored = needs.blocks.values().map(|(size, _)| size).sum();
    let usages = items.into_iter().enumerate().map(|(index, item)| Usage {
        store_path: item.record.item.store_path,
        nar_size: item.record.item.nar_size,
        stored: needs.bytes(index, u32::MAX),
        unique: needs.bytes(index, 1),
        served: item.served,
        damaged: needs.items.get(index).is_some_and(|(_, damaged)| *damaged),
    });
    let items = usages.collect();
    let stats = shelves.blocks.stats()?;
    let mut snapshots = 0;
    for cid in blocks_of(shelves.blocks, &shelves.snapshots.hold().roots()).cids {
        if !needs.has(&cid) {
            snapshots += shelves.blocks.size(&cid)?.unwrap_or_default();
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
