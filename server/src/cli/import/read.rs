//! Stores the blocks of a CAR stream, in bounded memory.

use std::io::{self, Read};

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{CarError, Item, Reader};
use interplanar_core::cid::{Cid, CidError};

use super::report::Counts;
use crate::blocks::{BlockStore, BlocksError};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Why the import of a CAR stopped.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// The file can't be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The file is not a CAR, or it is cut short.
    #[error("it is not a whole CAR file")]
    Car(#[from] CarError),
    /// A block doesn't match its CID.
    #[error("block {cid}: {error}")]
    Block {
        /// The CID that the CAR gives for it.
        cid: Box<Cid>,
        /// What doesn't match.
        error: CidError,
    },
    /// The blocks can't be stored.
    #[error(transparent)]
    Store(#[from] BlocksError),
}

/// Verifies and stores every block; `progress` is called after each chunk.
pub(super) fn import(
    mut input: impl Read,
    store: &BlockStore,
    progress: &mut dyn FnMut(&Counts),
) -> Result<Counts, ImportError> {
    let (mut reader, mut counts) = (Reader::new(), Counts::default());
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        input.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            reader.finish()?;
            return Ok(counts);
        }
        counts.read += chunk.len() as u64;
        let mut chunk = Bytes::from(chunk);
        while let Some(item) = reader.push(&mut chunk)? {
            match item {
                Item::Header { roots } => counts.roots = roots,
                Item::Block { cid, data } => put(store, cid, data, &mut counts)?,
            }
        }
        progress(&counts);
    }
}

fn put(store: &BlockStore, cid: Cid, data: Bytes, counts: &mut Counts) -> Result<(), ImportError> {
    let block = Block::verify(cid, data).map_err(|error| ImportError::Block {
        cid: Box::new(cid),
        error,
    })?;
    counts.blocks += 1;
    if !store.has(&cid)? {
        counts.new_blocks += 1;
        counts.new_bytes += block.data().len() as u64;
        store.put(&[block])?;
    }
    Ok(())
}
