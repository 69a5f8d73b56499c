//! Verifies all blocks, and repairs what it can.

use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::blocks_of;
use super::CacheParts;

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Blocks that were hashed.
    pub blocks: u64,
    /// Blocks that were wrong.
    pub wrong: u64,
    /// Blocks that were wrong or missing and were fetched again.
    pub repaired: u64,
    /// Snapshots that lack blocks. They are forgotten, and a new one is built.
    pub snapshots: u64,
    /// Items that lack blocks. They are forgotten, and baked again on request.
    pub items: Vec<StorePath>,
}

pub(super) fn check(
    cache: CacheParts<'_>,
    progress: &mut dyn FnMut(u64),
    refetch: &mut dyn FnMut(&Cid) -> Option<Block>,
) -> Result<Checked, BakeError> {
    let mut done = Checked::default();
    cache.blocks.scrub(&mut |bytes, is_right| {
        done.blocks += 1;
        done.wrong += u64::from(!is_right);
        progress(bytes);
    })?;
    for item in cache.all()? {
        if repair(cache, &item.roots(), &mut done, refetch)? {
            continue;
        }
        cache.records.remove(&item.hash_part)?;
        done.items.push(item.record.item.store_path);
    }
    let mut snapshots = cache.snapshots.hold();
    let roots = snapshots.roots();
    // Snapshots share most nodes: check them together, and one by one only if a block is lost.
    if !repair(cache, &roots, &mut done, refetch)? {
        for root in roots {
            if !repair(cache, &[root], &mut done, refetch)? {
                snapshots.forget(&root)?;
                done.snapshots += 1;
            }
        }
    }
    cache.blocks.flush()?;
    Ok(done)
}

/// Fetches the missing blocks of some DAGs. Returns whether all are there in the end.
fn repair(
    cache: CacheParts<'_>,
    roots: &[Cid],
    done: &mut Checked,
    refetch: &mut dyn FnMut(&Cid) -> Option<Block>,
) -> Result<bool, BakeError> {
    loop {
        let walked = blocks_of(cache.blocks, roots);
        let mut missing = walked.lost.into_iter().collect::<Vec<_>>();
        for cid in walked.cids {
            if !missing.contains(&cid) && !cache.blocks.has(&cid)? {
                missing.push(cid);
            }
        }
        if missing.is_empty() {
            return Ok(true);
        }
        for cid in missing {
            let Some(block) = refetch(&cid) else {
                return Ok(false);
            };
            cache.blocks.put(&[block])?;
            done.repaired += 1;
        }
    }
}
