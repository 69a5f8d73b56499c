//! The blocks of one request, in memory. Each block is fetched once, and read more than once.
//!
//! With more than [`MAX_BLOCK_CACHE`] bytes, the oldest blocks are evicted. So a walk over any DAG
//! fits into a worker's memory.

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_gateway::{BlockSource, Lookup};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Most bytes of blocks.
pub(crate) const MAX_BLOCK_CACHE: usize = 16 << 20;
/// Bytes of an entry without its block.
const OVERHEAD: usize = 256;

/// The blocks of one request.
#[derive(Debug, Default)]
pub(crate) struct BlockCache(Mutex<CachedBlocks>);

#[derive(Debug, Default)]
struct CachedBlocks {
    /// `None` if the block was looked for, and no source has it.
    known: HashMap<Cid, Option<Bytes>>,
    /// CIDs, the oldest first.
    order: VecDeque<Cid>,
    bytes: usize,
}

impl BlockCache {
    /// Adds a verified block, or `None` if no source has it.
    pub(crate) fn put(&self, cid: Cid, data: Option<Bytes>) {
        let mut blocks = self.lock();
        let cost = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len) + OVERHEAD;
        blocks.bytes += cost(&data);
        if let Some(old) = blocks.known.insert(cid, data) {
            blocks.bytes -= cost(&old);
            return;
        }
        blocks.order.push_back(cid);
        while blocks.bytes > MAX_BLOCK_CACHE && blocks.order.len() > 1 {
            let Some(oldest) = blocks.order.pop_front() else {
                break;
            };
            if let Some(old) = blocks.known.remove(&oldest) {
                blocks.bytes -= cost(&old);
            }
        }
    }

    /// Returns a block, if the cache has it.
    pub(crate) fn block(&self, cid: &Cid) -> Option<Bytes> {
        self.lock().known.get(cid).cloned().flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CachedBlocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockSource for BlockCache {
    fn get(&self, cid: &Cid) -> Lookup<Bytes> {
        match self.lock().known.get(cid) {
            Some(Some(data)) => Lookup::Here(data.clone()),
            Some(None) => Lookup::Absent,
            None => Lookup::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interplanar_core::block::Block;

    #[test]
    fn the_oldest_blocks_are_evicted_first() {
        let block_cache = BlockCache::default();
        let blocks: Vec<Block> = (0..20_u8)
            .map(|byte| Block::raw(vec![byte; 1 << 20].into()))
            .collect();
        for block in &blocks {
            block_cache.put(*block.cid(), Some(block.data().clone()));
        }
        assert_eq!(block_cache.get(blocks[0].cid()), Lookup::Pending);
        assert!(matches!(block_cache.get(blocks[19].cid()), Lookup::Here(_)));
        assert!(block_cache.lock().bytes <= MAX_BLOCK_CACHE);
        let absent = *Block::raw(Bytes::from_static(b"absent")).cid();
        block_cache.put(absent, None);
        assert_eq!(block_cache.get(&absent), Lookup::Absent);
        block_cache.put(absent, Some(Bytes::from_static(b"absent")));
        assert!(block_cache.block(&absent).is_some());
    }
}
