//! Compaction: moves the remaining blocks of a mostly deleted pack to the last pack, and deletes
//! the file. If the last pack itself is mostly deleted, starts a new one first.

use ::cid::multihash::Multihash;
use interplanar_core::cid::{self, Cid, RAW};

use super::BlocksError;
use super::index::Index;
use super::pack::Packs;
use super::writer::Writer;

/// The outcome of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Number of deleted packs.
    pub packs: u64,
    /// Bytes of disk space that were freed.
    pub bytes: u64,
}

/// The last pack isn't replaced below this size (bytes), or there would be many small packs.
const MIN_REPLACED_PACK: u64 = 8 << 20;

pub(super) fn compact(
    writer: &Writer,
    index: &Index,
    packs: &Packs,
) -> Result<Compacted, BlocksError> {
    let mut done = Compacted::default();
    let mut current = writer.current_pack();
    writer.flush()?;
    let live = index.live()?;
    let mostly_deleted = |pack: u32, length: u64| {
        let remaining = live.iter().find(|(id, _)| *id == pack);
        remaining.map_or(0, |(_, bytes)| *bytes) <= length / 2
    };
    let length = packs.length(current)?;
    if length >= MIN_REPLACED_PACK && mostly_deleted(current, length) {
        writer.next_pack()?;
        // Make durable what other threads have written meanwhile.
        writer.flush()?;
        current = writer.current_pack();
    }
    for pack in packs.list()?.into_iter().filter(|pack| *pack < current) {
        let length = packs.length(pack)?;
        if !mostly_deleted(pack, length) {
            continue;
        }
        let moved = move_live(writer, index, packs, pack)?;
        writer.with_index(|index| index.forget_from(pack, 0))?;
        packs.delete(pack)?;
        done.packs += 1;
        done.bytes += length.saturating_sub(moved);
    }
    packs.sync_folder()?;
    Ok(done)
}

/// Number of blocks that are read from the index at a time.
pub(super) const PAGE: usize = 1024;

/// Returns a CID for a multihash.
pub(super) fn raw_cid(key: &[u8]) -> Option<Cid> {
    let hash = Multihash::from_bytes(key).ok()?;
    Some(Cid::new_v1(RAW, hash))
}

/// Copies the blocks of a pack to the last pack, and returns their bytes. The index says where they
/// are, not the pack, so one bad section loses no other block. The copies get raw CIDs.
fn move_live(writer: &Writer, index: &Index, packs: &Packs, pack: u32) -> Result<u64, BlocksError> {
    let (mut moved, mut after) = (0, Vec::new());
    loop {
        let page = index.in_pack(pack, &after, PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(moved);
        };
        after.clone_from(last);
        for (key, location) in page {
            let (Some(cid), Some(data)) = (raw_cid(&key), packs.read(location)?) else {
                continue;
            };
            if cid::verify(&cid, &data).is_ok() {
                writer.append_copy(&cid, &data)?;
                moved += data.len() as u64;
            } else {
                tracing::error!(
                    pack,
                    offset = location.offset,
                    "lost a block: its data doesn't match its hash"
                );
            }
        }
    }
}
