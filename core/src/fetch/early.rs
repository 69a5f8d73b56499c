//! Blocks that were received before they were wanted, and the set of all blocks received.

use crate::block::Block;
use crate::cid::{Cid, prefix};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Maximum number of blocks that [`SeenBlocks`] remembers, about 4 MiB of memory. Further blocks
/// are not recorded.
pub(super) const MAX_SEEN: usize = 1 << 18;

/// Verified blocks that are not wanted yet, up to a number of bytes.
#[derive(Debug)]
pub(super) struct EarlyBlocks {
    /// Indexes in `blocks`, by CID. The type is that of the map in
    /// [`Walker`](crate::unixfs::Walker), so that browsers load its code once.
    index: BTreeMap<(Cid, u64), usize>,
    blocks: Vec<Option<(Block, usize)>>,
    /// Unused indexes in `blocks`.
    free: Vec<usize>,
    bytes: usize,
    limit: usize,
}

impl EarlyBlocks {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            index: BTreeMap::new(),
            blocks: Vec::new(),
            free: Vec::new(),
            bytes: 0,
            limit,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory that a block takes: its bytes and its entries.
    fn cost(block: &Block) -> usize {
        block
            .data()
            .len()
            .saturating_add(size_of::<(Cid, [usize; 3], Block, usize)>())
    }

    /// Keeps a block from a gateway. Returns false if there is no room.
    pub(super) fn put(&mut self, block: Block, gateway: usize) -> bool {
        let key = (*block.cid(), 0);
        if self.index.contains_key(&key) {
            return true;
        }
        let bytes = self.bytes.saturating_add(Self::cost(&block));
        if bytes > self.limit {
            return false;
        }
        self.bytes = bytes;
        let index = self.free.pop().unwrap_or(self.blocks.len());
        match self.blocks.get_mut(index) {
            Some(unused) => *unused = Some((block, gateway)),
            None => self.blocks.push(Some((block, gateway))),
        }
        self.index.insert(key, index);
        true
    }

    /// Removes a block and returns it with the index of the gateway that sent it.
    pub(super) fn take(&mut self, cid: &Cid) -> Option<(Block, usize)> {
        let index = self.index.remove(&(*cid, 0))?;
        let taken = self.blocks.get_mut(index)?.take()?;
        self.free.push(index);
        self.bytes = self.bytes.saturating_sub(Self::cost(&taken.0));
        Some(taken)
    }

    /// Drops all blocks.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}

/// A set of blocks, by eight bytes of their digests. A false match only causes one more request for
/// the block.
#[derive(Debug, Default)]
pub(super) struct SeenBlocks {
    digests: BTreeSet<u64>,
    full: bool,
}

impl SeenBlocks {
    pub(super) fn insert(&mut self, cid: &Cid) {
        if self.digests.len() < MAX_SEEN {
            self.digests.insert(prefix(cid));
        } else {
            self.full = true;
        }
    }

    pub(super) fn contains(&self, cid: &Cid) -> bool {
        self.digests.contains(&prefix(cid))
    }

    /// Whether every inserted block is in the set.
    pub(super) fn is_complete(&self) -> bool {
        !self.full
    }
}
