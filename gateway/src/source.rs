//! Where blocks come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;

/// What a source knows of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is here.
    Here(T),
    /// It can't be had.
    Absent,
    /// Nobody has looked for it yet.
    Pending,
    /// The source itself is broken, and has told its owner so.
    Failed,
}

/// A source of verified blocks. It may block where its front end may.
///
/// A source that says [`Lookup::Pending`] must keep what it is then given long enough to be read once more, together with the
/// blocks before it on the same path.
pub trait BlockSource: Send + Sync {
    /// The bytes of a block, verified.
    fn get(&self, cid: &Cid) -> Lookup<Bytes>;

    /// Whether a block is there.
    fn has(&self, cid: &Cid) -> Lookup<()> {
        match self.get(cid) {
            Lookup::Here(_) => Lookup::Here(()),
            Lookup::Absent => Lookup::Absent,
            Lookup::Pending => Lookup::Pending,
            Lookup::Failed => Lookup::Failed,
        }
    }
}

/// Blocks in memory, without a limit: for small DAGs, and for tests.
#[derive(Debug, Default)]
pub struct Memory {
    blocks: Mutex<HashMap<Cid, Bytes>>,
}

impl Memory {
    /// Adds a block.
    pub fn put(&self, block: Block) {
        let (cid, data) = block.into_parts();
        self.lock().insert(cid, data);
    }

    /// Drops a block.
    pub fn remove(&self, cid: &Cid) {
        self.lock().remove(cid);
    }

    /// As [`answer`](crate::answer) takes it.
    #[must_use]
    pub fn share(self) -> Arc<dyn BlockSource> {
        Arc::new(self)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Cid, Bytes>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockSource for Memory {
    fn get(&self, cid: &Cid) -> Lookup<Bytes> {
        let found = self.lock().get(cid).cloned();
        found.map_or(Lookup::Absent, Lookup::Here)
    }
}
