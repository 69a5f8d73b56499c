//! The block store of one fetch. Lookups run in parallel; blocks are written in one batch at a
//! time.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Most bytes that wait to be stored. With more, the fetch waits for the store.
const MAX_WAITING: usize = 8 << 20;

/// A local block store: the Cache API, IndexedDB or a map. A fetch looks for blocks here first, and
/// stores the blocks that it fetched.
pub trait LocalBlocks {
    /// Returns the bytes of a block, or none if the block is missing or can't be read. The engine
    /// verifies them again.
    fn get(&self, cid: Cid) -> LocalBoxFuture<'static, Option<Bytes>>;

    /// Stores blocks.
    ///
    /// # Errors
    /// [`NotStored`] if it can't store them. The fetch continues without storing more blocks.
    fn put(&self, blocks: Vec<Block>) -> LocalBoxFuture<'static, Result<(), NotStored>>;
}

/// The block store accepts no more blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("can't store the blocks")]
pub struct NotStored;

/// The lookups and writes of one fetch. Without a local store, it finds and stores nothing.
pub(super) struct BlockStore {
    blocks: Option<Rc<dyn LocalBlocks>>,
    loading: Vec<(Cid, LocalBoxFuture<'static, Option<Bytes>>)>,
    puts: Vec<Block>,
    waiting: usize,
    putting: Option<LocalBoxFuture<'static, Result<(), NotStored>>>,
}

/// An operation that has ended.
pub(super) enum StoreEvent {
    /// A lookup; none if the block is missing.
    Loaded(Cid, Option<Bytes>),
    /// The write of a batch.
    Stored,
}

impl BlockStore {
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

    /// Starts to write the blocks that came since the last batch.
    pub(super) fn start(&mut self) {
        if self.putting.is_none()
            && !self.puts.is_empty()
            && let Some(blocks) = &self.blocks
        {
            self.putting = Some(blocks.put(std::mem::take(&mut self.puts)));
            self.waiting = 0;
        }
    }

    /// Returns the next operation that ends.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<StoreEvent> {
        for index in 0..self.loading.len() {
            let Some((cid, load)) = self.loading.get_mut(index) else {
                break;
            };
            if let Poll::Ready(data) = load.as_mut().poll(context) {
                let cid = *cid;
                drop(self.loading.swap_remove(index));
                return Poll::Ready(StoreEvent::Loaded(cid, data));
            }
        }
        if let Some(putting) = &mut self.putting
            && let Poll::Ready(stored) = putting.as_mut().poll(context)
        {
            self.putting = None;
            if stored.is_err() {
                // A full store must not end the fetch: continue without storing blocks.
                self.blocks = None;
                self.puts.clear();
                self.waiting = 0;
            }
            return Poll::Ready(StoreEvent::Stored);
        }
        Poll::Pending
    }

    /// Writes the remaining blocks.
    pub(super) async fn finish(&mut self) {
        self.loading.clear();
        self.start();
        while self.putting.is_some() {
            poll_fn(|context| self.poll_next(context)).await;
            self.start();
        }
    }
}
