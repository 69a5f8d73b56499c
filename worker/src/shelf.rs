//! The blocks of one request, in memory: what is asked for is looked for once and read more than once.
//!
//! The oldest go when there are more than [`MAX_SHELF`] bytes, so that a walk over any DAG fits into a worker's memory.

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_gateway::{BlockSource, Lookup};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Bytes of blocks that are held, at most.
pub(crate) const MAX_SHELF: usize = 16 << 20;
/// What an entry costs beside its block.
const OVERHEAD: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Blocks>);

#[derive(Debug, Default)]
struct Blocks {
    /// `None`: it was looked for, and nobody has it.
    known: HashMap<Cid, Option<Bytes>>,
    /// The oldest first.
    order: VecDeque<Cid>,
    bytes: usize,
}

impl Shelf {
    /// Adds a verified block, or that there is none to be had.
    pub(crate) fn put(&self, cid: Cid, data: Option<Bytes>) {
        let mut blocks = self.lock();
        let cost = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len) + OVERHEAD;
        blocks.bytes += cost(&data);
        if let Some(old) = blocks.known.insert(cid, data) {
            blocks.bytes -= cost(&old);
            return;
        }
        blocks.order.push_back(cid);
        while blocks.bytes > MAX_SHELF && blocks.order.len() > 1 {
            let Some(oldest) = blocks.order.pop_front() else {
                break;
            };
            if let Some(old) = blocks.known.remove(&oldest) {
                blocks.bytes -= cost(&old);
            }
        }
    }

    /// A block that is here.
    pub(crate) fn here(&self, cid: &Cid) -> Option<Bytes> {
        self.lock().known.get(cid).cloned().flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockSource for Shelf {
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
    fn the_oldest_blocks_go_first() {
        let shelf = Shelf::default();
        let blocks: Vec<Block> = (0..20_u8)
            .map(|byte| Block::raw(vec![byte; 1 << 20].into()))
            .collect();
        for block in &blocks {
            shelf.put(*block.cid(), Some(block.data().clone()));
        }
        assert_eq!(shelf.get(blocks[0].cid()), Lookup::Pending);
        assert!(matches!(shelf.get(blocks[19].cid()), Lookup::Here(_)));
        assert!(shelf.lock().bytes <= MAX_SHELF);
        let absent = *Block::raw(Bytes::from_static(b"absent")).cid();
        shelf.put(absent, None);
        assert_eq!(shelf.get(&absent), Lookup::Absent);
        shelf.put(absent, Some(Bytes::from_static(b"absent")));
        assert!(shelf.here(&absent).is_some());
    }
}
