//! The block store of one fetch: lookups side by side, and what came in batches, one batch at a time.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Bytes that may wait to be stored; beyond it the fetch waits for the store.
const MAX_WAITING: usize = 8 << 20;

/// Where a fetch looks for blocks first, and keeps those it got: a Cache API, an IndexedDB, a map.
pub trait LocalBlocks {
    /// The bytes of a block, or none if it isn't there or can't be read. The engine verifies them once more.
    fn get(&self, cid: Cid) -> LocalBoxFuture<'static, Option<Bytes>>;

    /// Keeps blocks.
    ///
    /// # Errors
    /// They can't be kept; the fetch goes on and keeps no more.
    fn put(&self, blocks: Vec<Block>) -> LocalBoxFuture<'static, Result<(), NotKept>>;
}

/// A block store takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the blocks can't be kept")]
pub struct NotKept;

/// See the module. Without local blocks nothing is found and nothing is kept.
pub(super) struct Store {
    blocks: Option<Rc<dyn LocalBlocks>>,
    loading: Vec<(Cid, LocalBoxFuture<'static, Option<Bytes>>)>,
    puts: Vec<Block>,
    waiting: usize,
    putting: Option<LocalBoxFuture<'static, Result<(), NotKept>>>,
}

/// What ended.
pub(super) enum Finished {
    /// A block was looked up; it may not be there.
    Loaded(Cid, Option<Bytes>),
    /// A batch was stored.
    Stored,
}

impl Store {
    pub(super) fn new(blocks: Option<Rc<dyn LocalBlocks>>) -> Self {
        Self {
            blocks,
            loading: Vec::new(),
            puts: Vec::new(),
            waiting: 0,
            putting: None,
        }
    }

    pub(super) fn load(&mut self, cid: Cid) {
        let load: LocalBoxFuture<'static, _> = match &self.blocks {
            Some(blocks) => blocks.get(cid),
            None => Box::pin(std::future::ready(None)),
        };
        self.loading.push((cid, load));
    }

    pub(super) fn put(&mut self, block: Block) {
        if self.blocks.is_some() {
            self.waiting = self.waiting.saturating_add(block.data().len());
            self.puts.push(block);
        }
    }

    /// Whether the fetch should wait for the store.
    pub(super) fn is_full(&self) -> bool {
        self.waiting > MAX_WAITING && self.putting.is_some()
    }

    /// Begins to store what came since the last batch.
    pub(super) fn start(&mut self) {
        if self.putting.is_none()
            && !self.puts.is_empty()
            && let Some(blocks) = &self.blocks
        {
            self.putting = Some(blocks.put(std::mem::take(&mut self.puts)));
            self.waiting = 0;
        }
    }

    /// The next thing that ends.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Finished> {
        for index in 0..self.loading.len() {
            let Some((cid, load)) = self.loading.get_mut(index) else {
                break;
            };
            if let Poll::Ready(data) = load.as_mut().poll(context) {
                let cid = *cid;
                drop(self.loading.swap_remove(index));
                return Poll::Ready(Finished::Loaded(cid, data));
            }
        }
        if let Some(putting) = &mut self.putting
            && let Poll::Ready(stored) = putting.as_mut().poll(context)
        {
            self.putting = None;
            if stored.is_err() {
                // A full store must not end the fetch: go on without keeping blocks.
                self.blocks = None;
                self.puts.clear();
                self.waiting = 0;
            }
            return Poll::Ready(Finished::Stored);
        }
        Poll::Pending
    }

    /// Stores what is left.
    pub(super) async fn finish(&mut self) {
        self.loading.clear();
        self.start();
        while self.putting.is_some() {
            poll_fn(|context| self.poll_next(context)).await;
            self.start();
        }
    }
}
