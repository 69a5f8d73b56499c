//! Space: what baked items take on the disk, giving it back, and checking that it is whole.
//!
//! Items share blocks, so what one takes is told twice: all blocks that it needs (`stored`), and those that only it needs
//! (`unique`), which is what its going gives back.
//!
//! ```text
//! usage   records ─► blocks of each DAG, counted                                  also while `publish` runs
//! collect records ─► last asked for too long ago, or too many bytes ─► Kubo unpins ─► record, listing, blocks that nobody else needs
//! check   every block of the store hashed ─► what is wrong is forgotten, and fetched anew ─► items that lack blocks are baked again
//! ```
//! What is in a snapshot stays as long as clients may have that snapshot; an item that goes leaves the current one at once.
//!
//! The time of the last request for an item's narinfo is the time of change of its record. Nothing goes that was asked for within the
//! time for which clients may keep narinfos.
//!
//! ```no_run
//! let cache = interplanar_server::bake::space::Cache::open_read_only("/var/cache/publish".as_ref())?;
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

/// For how long Guix keeps a narinfo whose server says nothing of it.
pub const NARINFO_TTL: Duration = Duration::from_secs(36 * 3600);

/// A cache folder that nobody bakes into.
pub struct Cache {
    records: Records,
    blocks: BlockStore,
    snapshots: Snapshots,
    listings: PathBuf,
}

/// The parts of a cache folder, whoever has them.
#[derive(Clone, Copy)]
pub(super) struct Shelves<'a> {
    pub(super) records: &'a Records,
    pub(super) blocks: &'a BlockStore,
    pub(super) snapshots: &'a Snapshots,
    pub(super) listings: &'a Path,
    /// Requests were noted no more often, so the time of the last one may be so much later than what was noted.
    pub(super) note_every: Duration,
}

/// An item with what matters of it here.
struct Kept {
    hash_part: String,
    record: Record,
    served: SystemTime,
}

impl Cache {
    /// Opens a cache folder to change it; `publish` must not run.
    ///
    /// # Errors
    /// It isn't there, or is in use.
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

    /// Opens a cache folder to look at it, also while `publish` runs.
    ///
    /// # Errors
    /// It isn't there.
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

    fn shelves(&self) -> Shelves<'_> {
        Shelves {
            records: &self.records,
            blocks: &self.blocks,
            snapshots: &self.snapshots,
            listings: &self.listings,
            note_every: NOTE_EVERY,
        }
    }

    /// What each item takes.
    ///
    /// # Errors
    /// Records or the index of the blocks can't be read.
    pub fn usage(&self) -> Result<Report, BakeError> {
        usage::usage(self.shelves())
    }

    /// What a policy would have go now, the item that was asked for longest ago first.
    ///
    /// # Errors
    /// Records or the index of the blocks can't be read.
    pub fn victims(&self, policy: &Policy) -> Result<Vec<StorePath>, BakeError> {
        let victims = collect::victims(self.shelves(), policy, &|_| true)?;
        Ok(victims
            .into_iter()
            .map(|one| one.record.item.store_path)
            .collect())
    }

    /// Gives space back. Blocks the disk; `unpin` is asked to unpin in Kubo what was pinned there, and says whether it is.
    ///
    /// # Errors
    /// Records or blocks can't be read or written; what was said to go is gone then, or still there as a whole.
    pub fn collect(
        &self,
        policy: &Policy,
        unpin: &mut dyn FnMut(&[Cid]) -> bool,
    ) -> Result<Collected, BakeError> {
        self.shelves().collect(policy, &|_| true, unpin)
    }

    /// Hashes every block; `refetch` is asked for those that are wrong.
    ///
    /// # Errors
    /// Records or blocks can't be read or written.
    pub fn check(
        &self,
        progress: &mut dyn FnMut(u64),
        refetch: &mut dyn FnMut(&Cid) -> Option<Block>,
    ) -> Result<Checked, BakeError> {
        check::check(self.shelves(), progress, refetch)
    }

    /// Bytes of all blocks, what is imported and what is lost included.
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

impl Shelves<'_> {
    /// Has go what a policy says. No bake may run meanwhile.
    pub(super) fn collect(
        self,
        policy: &Policy,
        may_go: &dyn Fn(&Record) -> bool,
        unpin: &mut dyn FnMut(&[Cid]) -> bool,
    ) -> Result<Collected, BakeError> {
        let victims = collect::victims(self, policy, may_go)?;
        collect::collect(self, victims, policy.keep_for, unpin)
    }

    /// All items, the one that was asked for longest ago first.
    fn all(self) -> Result<Vec<Kept>, BakeError> {
        let mut all = Vec::new();
        for hash_part in self.records.all()? {
            // One that has just gone is none.
            let (Some(baked), Some(served)) = (
                self.records.get(&hash_part),
                self.records.served(&hash_part),
            ) else {
                continue;
            };
            all.push(Kept {
                hash_part,
                record: baked.record.clone(),
                served,
            });
        }
        all.sort_by_key(|one| one.served);
        Ok(all)
    }
}

impl Kept {
    /// Roots of its DAGs.
    fn roots(&self) -> Vec<Cid> {
        self.record.roots()
    }
}
