//! Blocks that were received and wait for their hash, in the order in which they arrived.
//!
//! They are processed in that order only. Therefore the result doesn't depend on who hashes them
//! and how long each hash takes.

use super::{HashTicket, RequestId};
use crate::block::Block;
use crate::cid::{Cid, CidError, SHA2_256};
use crate::hash::Sha256;
use alloc::collections::VecDeque;
use bytes::Bytes;

#[derive(Debug)]
enum BlockDigest {
    /// The engine computes the digest when it processes the block.
    ByEngine,
    Requested(HashTicket),
    Known(Sha256),
}

/// A received block of a request.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) id: RequestId,
    pub(super) cid: Cid,
    pub(super) data: Bytes,
    digest: BlockDigest,
}

impl Arrival {
    /// Verifies the block against its CID.
    pub(super) fn verify(self) -> Result<Block, CidError> {
        match self.digest {
            BlockDigest::Known(digest) => Block::verify_hashed(self.cid, self.data, &digest),
            BlockDigest::ByEngine | BlockDigest::Requested(_) => Block::verify(self.cid, self.data),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    queue: VecDeque<Arrival>,
    bytes: usize,
    next: u64,
}

impl Arrivals {
    /// Bytes of the waiting blocks.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a block. Returns a ticket for the hash request if the driver should compute the digest
    /// (`outside`).
    pub(super) fn push(
        &mut self,
        id: RequestId,
        cid: Cid,
        data: Bytes,
        outside: bool,
    ) -> Option<HashTicket> {
        let ticket = (outside && cid.hash().code() == SHA2_256).then(|| {
            self.next = self.next.saturating_add(1);
            HashTicket(self.next)
        });
        self.bytes = self.bytes.saturating_add(data.len());
        self.queue.push_back(Arrival {
            id,
            cid,
            data,
            digest: ticket.map_or(BlockDigest::ByEngine, BlockDigest::Requested),
        });
        ticket
    }

    /// Sets the digest that was requested with this ticket. Digests of dropped blocks are ignored.
    pub(super) fn set_digest(&mut self, ticket: HashTicket, digest: Sha256) {
        let mut waiting = self.queue.iter_mut();
        if let Some(arrival) = waiting
            .find(|arrival| matches!(arrival.digest, BlockDigest::Requested(requested) if requested == ticket))
        {
            arrival.digest = BlockDigest::Known(digest);
        }
    }

    /// Removes the first block, if its digest is known or the engine computes it.
    pub(super) fn pop(&mut self) -> Option<Arrival> {
        if matches!(self.queue.front()?.digest, BlockDigest::Requested(_)) {
            return None;
        }
        let arrival = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(arrival.data.len());
        Some(arrival)
    }

    /// Whether blocks of this request are waiting.
    pub(super) fn has_request(&self, id: RequestId) -> bool {
        self.queue.iter().any(|arrival| arrival.id == id)
    }

    /// Whether this block is waiting.
    pub(super) fn contains(&self, cid: &Cid) -> bool {
        self.queue.iter().any(|arrival| arrival.cid == *cid)
    }

    /// Drops the blocks of a request.
    pub(super) fn drop_request(&mut self, id: RequestId) {
        self.queue.retain(|arrival| arrival.id != id);
        self.bytes = self.queue.iter().map(|arrival| arrival.data.len()).sum();
    }

    /// Drops all blocks.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}
