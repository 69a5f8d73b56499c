//! The block store of one fetch: reads and writes in batches on blocking threads, with one batch of
//! each kind at a time.
//!
//! While one batch is written, the next one is collected, so a slow disk costs one wait for each
//! batch, not for each block.

use crate::blocks::{BlockStore, BlocksError};
use crate::task::{self, Task};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use std::sync::Arc;

/// Maximum bytes that wait to be written. Above this the fetch waits for the disk.
const MAX_PENDING: usize = 8 << 20;

/// Where a fetch looks for blocks first, and stores those that it fetched. Its methods block.
pub trait LocalBlocks: Send + Sync + 'static {
    /// Returns the verified bytes of a block, or `None`.
    ///
    /// # Errors
    /// The block can't be read. The fetch continues as if it were missing.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError>;

    /// Stores blocks.
    ///
    /// # Errors
    /// The blocks can't be written. The fetch continues and stores no more.
    fn put(&self, blocks: &[Block]) -> Result<(), BlocksError>;
}

impl LocalBlocks for BlockStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        Self::get(self, cid)
    }

    fn put(&self, blocks: &[Block]) -> Result<(), BlocksError> {
        Self::put(self, blocks)
    }
}

/// Reads and writes blocks for one fetch. Without local blocks it finds and stores nothing. See the
/// module.
pub(super) struct BatchedStore {
    blocks: Option<Arc<dyn LocalBlocks>>,
    loads: Vec<Cid>,
    loading: Option<Task<Loaded>>,
    puts: Vec<Block>,
    pending_bytes: usize,
    putting: Option<Task<bool>>,
}

/// Results of lookups, including missing blocks.
pub(super) type Loaded = Vec<(Cid, Option<Bytes>)>;

/// The kind and the result of a finished batch.
pub(super) enum FinishedBatch {
    Loaded(Loaded),
    Stored,
}

impl BatchedStore {
    pub(super) fn new(blocks: Option<Arc<dyn LocalBlocks>>) -> Self {
        Self {
            blocks,
            loads: Vec::new(),
            loading: None,
            puts: Vec::new(),
            pending_bytes: 0,
            putting: None,
        }
    }

    pub(super) fn load(&mut self, cid: Cid) {
        self.loads.push(cid);
    }

    pub(super) fn put(&mut self, block: Block) {
        if self.blocks.is_some() {
            self.pending_bytes = self.pending_bytes.saturating_add(block.data().len());
            self.puts.push(block);
        }
    }

    /// Returns whether the fetch should wait for the disk.
    pub(super) fn is_full(&self) -> bool {
        self.pending_bytes > MAX_PENDING && self.putting.is_some()
    }

    /// Returns whether a batch is running, so that [`Self::next`] will return.
    pub(super) fn is_busy(&self) -> bool {
        self.loading.is_some() || self.putting.is_some()
    }

    /// Starts batches with everything requested since the last ones.
    pub(super) fn start(&mut self) {
        if self.loading.is_none() && !self.loads.is_empty() {
            let (blocks, cids) = (self.blocks.clone(), std::mem::take(&mut self.loads));
            self.loading = Some(task::blocking("reading blocks", move || {
                load(blocks.as_deref(), cids)
            }));
        }
        if self.putting.is_none()
            && !self.puts.is_empty()
            && let Some(blocks) = self.blocks.clone()
        {
            let puts = std::mem::take(&mut self.puts);
            self.pending_bytes = 0;
            self.putting = Some(task::blocking("storing blocks", move || {
                match blocks.put(&puts) {
                    Ok(_) => true,
                    Err(error) => {
                        tracing::error!(%error, "can't store fetched blocks; continuing without storing any");
                        false
                    }
                }
            }));
        }
    }

    /// Returns the next batch that finishes. Waits forever if none is running.
    pub(super) async fn next(&mut self) -> FinishedBatch {
        tokio::select! {
            loaded = finished(&mut self.loading) => FinishedBatch::Loaded(loaded.unwrap_or_default()),
            stored = finished(&mut self.putting) => {
                if stored != Some(true) {
                    // A full disk must not end the fetch, so it continues without storing blocks.
                    self.blocks = None;
                    self.puts.clear();
                    self.pending_bytes = 0;
                }
                FinishedBatch::Stored
            }
        }
    }

    /// Writes everything that is left.
    pub(super) async fn finish(&mut self) {
        self.loads.clear();
        self.start();
        while self.is_busy() {
            self.next().await;
            self.start();
        }
    }
}

/// Returns the result of a batch, or `None` if its thread panicked. Waits forever if there is no
/// batch.
async fn finished<T>(batch: &mut Option<Task<T>>) -> Option<T> {
    let Some(handle) = batch else {
        return std::future::pending().await;
    };
    let result = handle.await;
    *batch = None;
    result.ok()
}

fn load(blocks: Option<&dyn LocalBlocks>, cids: Vec<Cid>) -> Loaded {
    let get = |cid: &Cid| {
        let blocks = blocks?;
        // The engine needs the result of each lookup, so a panic means that this block is missing.
        match task::caught(("reading a block", cid), || blocks.get(cid)).ok()? {
            Ok(data) => data,
            Err(error) => {
                tracing::error!(%cid, %error, "can't read a stored block");
                None
            }
        }
    };
    cids.into_iter().map(|cid| (cid, get(&cid))).collect()
}
