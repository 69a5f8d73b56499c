//! Giving space back.
//!
//! Pins go first: a record whose pins can't be removed now stays, so that nothing stays pinned that nobody knows of any more. Then the record, so that no
//! narinfo speaks of what goes; then the blocks that no other item needs.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::blocks_of;
use super::super::record::Record;
use super::super::records::NOTE_EVERY;
use super::super::snapshot::Held;
use super::usage::Needs;
use super::{Kept, Shelves};

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What nobody has asked for in so long.
    pub unused_for: Option<Duration>,
    /// What was asked for longest ago, until the rest takes no more than so many bytes.
    pub max_bytes: Option<u64>,
    /// Nothing that was asked for within this time, whatever else is said: clients may still have its narinfo.
    pub keep_for: Duration,
}

/// What went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// The items that are gone.
    pub items: Vec<StorePath>,
    /// Items that should have gone, but Kubo didn't unpin them.
    pub pinned: Vec<StorePath>,
    /// Blocks that are gone.
    pub blocks: u64,
    /// Bytes that the disk has back.
    pub bytes: u64,
}

/// What is to go, the item that was asked for longest ago first. `may_go` may keep some that are merely unused.
pub(super) fn victims(
    shelves: Shelves<'_>,
    policy: &Policy,
    may_go: &dyn Fn(&Record) -> bool,
) -> Result<Vec<Kept>, BakeError> {
    let now = SystemTime::now();
    // A clock that was set back makes items young, not old.
    let age = |item: &Kept| now.duration_since(item.served).unwrap_or_default();
    let mut excess = match policy.max_bytes {
        Some(most) => shelves.blocks.stats()?.bytes.saturating_sub(most),
        None => 0,
    };
    // Requests are noted so often only.
    let kept_for = match policy.keep_for {
        Duration::ZERO => Duration::ZERO,
        keep_for => keep_for.saturating_add(NOTE_EVERY),
    };
    let items = shelves.all()?;
    let mut needs = match excess {
        0 => None,
        _ => Some(Needs::of(shelves, &items)?),
    };
    let mut victims = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if age(&item) < kept_for {
            continue;
        }
        let unused = policy.unused_for.is_some_and(|limit| age(&item) >= limit);
        if (unused && may_go(&item.record)) || excess > 0 {
            let freed = needs.as_mut().map_or(0, |needs| needs.release(index));
            excess = excess.saturating_sub(freed);
            victims.push(item);
        }
    }
    Ok(victims)
}

/// Has them go. No bake may run meanwhile.
pub(super) fn collect(
    shelves: Shelves<'_>,
    victims: Vec<Kept>,
    keep_for: Duration,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
) -> Result<Collected, BakeError> {
    let mut done = Collected::default();
    // Nobody may make another snapshot of what goes meanwhile.
    let mut snapshots = shelves.snapshots.hold();
    let old = unpinned(&mut snapshots, unpin)?;
    if victims.is_empty() && old.is_empty() {
        return Ok(done);
    }
    let going: HashSet<&str> = victims.iter().map(|one| one.hash_part.as_str()).collect();
    let mut staying: Vec<Kept> = shelves.all()?;
    staying.retain(|item| !going.contains(item.hash_part.as_str()));
    let needed: HashSet<Cid> = staying.iter().flat_map(Kept::roots).collect();
    let mut gone = Vec::new();
    for victim in victims {
        if shelves.records.served(&victim.hash_part) != Some(victim.served) {
            // Somebody has just asked for it.
            staying.push(victim);
            continue;
        }
        let pins = victim.record.pins();
        let pins: Vec<Cid> = pins
            .into_iter()
            .filter(|cid| !needed.contains(cid))
            .collect();
        if !pins.is_empty() && !unpin(&pins) {
            done.pinned.push(victim.record.item.store_path.clone());
            staying.push(victim);
            continue;
        }
        shelves.records.remove(&victim.hash_part)?;
        let listing = shelves.listings.join(format!("{}.ls", victim.hash_part));
        // It is of no use without its record, and harmless.
        let _ = std::fs::remove_file(listing);
        done.items.push(victim.record.item.store_path.clone());
        gone.push(victim);
    }
    let hash_parts = gone.iter().map(|one| one.hash_part.clone()).collect();
    if let Err(error) = snapshots.remove(hash_parts, keep_for) {
        tracing::error!(%error, "the snapshot is made anew");
        if let Some(root) = snapshots.root() {
            snapshots.forget(&root)?;
        }
    }
    let mut roots: Vec<Cid> = gone.iter().flat_map(Kept::roots).collect();
    roots.extend(&old);
    let dead = dead(shelves, &roots, &staying, &mut snapshots)?;
    for root in &old {
        snapshots.forget(root)?;
    }
    done.blocks = shelves.blocks.remove(&dead)?;
    done.bytes = shelves.blocks.compact()?.bytes;
    Ok(done)
}

/// The snapshots that nobody can have any more and that are pinned nowhere.
fn unpinned(
    snapshots: &mut Held<'_>,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
) -> Result<Vec<Cid>, BakeError> {
    let mut old = Vec::new();
    for root in snapshots.expired() {
        if snapshots.in_kubo().pinned.contains(&root) {
            if !unpin(&[root]) {
                continue;
            }
            let mut kubo = snapshots.in_kubo().clone();
            kubo.pinned.retain(|pinned| *pinned != root);
            snapshots.set_in_kubo(kubo)?;
        }
        old.push(root);
    }
    Ok(old)
}

/// The blocks below the roots that only those need who go. What was imported is nobody's, and stays.
fn dead(
    shelves: Shelves<'_>,
    gone: &[Cid],
    staying: &[Kept],
    snapshots: &mut Held<'_>,
) -> Result<Vec<Cid>, BakeError> {
    let mut alive: HashSet<Vec<u8>> = HashSet::new();
    for item in staying {
        let walked = blocks_of(shelves.blocks, &item.roots());
        if let Some(lost) = walked.lost {
            // What hangs below a lost node can't be told: nothing goes that may be part of it.
            tracing::error!(
                path = item.record.item.store_path.as_str(),
                block = %lost,
                "a block of an item that stays is lost, so no block goes; run `interplanar fsck`"
            );
            return Ok(Vec::new());
        }
        alive.extend(walked.cids.iter().map(|cid| cid.hash().to_bytes()));
    }
    for root in snapshots.roots() {
        if gone.contains(&root) {
            continue;
        }
        let walked = blocks_of(shelves.blocks, &[root]);
        if let Some(lost) = walked.lost {
            tracing::error!(%root, block = %lost, "a block of a snapshot is lost, so the snapshot is forgotten");
            snapshots.forget(&root)?;
        }
        alive.extend(walked.cids.iter().map(|cid| cid.hash().to_bytes()));
    }
    let mut dead = blocks_of(shelves.blocks, gone).cids;
    dead.retain(|cid| !alive.contains(&cid.hash().to_bytes()));
    Ok(dead)
}
