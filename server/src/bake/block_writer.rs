//! Writes the output of a compressor as a UnixFS file to the block store.

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

/// Blocks are written to the store in batches of about this many bytes.
const BATCH: usize = 4 << 20;

/// Writes the blocks of one bake.
pub(super) struct BlockWriter {
    blocks: BlockStore,
    /// Bytes of disk space to leave free.
    min_free: u64,
    /// Set when the program stops.
    stopped: Arc<AtomicBool>,
    /// Blocks that the store did not have before; a failed bake removes them.
    new: Vec<Cid>,
    /// Why the last write failed; the `io::Error` doesn't contain it.
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

    /// Returns why a write failed: the reason of the block store if there is one, else the
    /// compressor's error.
    pub(super) fn cause(&mut self, error: &io::Error) -> BakeError {
        self.failure
            .take()
            .unwrap_or_else(|| BakeError::Compress(error.to_string()))
    }

    /// Takes the list of blocks that the store did not have before.
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

/// Collects blocks, to write many at once.
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

    /// Writes the collected blocks if they are many.
    pub(super) fn write_if_full(&mut self) -> Result<(), BakeError> {
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

/// Builds one file; several files of a bake share a block writer.
pub(super) struct FileWriter {
    builder: Builder,
    batch: Batch,
    size: u64,
    /// `None` if the caller knows the hash anyway.
    hasher: Option<Sha256Hasher>,
}

/// A file that was written to the block store, but is not durable yet.
pub(super) struct StoredFile {
    pub(super) cid: Cid,
    pub(super) size: u64,
    pub(super) hash: Option<Sha256>,
}

impl FileWriter {
    pub(super) fn new(block_writer: &Rc<RefCell<BlockWriter>>, hash: bool) -> Self {
        Self {
            builder: Builder::new(SIZE_1048576_V1),
            batch: Batch::new(block_writer),
            size: 0,
            hasher: hash.then(Sha256Hasher::new),
        }
    }

    pub(super) fn finish(mut self) -> Result<StoredFile, BakeError> {
        let batch = &mut self.batch;
        let built = self.builder.finish(&mut |block| batch.add(block));
        self.batch.finish()?;
        Ok(StoredFile {
            cid: built.cid,
            size: self.size,
            hash: self.hasher.map(Sha256Hasher::finish),
        })
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let batch = &mut self.batch;
        self.builder.push(bytes, &mut |block| batch.add(block));
        self.size += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Err(error) = self.batch.write_if_full() {
            self.batch.block_writer.borrow_mut().failure = Some(error);
            return Err(io::Error::other("can't write to the block store"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
