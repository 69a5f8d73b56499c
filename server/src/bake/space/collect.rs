//! Giving space back.
//!
//! Pins go first: a record whose pins can't be removed now stays, so that nothing stays pinned that nobody knows of any more. Then the record, so that no
//! narinfo speaks of what goes; then the blocks that no other item needs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::{Alive, blocks_of};
use super::super::record::Record;
use super::usage::Needs;
use super::{Kept, Shelves, snapshots};

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
    /// Items that stay, since somebody asked for them, when Kubo had just unpinned them: to be published anew.
    pub unpinned: Vec<StorePath>,
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
    let kept_for = match policy.keep_for {
        Duration::ZERO => Duration::ZERO,
        keep_for => keep_for.saturating_add(shelves.note_every),
    };
    let items = shelves.all()?;
    let mut needs = match excess {
        0 => None,
        _ => Some(Needs::of(shelves, &items)?),
    };
    if let Some(needs) = &needs {
        // What went before goes from the disk with the last snapshot that has it.
        excess = excess.saturating_sub(snapshots::pending(shelves, needs)?);
    }
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
    let mut held = shelves.snapshots.hold();
    let old = snapshots::unpinned(&mut held, unpin)?;
    if victims.is_empty() && old.is_empty() {
        return Ok(done);
    }
    let all = shelves.all()?;
    let mut pins = Pins::of(&all);
    let going: HashSet<&str> = victims.iter().map(|one| one.hash_part.as_str()).collect();
    let mut alive = Alive::default();
    for item in &all {
        if !going.contains(item.hash_part.as_str()) && !keep(shelves, item, &mut alive) {
            return Ok(done);
        }
    }
    let (mut gone, mut whole) = (Vec::new(), true);
    for victim in victims {
        if remove(shelves, &victim, &mut pins, unpin, &mut done)? {
            done.items.push(victim.record.item.store_path.clone());
            gone.push(victim);
        } else {
            whole &= keep(shelves, &victim, &mut alive);
        }
    }
    let hash_parts = gone.iter().map(|item| item.hash_part.clone());
    snapshots::leave(&mut held, hash_parts.collect(), keep_for)?;
    snapshots::keep(shelves, &mut held, &old, &mut alive)?;
    if !whole {
        return Ok(done);
    }
    let mut roots: Vec<Cid> = gone.iter().flat_map(Kept::roots).collect();
    roots.extend(&old);
    let mut dead = blocks_of(shelves.blocks, &roots).cids;
    dead.retain(|cid| !alive.has(cid));
    for root in &old {
        held.forget(root)?;
    }
    done.blocks = shelves.blocks.remove(&dead)?;
    done.bytes = shelves.blocks.compact()?.bytes;
    Ok(done)
}

/// False if a block of an item that stays is lost: what hangs below it can't be told, so nothing may go that may be part of it.
fn keep(shelves: Shelves<'_>, item: &Kept, alive: &mut Alive) -> bool {
    let added = alive.add(shelves.blocks, &item.roots());
    if let Err(lost) = added {
        tracing::error!(
            path = item.record.item.store_path.as_str(),
            block = %lost,
            "a block of an item that stays is lost, so no block goes; run `interplanar fsck`"
        );
    }
    added.is_ok()
}

/// Takes the pins and the record of an item away; false if it stays.
fn remove(
    shelves: Shelves<'_>,
    victim: &Kept,
    pins: &mut Pins,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
    done: &mut Collected,
) -> Result<bool, BakeError> {
    let path = &victim.record.item.store_path;
    if shelves.records.served(&victim.hash_part) != Some(victim.served) {
        // Somebody has just asked for it.
        return Ok(false);
    }
    let own = pins.only_of(victim);
    if !own.is_empty() && !unpin(&own) {
        done.pinned.push(path.clone());
        return Ok(false);
    }
    let records = shelves.records;
    if !records.remove_unless_noted(&victim.hash_part, victim.served)? {
        if !own.is_empty() {
            records.update(&victim.hash_part, Record::unpublish)?;
            done.unpinned.push(path.clone());
        }
        return Ok(false);
    }
    pins.remove(victim);
    let listing = shelves.listings.join(format!("{}.ls", victim.hash_part));
    // It is of no use without its record, and harmless.
    let _ = std::fs::remove_file(listing);
    Ok(true)
}

/// How many items need each DAG, for those that are pinned.
struct Pins(HashMap<Cid, u32>);

impl Pins {
    fn of(items: &[Kept]) -> Self {
        let mut needed = HashMap::new();
        for cid in items.iter().flat_map(Kept::roots) {
            *needed.entry(cid).or_default() += 1;
        }
        Self(needed)
    }

    fn only_of(&self, item: &Kept) -> Vec<Cid> {
        let mut pins = item.record.pins();
        pins.retain(|cid| self.0.get(cid).is_none_or(|count| *count <= 1));
        pins
    }

    fn remove(&mut self, item: &Kept) {
        for cid in item.roots() {
            if let Some(count) = self.0.get_mut(&cid) {
                *count -= 1;
            }
        }
    }
}
