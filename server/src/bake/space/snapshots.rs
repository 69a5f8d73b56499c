//! Snapshots while space is given back: which go, and what stays for those that stay.

use std::collections::HashSet;
use std::time::Duration;

use interplanar_core::cid::Cid;

use super::super::BakeError;
use super::super::dag::{Alive, blocks_of};
use super::super::snapshot::Held;
use super::Shelves;
use super::usage::Needs;

/// The snapshots that nobody can have any more and that are pinned nowhere.
pub(super) fn unpinned(
    held: &mut Held<'_>,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
) -> Result<Vec<Cid>, BakeError> {
    let mut old = Vec::new();
    for root in held.expired() {
        if held.in_kubo().pinned.contains(&root) {
            if !unpin(&[root]) {
                continue;
            }
            let mut kubo = held.in_kubo().clone();
            kubo.pinned.retain(|pinned| *pinned != root);
            held.set_in_kubo(kubo)?;
        }
        old.push(root);
    }
    Ok(old)
}

/// Takes items out of the current snapshot; where that can't be done it is forgotten, and made anew.
pub(super) fn leave(
    held: &mut Held<'_>,
    hash_parts: Vec<String>,
    keep_for: Duration,
) -> Result<(), BakeError> {
    let Err(error) = held.remove(hash_parts, keep_for) else {
        return Ok(());
    };
    tracing::error!(%error, "items can't be taken out of the snapshot, so it is made anew");
    match held.root() {
        Some(root) => held.forget(&root),
        None => Ok(()),
    }
}

/// Adds all snapshots but those that go to what stays. One that lacks blocks is of no use, and forgotten.
pub(super) fn keep(
    shelves: Shelves<'_>,
    held: &mut Held<'_>,
    going: &[Cid],
    alive: &mut Alive,
) -> Result<(), BakeError> {
    let mut staying = held.roots();
    staying.retain(|root| !going.contains(root));
    // They share nearly all, so they are walked together.
    if alive.add(shelves.blocks, &staying).is_ok() {
        return Ok(());
    }
    for root in staying {
        if let Err(lost) = alive.add(shelves.blocks, &[root]) {
            tracing::error!(%root, block = %lost, "a block of a snapshot is lost, so the snapshot is forgotten");
            held.forget(&root)?;
        }
    }
    Ok(())
}

/// Bytes that come back by themselves: of blocks that neither an item nor the current snapshot needs, but an old one.
pub(super) fn pending(shelves: Shelves<'_>, needs: &Needs) -> Result<u64, BakeError> {
    let held = shelves.snapshots.hold();
    let current: Vec<Cid> = held.current();
    let current = blocks_of(shelves.blocks, &current).cids;
    let current: HashSet<Cid> = current.into_iter().collect();
    let mut bytes = 0;
    for cid in blocks_of(shelves.blocks, &held.roots()).cids {
        if !current.contains(&cid) && !needs.has(&cid) {
            bytes += shelves.blocks.size(&cid)?.unwrap_or_default();
        }
    }
    Ok(bytes)
}
