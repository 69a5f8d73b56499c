//! Blocks that came before anybody asked for them, and which ones came at all.

use crate::block::Block;
use crate::cid::Cid;
use alloc::collections::{BTreeMap, BTreeSet};

/// Most blocks that [`Seen`] remembers, some 4 MiB of memory; more are simply not known.
pub(super) const MAX_SEEN: usize = 1 << 18;

/// Verified blocks that nothing wants yet, within a number of bytes.
#[derive(Debug)]
pub(super) struct Early {
    blocks: BTreeMap<Cid, (Block, usize)>,
    bytes: usize,
    limit: usize,
}

impl Early {
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

    /// What a block costs: its bytes and its place in the map.
    fn cost(block: &Block) -> usize {
        block
            .data()
            .len()
            .saturating_add(size_of::<(Cid, Block, usize)>())
    }

    /// Keeps a block of a gateway; false when there is no room.
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

    /// Gives a block out, with the gateway that it came from.
    pub(super) fn take(&mut self, cid: &Cid) -> Option<(Block, usize)> {
        let taken = self.blocks.remove(cid)?;
        self.bytes = self.bytes.saturating_sub(Self::cost(&taken.0));
        Some(taken)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
    }
}

/// Which blocks came, by eight bytes of their digests. A block that is wrongly thought to have come is only asked for once more.
#[derive(Debug, Default)]
pub(super) struct Seen {
    digests: BTreeSet<u64>,
    full: bool,
}

impl Seen {
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

    /// Whether everything is remembered.
    pub(super) fn is_complete(&self) -> bool {
        !self.full
    }
}

/// Eight bytes of a digest: what is cheap to compare, and different for nearly all.
pub(super) fn prefix(cid: &Cid) -> u64 {
    let digest = cid.hash().digest().iter().take(8);
    digest.fold(0, |value, byte| value.rotate_left(8) ^ u64::from(*byte))
}
