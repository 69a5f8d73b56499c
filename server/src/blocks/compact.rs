//! Compacting: what lives in a mostly dead pack moves to the last one, and the file goes. A last one that is mostly dead is followed by another first.

use ::cid::multihash::Multihash;
use interplanar_core::cid::{self, Cid, RAW};

use super::BlocksError;
use super::index::Index;
use super::pack::Packs;
use super::writer::Writer;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Packs that were deleted.
    pub packs: u64,
    /// Bytes that this gave back to the disk.
    pub bytes: u64,
}

/// The last pack isn't given up for less: packs would be many and small.
const GIVE_UP_AT: u64 = 8 << 20;

pub(super) fn compact(
    writer: &Writer,
    index: &Index,
    packs: &Packs,
) -> Result<Compacted, BlocksError> {
    let mut done = Compacted::default();
    let mut current = writer.current_pack();
    writer.flush()?;
    let live = index.live()?;
    let mostly_dead = |pack: u32, length: u64| {
        let alive = live.iter().find(|(id, _)| *id == pack);
        alive.map_or(0, |(_, bytes)| *bytes) <= length / 2
    };
    let length = packs.length(current)?;
    if length >= GIVE_UP_AT && mostly_dead(current, length) {
        writer.next_pack()?;
        // What others have written meanwhile.
        writer.flush()?;
        current = writer.current_pack();
    }
    for pack in packs.list()?.into_iter().filter(|pack| *pack < current) {
        let length = packs.length(pack)?;
        if !mostly_dead(pack, length) {
            continue;
        }
        let moved = move_live(writer, index, packs, pack)?;
        writer.settled(|index| index.forget_from(pack, 0))?;
        packs.delete(pack)?;
        done.packs += 1;
        done.bytes += length.saturating_sub(moved);
    }
    packs.sync_folder()?;
    Ok(done)
}

/// How many places are asked of the index at once.
pub(super) const PAGE: usize = 1024;

/// A CID for a multihash.
pub(super) fn raw_cid(key: &[u8]) -> Option<Cid> {
    let hash = Multihash::from_bytes(key).ok()?;
    Some(Cid::new_v1(RAW, hash))
}

/// Copies the blocks that the index finds in a pack, and gives their bytes. The index and not the pack says what they are, so that one bad
/// section loses no others; the copies name their hashes by raw CIDs.
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
                writer.move_here(&cid, &data)?;
                moved += data.len() as u64;
            } else {
                tracing::error!(
                    pack,
                    offset = location.offset,
                    "a block is lost: the data doesn't match its hash"
                );
            }
        }
    }
}
