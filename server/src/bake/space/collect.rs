//! Deletes items from a cache folder.
//!
//! Pins are removed first: if that fails, the record stays, so that every pin has a record. Then
//! the record is deleted, so that no narinfo refers to the item. Then the blocks are deleted that
//! no other item uses.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::{LiveBlocks, blocks_of};
use super::super::record::Record;
use super::usage::BlockUses;
use super::{CacheParts, CachedItem, snapshots};

/// Which items to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Delete items that were not requested for this time.
    pub unused_for: Option<Duration>,
    /// Delete the least recently requested items until the rest has at most this many bytes.
    pub max_bytes: Option<u64>,
    /// Keep items that were requested within this time in any case: clients may still have
    /// their narinfos.
    pub keep_for: Duration,
}

/// The outcome of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// The deleted items.
    pub items: Vec<StorePath>,
    /// Items that should have been deleted, but could not be unpinned in Kubo.
    pub pinned: Vec<StorePath>,
    /// Items that were requested after they were unpinned in Kubo. They stay, and must be
    /// published again.
    pub unpinned: Vec<StorePath>,
    /// Number of deleted blocks.
    pub blocks: u64,
    /// Bytes of disk space that were freed.
    pub bytes: u64,
}

/// Returns the items to delete, the least recently requested first. `may_delete` can keep items
/// that are merely unused.
pub(super) fn victims(
    cache: CacheParts<'_>,
    policy: &Policy,
    may_delete: &dyn Fn(&Record) -> bool,
) -> Result<Vec<CachedItem>, BakeError> {
    let now = SystemTime::now();
    // If the clock was set back, items look new, not old.
    let age = |item: &CachedItem| now.duration_since(item.served).unwrap_or_default();
    let mut excess = match policy.max_bytes {
        Some(most) => cache.blocks.stats()?.bytes.saturating_sub(most),
        None => 0,
    };
    let kept_for = match policy.keep_for {
        Duration::ZERO => Duration::ZERO,
        keep_for => keep_for.saturating_add(cache.note_every),
    };
    let items = cache.all()?;
    let mut block_uses = match excess {
        0 => None,
        _ => Some(BlockUses::of(cache, &items)?),
    };
    if let Some(block_uses) = &block_uses {
        // Blocks of items deleted earlier are freed when the last snapshot with them
        // expires.
        excess = excess.saturating_sub(snapshots::pending(cache, block_uses)?);
    }
    let mut victims = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if age(&item) < kept_for {
            continue;
        }
        let unused = policy.unused_for.is_some_and(|limit| age(&item) >= limit);
        if (unused && may_delete(&item.record)) || excess > 0 {
            let freed = block_uses
                .as_mut()
                .map_or(0, |block_uses| block_uses.release(index));
            excess = excess.saturating_sub(freed);
            victims.push(item);
        }
    }
    Ok(victims)
}

/// Deletes the victims. No bake may run meanwhile.
pub(super) fn collect(
    cache: CacheParts<'_>,
    victims: Vec<CachedItem>,
    keep_for: Duration,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
) -> Result<Collected, BakeError> {
    let mut done = Collected::default();
    // Nobody may make another snapshot of the victims meanwhile.
    let mut held = cache.snapshots.hold();
    let old = snapshots::unpinned(&mut held, unpin)?;
    if victims.is_empty() && old.is_empty() {
        return Ok(done);
    }
    let all = cache.all()?;
    let mut pins = Pins::of(&all);
    let deleting: HashSet<&str> = victims.iter().map(|one| one.hash_part.as_str()).collect();
    let mut live = LiveBlocks::default();
    for item in &all {
        if !deleting.contains(item.hash_part.as_str()) && !keep(cache, item, &mut live) {
            return Ok(done);
        }
    }
    let (mut deleted, mut all_known) = (Vec::new(), true);
    for victim in victims {
        if remove(cache, &victim, &mut pins, unpin, &mut done)? {
            done.items.push(victim.record.item.store_path.clone());
            deleted.push(victim);
        } else {
            all_known &= keep(cache, &victim, &mut live);
        }
    }
    let hash_parts = deleted.iter().map(|item| item.hash_part.clone());
    snapshots::remove_items(&mut held, hash_parts.collect(), keep_for)?;
    snapshots::keep(cache, &mut held, &old, &mut live)?;
    if !all_known {
        return Ok(done);
    }
    let mut roots: Vec<Cid> = deleted.iter().flat_map(CachedItem::roots).collect();
    roots.extend(&old);
    let mut unused = blocks_of(cache.blocks, &roots).cids;
    unused.retain(|cid| !live.has(cid));
    for root in &old {
        held.forget(root)?;
    }
    done.blocks = cache.blocks.remove(&unused)?;
    done.bytes = cache.blocks.compact()?.bytes;
    Ok(done)
}

/// Adds the blocks of an item that stays to `live`. Returns false if one is lost: the blocks below
/// it are then unknown, so no block may be deleted.
fn keep(cache: CacheParts<'_>, item: &CachedItem, live: &mut LiveBlocks) -> bool {
    let added = live.add(cache.blocks, &item.roots());
    if let Err(lost) = added {
        tracing::error!(
            path = item.record.item.store_path.as_str(),
            block = %lost,
            "not deleting any blocks, because an item has lost a block; \
             repair it with `interplanar fsck`"
        );
    }
    added.is_ok()
}

/// Removes the pins and the record of an item. Returns false if the item stays.
fn remove(
    cache: CacheParts<'_>,
    victim: &CachedItem,
    pins: &mut Pins,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
    done: &mut Collected,
) -> Result<bool, BakeError> {
    let path = &victim.record.item.store_path;
    if cache.records.served(&victim.hash_part) != Some(victim.served) {
        // The item has just been requested.
        return Ok(false);
    }
    let own = pins.only_of(victim);
    if !own.is_empty() && !unpin(&own) {
        done.pinned.push(path.clone());
        return Ok(false);
    }
    let records = cache.records;
    if !records.remove_unless_noted(&victim.hash_part, victim.served)? {
        if !own.is_empty() {
            records.update(&victim.hash_part, Record::unpublish)?;
            done.unpinned.push(path.clone());
        }
        return Ok(false);
    }
    pins.remove(victim);
    let listing = cache.listings.join(format!("{}.ls", victim.hash_part));
    // A listing that stays without its record does no harm.
    let _ = std::fs::remove_file(listing);
    Ok(true)
}

/// Counts the items that use each DAG.
struct Pins(HashMap<Cid, u32>);

impl Pins {
    fn of(items: &[CachedItem]) -> Self {
        let mut needed = HashMap::new();
        for cid in items.iter().flat_map(CachedItem::roots) {
            *needed.entry(cid).or_default() += 1;
        }
        Self(needed)
    }

    fn only_of(&self, item: &CachedItem) -> Vec<Cid> {
        let mut pins = item.record.pins();
        pins.retain(|cid| self.0.get(cid).is_none_or(|count| *count <= 1));
        pins
    }

    fn remove(&mut self, item: &CachedItem) {
        for cid in item.roots() {
            if let Some(count) = self.0.get_mut(&cid) {
                *count -= 1;
            }
        }
    }
}
