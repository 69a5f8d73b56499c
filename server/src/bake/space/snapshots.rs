//! Snapshots while space is given back: which go, and what stays for those that stay.

use std::collections::HashSet;
use std::time::Duration;

use interplanar_core::cid::Cid;

use super::super::BakeError;
use super::super::dag::blocks_of;
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

/// The blocks, by multihash, of all snapshots but those that go. One that lacks some is of no use, and forgotten.
pub(super) fn needs(
    shelves: Shelves<'_>,
    held: &mut Held<'_>,
    going: &[Cid],
) -> Result<HashSet<Vec<u8>>, BakeError> {
    let mut staying = held.roots();
    staying.retain(|root| !going.contains(root));
    // They share nearly all, so they are walked together.
    let mut walked = blocks_of(shelves.blocks, &staying);
    if walked.lost.is_some() {
        for root in &staying {
            if let Some(lost) = blocks_of(shelves.blocks, &[*root]).lost {
                tracing::error!(%root, block = %lost, "a block of a snapshot is lost, so the snapshot is forgotten");
                held.forget(root)?;
            }
        }
        // Those that are whole are walked once more: what hangs beside a lost node is nobody's.
        staying.retain(|root| held.roots().contains(root));
        walked = blocks_of(shelves.blocks, &staying);
    }
    Ok(walked
        .cids
        .iter()
        .map(|cid| cid.hash().to_bytes())
        .collect())
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
