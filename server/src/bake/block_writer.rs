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
pub(super) struct BlockWriter {
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

impl BlockWriter {
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

/// Blocks on their way to the block_writer, many at once.
pub(super) struct Batch {
    block_writer: Rc<RefCell<BlockWriter>>,
    blocks: Vec<Block>,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(block_writer: &Rc<RefCell<BlockWriter>>) -> Self {
        Self {
            block_writer: Rc::clone(block_writer),
            blocks: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn add(&mut self, block: Block) {
        self.bytes += block.data().len();
        self.blocks.push(block);
    }

    /// Hands them over if they are many.
    pub(super) fn settle(&mut self) -> Result<(), BakeError> {
        if self.bytes < BATCH {
            return Ok(());
        }
        self.bytes = 0;
        self.block_writer.borrow_mut().put(&mut self.blocks)
    }

    pub(super) fn finish(mut self) -> Result<(), BakeError> {
        self.block_writer.borrow_mut().put(&mut self.blocks)
    }
}

/// A file in the making; several of one bake share a block_writer.
pub(super) struct Sink {
    builder: Builder,
    batch: Batch,
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
    pub(super) fn new(block_writer: &Rc<RefCell<BlockWriter>>, hash: bool) -> Self {
        Self {
            builder: Builder::new(SIZE_1048576_V1),
            batch: Batch::new(block_writer),
            size: 0,
            hasher: hash.then(Sha256Hasher::new),
        }
    }

    pub(super) fn finish(mut self) -> Result<Stored, BakeError> {
        let batch = &mut self.batch;
        let built = self.builder.finish(&mut |block| batch.add(block));
        self.batch.finish()?;
        Ok(Stored {
            cid: built.cid,
            size: self.size,
            hash: self.hasher.map(Sha256Hasher::finish),
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let batch = &mut self.batch;
        self.builder.push(bytes, &mut |block| batch.add(block));
        self.size += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Err(error) = self.batch.settle() {
            self.batch.block_writer.borrow_mut().failure = Some(error);
            return Err(io::Error::other("the block store refused"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
