//! Sources of blocks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;

/// A source's answer about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<T> {
    /// The source has the block.
    Here(T),
    /// The block can't be found.
    Absent,
    /// The source has not looked for the block yet.
    Pending,
    /// The source failed, and has logged the reason.
    Failed,
}

/// A source of verified blocks. Its methods may block if the caller allows that.
///
/// After [`Lookup::Pending`], the source must keep the fetched block long enough to be read again,
/// together with the earlier blocks on the same path.
pub trait BlockSource: Send + Sync {
    /// Returns the verified bytes of a block.
    fn get(&self, cid: &Cid) -> Lookup<Bytes>;

    /// Returns whether the source has a block.
    fn has(&self, cid: &Cid) -> Lookup<()> {
        match self.get(cid) {
            Lookup::Here(_) => Lookup::Here(()),
            Lookup::Absent => Lookup::Absent,
            Lookup::Pending => Lookup::Pending,
            Lookup::Failed => Lookup::Failed,
        }
    }
}

/// Blocks in memory, without a limit. For small DAGs and for tests.
#[derive(Debug, Default)]
pub struct MemoryBlocks {
    blocks: Mutex<HashMap<Cid, Bytes>>,
}

impl MemoryBlocks {
    /// Adds a block.
    pub fn put(&self, block: Block) {
        let (cid, data) = block.into_parts();
        self.lock().insert(cid, data);
    }

    /// Removes a block.
    pub fn remove(&self, cid: &Cid) {
        self.lock().remove(cid);
    }

    /// Converts the blocks to the type that [`answer`](crate::answer) takes.
    #[must_use]
    pub fn share(self) -> Arc<dyn BlockSource> {
        Arc::new(self)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Cid, Bytes>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockSource for MemoryBlocks {
    fn get(&self, cid: &Cid) -> Lookup<Bytes> {
        let found = self.lock().get(cid).cloned();
        found.map_or(Lookup::Absent, Lookup::Here)
    }
}
