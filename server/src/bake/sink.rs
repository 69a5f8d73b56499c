//! The end of a compressor: bytes become a UnixFS file in the block store.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::unixfs::{Builder, SIZE_1048576_V1};

use super::BakeError;
use crate::blocks::BlockStore;

/// Blocks are handed to the store in batches of about so many bytes.
const BATCH: usize = 4 << 20;

/// What one bake has put into the block store, and what it may do there.
pub(super) struct Shelf {
    blocks: BlockStore,
    /// Bytes of the disk that stay free, whatever comes.
    min_free: u64,
    /// Set when the program ends.
    stopped: Arc<AtomicBool>,
    /// The blocks that were not there before, for a bake that fails.
    new: Vec<Cid>,
    /// Why the last write was refused: an `io::Error` says too little.
    failure: Option<BakeError>,
}

impl Shelf {
    pub(super) fn new(blocks: BlockStore, min_free: u64, stopped: Arc<AtomicBool>) -> Self {
        Self {
            blocks,
            min_free,
            stopped,
            new: Vec::new(),
            failure: None,
        }
    }

    /// Why a write failed: the cause if it was here, else the compressor's own words.
    pub(super) fn cause(&mut self, error: &io::Error) -> BakeError {
        self.failure
            .take()
            .unwrap_or_else(|| BakeError::Compress(error.to_string()))
    }

    /// The blocks that were not there before.
    pub(super) fn take_new(&mut self) -> Vec<Cid> {
        std::mem::take(&mut self.new)
    }

    fn put(&mut self, batch: &mut Vec<Block>) -> Result<(), BakeError> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(BakeError::Stopped);
        }
        let free = free_bytes(self.blocks.dir().to_path_buf())?;
        if free < self.min_free {
            let least = self.min_free;
            return Err(BakeError::DiskFull { free, least });
        }
        for block in batch.iter() {
            if !self.blocks.has(block.cid())? {
                self.new.push(*block.cid());
            }
        }
        self.blocks.put(batch)?;
        batch.clear();
        Ok(())
    }
}

fn free_bytes(dir: PathBuf) -> Result<u64, BakeError> {
    let free = rustix::fs::statvfs(&dir).map_err(|error| BakeError::io(&dir)(error.into()))?;
    Ok(free.f_bavail.saturating_mul(free.f_frsize))
}

/// A file in the making; several of one bake share a shelf.
pub(super) struct Sink {
    shelf: Rc<RefCell<Shelf>>,
    builder: Builder,
    batch: Vec<Block>,
    batch_bytes: usize,
    size: u64,
    /// Absent where the hash is known from elsewhere.
    hasher: Option<Sha256Hasher>,
}

/// A file that is in the block store, if not durable yet.
pub(super) struct Stored {
    pub(super) cid: Cid,
    pub(super) size: u64,
    pub(super) hash: Option<Sha256>,
}

impl Sink {
    pub(super) fn new(shelf: &Rc<RefCell<Shelf>>, hash: bool) -> Self {
        Self {
            shelf: Rc::clone(shelf),
            builder: Builder::new(SIZE_1048576_V1),
            batch: Vec::new(),
            batch_bytes: 0,
            size: 0,
            hasher: hash.then(Sha256Hasher::new),
        }
    }

    pub(super) fn finish(mut self) -> Result<Stored, BakeError> {
        let batch = &mut self.batch;
        let built = self.builder.finish(&mut |block| batch.push(block));
        self.shelf.borrow_mut().put(&mut self.batch)?;
        Ok(Stored {
            cid: built.cid,
            size: self.size,
            hash: self.hasher.map(Sha256Hasher::finish),
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (batch, batch_bytes) = (&mut self.batch, &mut self.batch_bytes);
        self.builder.push(bytes, &mut |block| {
            *batch_bytes += block.data().len();
            batch.push(block);
        });
        self.size += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if self.batch_bytes >= BATCH {
            let mut shelf = self.shelf.borrow_mut();
            if let Err(error) = shelf.put(&mut self.batch) {
                shelf.failure = Some(error);
                return Err(io::Error::other("the block store refused"));
            }
            self.batch_bytes = 0;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
