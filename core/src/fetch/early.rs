//! Blocks that were received before they were wanted, and the set of all blocks received.

use crate::block::Block;
use crate::cid::{Cid, prefix};
use alloc::collections::{BTreeMap, BTreeSet};

/// Maximum number of blocks that [`SeenBlocks`] remembers, about 4 MiB of memory. Further blocks
/// are not recorded.
pub(super) const MAX_SEEN: usize = 1 << 18;

/// Verified blocks that are not wanted yet, up to a number of bytes.
#[derive(Debug)]
pub(super) struct EarlyBlocks {
    blocks: BTreeMap<Cid, (Block, usize)>,
    bytes: usize,
    limit: usize,
}

impl EarlyBlocks {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            blocks: BTreeMap::new(),
            bytes: 0,
            limit,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory that a block takes: its bytes and its entry in the map.
    fn cost(block: &Block) -> usize {
        block
            .data()
            .len()
            .saturating_add(size_of::<(Cid, Block, usize)>())
    }

    /// Keeps a block from a gateway. Returns false if there is no room.
    pub(super) fn put(&mut self, block: Block, gateway: usize) -> bool {
        if self.blocks.contains_key(block.cid()) {
            return true;
        }
        let bytes = self.bytes.saturating_add(Self::cost(&block));
        if bytes > self.limit {
            return false;
        }
        self.bytes = bytes;
        self.blocks.insert(*block.cid(), (block, gateway));
        true
    }

    /// Removes a block and returns it with the index of the gateway that sent it.
    pub(super) fn take(&mut self, cid: &Cid) -> Option<(Block, usize)> {
        let taken = self.blocks.remove(cid)?;
        self.bytes = self.bytes.saturating_sub(Self::cost(&taken.0));
        Some(taken)
    }

    /// Drops all blocks.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
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
