//! The block store of one fetch: loads and stores in batches, on blocking threads, one batch of each kind at a time.
//!
//! While a batch is written the next one gathers, so that the disk's slowness costs one wait per batch and not one per block.

use crate::blocks::{BlockStore, BlocksError};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes that may wait to be stored; beyond it the fetch waits for the disk.
const MAX_WAITING: usize = 8 << 20;

/// Where a fetch looks for blocks first, and keeps those it got. Its calls block.
pub trait LocalBlocks: Send + Sync + 'static {
    /// The verified bytes of a block, or none.
    ///
    /// # Errors
    /// It can't be read; the fetch goes on as if it were not there.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError>;

    /// Keeps blocks.
    ///
    /// # Errors
    /// They can't be written; the fetch goes on and keeps no more.
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

/// See the module. Without local blocks nothing is found and nothing is kept.
pub(super) struct Store {
    blocks: Option<Arc<dyn LocalBlocks>>,
    loads: Vec<Cid>,
    loading: Option<JoinHandle<Loaded>>,
    puts: Vec<Block>,
    waiting: usize,
    putting: Option<JoinHandle<bool>>,
}

/// Blocks that were looked up, those that are not there too.
pub(super) type Loaded = Vec<(Cid, Option<Bytes>)>;

/// What a batch was.
pub(super) enum Finished {
    Loaded(Loaded),
    Stored,
}

impl Store {
    pub(super) fn new(blocks: Option<Arc<dyn LocalBlocks>>) -> Self {
        Self {
            blocks,
            loads: Vec::new(),
            loading: None,
            puts: Vec::new(),
            waiting: 0,
            putting: None,
        }
    }

    pub(super) fn load(&mut self, cid: Cid) {
        self.loads.push(cid);
    }

    pub(super) fn put(&mut self, block: Block) {
        if self.blocks.is_some() {
            self.waiting = self.waiting.saturating_add(block.data().len());
            self.puts.push(block);
        }
    }

    /// Whether the fetch should wait for the disk.
    pub(super) fn is_full(&self) -> bool {
        self.waiting > MAX_WAITING && self.putting.is_some()
    }

    /// Whether [`Self::next`] would end.
    pub(super) fn is_busy(&self) -> bool {
        self.loading.is_some() || self.putting.is_some()
    }

    /// Begins what was asked for since the last batch.
    pub(super) fn start(&mut self) {
        if self.loading.is_none() && !self.loads.is_empty() {
            let (blocks, cids) = (self.blocks.clone(), std::mem::take(&mut self.loads));
            self.loading = Some(tokio::task::spawn_blocking(move || {
                load(blocks.as_deref(), cids)
            }));
        }
        if self.putting.is_none()
            && !self.puts.is_empty()
            && let Some(blocks) = self.blocks.clone()
        {
            let puts = std::mem::take(&mut self.puts);
            self.waiting = 0;
            self.putting = Some(tokio::task::spawn_blocking(move || {
                match blocks.put(&puts) {
                    Ok(_) => true,
                    Err(error) => {
                        tracing::error!(%error, "fetched blocks can't be kept");
                        false
                    }
                }
            }));
        }
    }

    /// The next batch that ends; pends forever when none is under way.
    pub(super) async fn next(&mut self) -> Finished {
        tokio::select! {
            loaded = ended(&mut self.loading) => Finished::Loaded(loaded.unwrap_or_default()),
            stored = ended(&mut self.putting) => {
                if stored != Some(true) {
                    // A full disk must not end the fetch: go on without keeping blocks.
                    self.blocks = None;
                    self.puts.clear();
                    self.waiting = 0;
                }
                Finished::Stored
            }
        }
    }

    /// Stores what is left.
    pub(super) async fn finish(&mut self) {
        self.loads.clear();
        self.start();
        while self.is_busy() {
            self.next().await;
            self.start();
        }
    }
}

/// The result of a batch, none if its thread panicked; pends forever when there is no batch.
async fn ended<T>(batch: &mut Option<JoinHandle<T>>) -> Option<T> {
    let Some(handle) = batch else {
        return std::future::pending().await;
    };
    let result = handle.await;
    *batch = None;
    result.ok()
}

fn load(blocks: Option<&dyn LocalBlocks>, cids: Vec<Cid>) -> Loaded {
    let get = |cid: &Cid| match blocks?.get(cid) {
        Ok(data) => data,
        Err(error) => {
            tracing::error!(%cid, %error, "a kept block can't be read");
            None
        }
    };
    cids.into_iter().map(|cid| (cid, get(&cid))).collect()
}
