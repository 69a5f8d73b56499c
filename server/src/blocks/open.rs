//! Opens a store; first repairs what a crash left half done.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::index::{Batch, Index};
use super::lock::Lock;
use super::pack::{HEADER, Location, Packs, read_section};
use super::writer::Writer;
use super::{BlockStore, BlocksError, Inner, MAX_PACK};

/// Entries that recovery commits together.
const BATCH: usize = 4096;

pub(super) fn writable(dir: &Path) -> Result<BlockStore, BlocksError> {
    std::fs::create_dir_all(dir).map_err(BlocksError::io(dir))?;
    let lock = Lock::take(dir)?;
    let (index, packs) = (Arc::new(Index::open(dir)?), Arc::new(Packs::new(dir)));
    let mut last = (1, 0);
    let present = packs.list()?;
    let known = index.packs()?;
    for (pack, _) in &known {
        if !present.contains(pack) {
            tracing::error!(
                pack,
                "a pack of the block store is missing; its blocks are lost"
            );
            index.forget_from(*pack, 0)?;
        }
    }
    for pack in present {
        let indexed = known
            .iter()
            .find(|(id, _)| *id == pack)
            .map_or(0, |(_, length)| *length);
        last = (pack, recover(&index, &packs, pack, indexed)?);
    }
    let (pack, end) = if last.1 >= MAX_PACK {
        (last.0 + 1, 0)
    } else {
        last
    };
    let writer = Writer::start(Arc::clone(&index), Arc::clone(&packs), lock, pack, end)?;
    Ok(store(dir, index, packs, Some(writer)))
}

pub(super) fn read_only(dir: &Path) -> Result<BlockStore, BlocksError> {
    let (index, packs) = (Index::open_read_only(dir)?, Packs::new(dir));
    Ok(store(dir, Arc::new(index), Arc::new(packs), None))
}

fn store(dir: &Path, index: Arc<Index>, packs: Arc<Packs>, writer: Option<Writer>) -> BlockStore {
    BlockStore {
        inner: Arc::new(Inner {
            dir: dir.to_owned(),
            index,
            packs,
            writer,
            upkeep: Mutex::default(),
        }),
    }
}

/// Indexes the blocks behind the indexed part of a pack, cuts off a torn end, and returns the
/// remaining length.
fn recover(index: &Index, packs: &Packs, pack: u32, indexed: u64) -> Result<u64, BlocksError> {
    let path = packs.path(pack);
    let length = packs.length(pack)?;
    let header = HEADER.len() as u64;
    if length == indexed && indexed >= header {
        return Ok(length);
    }
    let mut at = indexed.max(header);
    if length < indexed {
        // The file has lost its end, so no section boundary is known: read all of it again.
        tracing::error!(
            pack,
            length,
            indexed,
            "a pack of the block store has lost its end"
        );
        index.forget_from(pack, length)?;
        at = header;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(BlocksError::io(&path))?;
    let mut batch = Batch::default();
    while let Some(section) = read_section(&file, at).map_err(BlocksError::io(&path))? {
        let location = Location {
            pack,
            offset: section.offset,
            length: u32::try_from(section.data.len()).unwrap_or(u32::MAX),
        };
        batch
            .entries
            .push((section.cid.hash().to_bytes(), location));
        at = section.end;
        if batch.entries.len() >= BATCH {
            index.commit(&batch)?;
            batch.entries.clear();
        }
    }
    // A pack without a whole header starts from nothing.
    let good = if length < header { 0 } else { at };
    if good < length {
        tracing::warn!(
            pack,
            bytes = length - good,
            "cut off the torn end of a pack"
        );
    }
    file.set_len(good)
        .and_then(|()| file.sync_all())
        .map_err(BlocksError::io(&path))?;
    batch.ends.push((pack, good));
    index.commit(&batch)?;
    Ok(good)
}
