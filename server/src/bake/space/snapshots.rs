//! The snapshots' part in deleting: which ones expire, and which blocks the others need.

use std::collections::HashSet;
use std::time::Duration;

use interplanar_core::cid::Cid;

use super::super::BakeError;
use super::super::dag::{LiveBlocks, blocks_of};
use super::super::snapshot::HeldSnapshots;
use super::CacheParts;
use super::usage::BlockUses;

/// Returns the expired snapshots that are no longer pinned; unpins them in Kubo first.
pub(super) fn unpinned(
    held: &mut HeldSnapshots<'_>,
    unpin: &mut dyn FnMut(&[Cid]) -> bool,
) -> Result<Vec<Cid>, BakeError> {
    let mut old = held.expired();
    let known = held.roots();
    // Also unpin snapshots that were forgotten because they had lost blocks.
    let mut pinned = held.in_kubo().pinned.clone();
    pinned.retain(|root| old.contains(root) || !known.contains(root));
    for root in pinned {
        if !unpin(&[root]) {
            old.retain(|one| *one != root);
            continue;
        }
        let mut kubo = held.in_kubo().clone();
        kubo.pinned.retain(|one| *one != root);
        held.set_in_kubo(kubo)?;
    }
    Ok(old)
}

/// Removes items from the current snapshot. If that fails, forgets the snapshot, so that a new one
/// is built.
pub(super) fn remove_items(
    held: &mut HeldSnapshots<'_>,
    hash_parts: Vec<String>,
    keep_for: Duration,
) -> Result<(), BakeError> {
    let Err(error) = held.remove(hash_parts, keep_for) else {
        return Ok(());
    };
    tracing::error!(
        %error,
        "can't remove items from the snapshot; the next one is built from nothing"
    );
    match held.root() {
        Some(root) => held.forget(&root),
        None => Ok(()),
    }
}

/// Adds the blocks of all snapshots that stay to `live`. Forgets a snapshot that lacks blocks.
pub(super) fn keep(
    cache: CacheParts<'_>,
    held: &mut HeldSnapshots<'_>,
    expired: &[Cid],
    live: &mut LiveBlocks,
) -> Result<(), BakeError> {
    let mut staying = held.roots();
    staying.retain(|root| !expired.contains(root));
    // Snapshots share most nodes, so walk them together.
    if live.add(cache.blocks, &staying).is_ok() {
        return Ok(());
    }
    for root in staying {
        if let Err(lost) = live.add(cache.blocks, &[root]) {
            tracing::error!(
                %root,
                block = %lost,
                "a block of a snapshot is lost; the snapshot is deleted"
            );
            held.forget(&root)?;
        }
    }
    Ok(())
}

/// Returns the bytes that will be freed when old snapshots expire: of blocks that neither an item
/// nor the current snapshot uses.
pub(super) fn pending(cache: CacheParts<'_>, block_uses: &BlockUses) -> Result<u64, BakeError> {
    let held = cache.snapshots.hold();
    let current: Vec<Cid> = held.current();
    let current = blocks_of(cache.blocks, &current).cids;
    let current: HashSet<Cid> = current.into_iter().collect();
    let mut bytes = 0;
    for cid in blocks_of(cache.blocks, &held.roots()).cids {
        if !current.contains(&cid) && !block_uses.has(&cid) {
            bytes += cache.blocks.size(&cid)?.unwrap_or_default();
        }
    }
    Ok(bytes)
}
