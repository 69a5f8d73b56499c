//! Whether everything is whole.

use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::store_path::StorePath;

use super::super::BakeError;
use super::super::dag::blocks_of;
use super::Shelves;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Blocks that were hashed.
    pub blocks: u64,
    /// Blocks that were wrong.
    pub wrong: u64,
    /// Blocks that were wrong or missing and have been fetched anew.
    pub mended: u64,
    /// Snapshots that lack blocks: they are forgotten, and the current one is made anew.
    pub snapshots: u64,
    /// Items that lack blocks: they are forgotten, and baked again when they are asked for.
    pub items: Vec<StorePath>,
}

pub(super) fn check(
    shelves: Shelves<'_>,
    progress: &mut dyn FnMut(u64),
    refetch: &mut dyn FnMut(&Cid) -> Option<Block>,
) -> Result<Checked, BakeError> {
    let mut done = Checked::default();
    shelves.blocks.scrub(&mut |bytes, right| {
        done.blocks += 1;
        done.wrong += u64::from(!right);
        progress(bytes);
    })?;
    for item in shelves.all()? {
        if mend(shelves, &item.roots(), &mut done, refetch)? {
            continue;
        }
        shelves.records.remove(&item.hash_part)?;
        done.items.push(item.record.item.store_path);
    }
    let mut snapshots = shelves.snapshots.hold();
    let roots = snapshots.roots();
    // They share nearly all, so they are looked at together unless something is lost for good.
    if !mend(shelves, &roots, &mut done, refetch)? {
        for root in roots {
            if !mend(shelves, &[root], &mut done, refetch)? {
                snapshots.forget(&root)?;
                done.snapshots += 1;
            }
        }
    }
    shelves.blocks.flush()?;
    Ok(done)
}

/// Whether all blocks below some roots are there, at last.
fn mend(
    shelves: Shelves<'_>,
    roots: &[Cid],
    done: &mut Checked,
    refetch: &mut dyn FnMut(&Cid) -> Option<Block>,
) -> Result<bool, BakeError> {
    loop {
        let walked = blocks_of(shelves.blocks, roots);
        let mut missing = walked.lost.into_iter().collect::<Vec<_>>();
        for cid in walked.cids {
            if !missing.contains(&cid) && !shelves.blocks.has(&cid)? {
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
            shelves.blocks.put(&[block])?;
            done.mended += 1;
        }
    }
}
