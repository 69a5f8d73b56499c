//! Disk space: shows what baked items use, deletes items, and verifies the blocks.
//!
//! Items share blocks, so the usage of an item has two numbers. `stored` counts all its blocks;
//! `unique` counts those that no other item uses, which deleting the item frees.
//!
//! ```text
//! usage    records ─► count the blocks of each DAG             (also while `publish` runs)
//! collect  records ─► last request too long ago, or too many bytes
//!                  ─► unpin in Kubo ─► delete record, listing, blocks that no other item uses
//! check    hash every block ─► fetch wrong ones again
//!                  ─► forget items that lack blocks, so that they are baked again
//! ```
//! An item in a snapshot keeps its blocks while clients may use that snapshot. Deleting the item
//! removes it from the current snapshot at once.
//!
//! The modification time of a record is the time of the last request for the item's narinfo. No
//! item is deleted that was requested within the time that clients may keep narinfos.
//!
//! ```no_run
//! use interplanar_server::bake::space::Cache;
//!
//! let cache = Cache::open_read_only("/var/cache/publish".as_ref())?;
//! for one in cache.usage()?.items {
//!     println!("{} {} {}", one.unique, one.stored, one.store_path);
//! }
//! # Ok::<(), interplanar_server::bake::BakeError>(())
//! ```

mod check;
mod collect;
mod snapshots;
#[cfg(test)]
mod tests;
mod usage;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

pub use super::records::NOTE_EVERY;
pub use check::Checked;
pub use collect::{Collected, Policy};
pub use usage::{Report, Usage};

use super::records::Records;
use super::snapshot::Snapshots;
use super::{BakeError, Record};
use crate::blocks::BlockStore;

/// How long Guix keeps a narinfo if the server doesn't say.
pub const NARINFO_TTL: Duration = Duration::from_secs(36 * 3600);

/// A cache folder that no process bakes into.
pub struct Cache {
    records: Records,
    blocks: BlockStore,
    snapshots: Snapshots,
    listings: PathBuf,
}

/// The parts of a cache folder.
#[derive(Clone, Copy)]
pub(super) struct CacheParts<'a> {
    pub(super) records: &'a Records,
    pub(super) blocks: &'a BlockStore,
    pub(super) snapshots: &'a Snapshots,
    pub(super) listings: &'a Path,
    /// Requests are noted at most this often, so the last one can be this much later than its
    /// note.
    pub(super) note_every: Duration,
}

/// A baked item.
struct CachedItem {
    hash_part: String,
    record: Record,
    served: SystemTime,
}

impl Cache {
    /// Opens a cache folder to change it. `publish` must not run.
    ///
    /// # Errors
    /// The folder doesn't exist, or is in use.
    pub fn open(dir: &Path) -> Result<Self, BakeError> {
        exists(dir)?;
        let blocks = BlockStore::open(&dir.join("blocks"))?;
        Ok(Self {
            snapshots: Snapshots::open(dir, blocks.clone()),
            blocks,
            records: Records::open(dir.join("items"))?,
            listings: dir.join("listings"),
        })
    }

    /// Opens a cache folder to read it, also while `publish` runs.
    ///
    /// # Errors
    /// The folder doesn't exist.
    pub fn open_read_only(dir: &Path) -> Result<Self, BakeError> {
        exists(dir)?;
        let blocks = BlockStore::open_read_only(&dir.join("blocks"))?;
        Ok(Self {
            snapshots: Snapshots::open(dir, blocks.clone()),
            blocks,
            records: Records::open_read_only(dir.join("items")),
            listings: dir.join("listings"),
        })
    }

    fn parts(&self) -> CacheParts<'_> {
        CacheParts {
            records: &self.records,
            blocks: &self.blocks,
            snapshots: &self.snapshots,
            listings: &self.listings,
            note_every: NOTE_EVERY,
        }
    }

    /// Returns the disk usage of each item.
    ///
    /// # Errors
    /// Records or the index of the blocks can't be read.
    pub fn usage(&self) -> Result<Report, BakeError> {
        usage::usage(self.parts())
    }

    /// Returns the items that a policy would delete now, the least recently requested first.
    ///
    /// # Errors
    /// Records or the index of the blocks can't be read.
    pub fn victims(&self, policy: &Policy) -> Result<Vec<StorePath>, BakeError> {
        let victims = collect::victims(self.parts(), policy, &|_| true)?;
        Ok(victims
            .into_iter()
            .map(|one| one.record.item.store_path)
            .collect())
    }

    /// Deletes items. Blocks. `unpin` must unpin roots in Kubo, and returns whether they are
    /// unpinned.
    ///
    /// # Errors
    /// Records or blocks can't be read or written. Then each selected item is either deleted or
    /// still whole.
    pub fn collect(
        &self,
        policy: &Policy,
        unpin: &mut dyn FnMut(&[Cid]) -> bool,
    ) -> Result<Collected, BakeError> {
        self.parts().collect(policy, &|_| true, unpin)
    }

    /// Hashes every block. `refetch` is called for wrong and missing ones.
    ///
    /// # Errors
    /// Records or blocks can't be read or written.
    pub fn check(
        &self,
        progress: &mut dyn FnMut(u64),
        refetch: &mut dyn FnMut(&Cid) -> Option<Block>,
    ) -> Result<Checked, BakeError> {
        check::check(self.parts(), progress, refetch)
    }

    /// Returns the bytes of all blocks, including imported ones.
    ///
    /// # Errors
    /// The index of the blocks can't be read.
    pub fn block_bytes(&self) -> Result<u64, BakeError> {
        Ok(self.blocks.stats()?.bytes)
    }
}

fn exists(dir: &Path) -> Result<(), BakeError> {
    let items = dir.join("items");
    std::fs::metadata(&items)
        .map(drop)
        .map_err(BakeError::io(&items))
}

impl CacheParts<'_> {
    /// Deletes the items that a policy selects. No bake may run meanwhile.
    pub(super) fn collect(
        self,
        policy: &Policy,
        may_delete: &dyn Fn(&Record) -> bool,
        unpin: &mut dyn FnMut(&[Cid]) -> bool,
    ) -> Result<Collected, BakeError> {
        let victims = collect::victims(self, policy, may_delete)?;
        collect::collect(self, victims, policy.keep_for, unpin)
    }

    /// Returns all items, the least recently requested first.
    fn all(self) -> Result<Vec<CachedItem>, BakeError> {
        let mut all = Vec::new();
        for hash_part in self.records.all()? {
            // Skip a record that has just been deleted.
            let (Some(baked), Some(served)) = (
                self.records.get(&hash_part),
                self.records.served(&hash_part),
            ) else {
                continue;
            };
            all.push(CachedItem {
                hash_part,
                record: baked.record.clone(),
                served,
            });
        }
        all.sort_by_key(|one| one.served);
        Ok(all)
    }
}

impl CachedItem {
    /// The roots of the item's DAGs.
    fn roots(&self) -> Vec<Cid> {
        self.record.roots()
    }
}
