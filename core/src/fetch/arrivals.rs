//! Blocks that have come and whose hash is not known yet, in the order in which they came.
//!
//! They are taken in that order only, so that it makes no difference who hashes and how long each takes.

use super::{HashTicket, RequestId};
use crate::block::Block;
use crate::cid::{Cid, CidError, SHA2_256};
use crate::hash::Sha256;
use alloc::collections::VecDeque;
use bytes::Bytes;

#[derive(Debug)]
enum Digest {
    /// Computed here, when the block's turn comes.
    Own,
    Awaited(HashTicket),
    Told(Sha256),
}

/// A block of a request.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) id: RequestId,
    pub(super) cid: Cid,
    pub(super) data: Bytes,
    digest: Digest,
}

impl Arrival {
    /// The block, if it is what its CID says.
    pub(super) fn verify(self) -> Result<Block, CidError> {
        match self.digest {
            Digest::Told(digest) => Block::verify_hashed(self.cid, self.data, &digest),
            Digest::Own | Digest::Awaited(_) => Block::verify(self.cid, self.data),
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
    /// Bytes of blocks that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a block; gives the ticket to ask for its hash with if that is to be computed `outside`.
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
            digest: ticket.map_or(Digest::Own, Digest::Awaited),
        });
        ticket
    }

    /// The hash that was asked for with this ticket; of a block that was given up nothing is remembered.
    pub(super) fn told(&mut self, ticket: HashTicket, digest: Sha256) {
        let mut waiting = self.queue.iter_mut();
        if let Some(arrival) = waiting
            .find(|arrival| matches!(arrival.digest, Digest::Awaited(awaited) if awaited == ticket))
        {
            arrival.digest = Digest::Told(digest);
        }
    }

    /// The first block, if its hash is known or may be computed now.
    pub(super) fn pop(&mut self) -> Option<Arrival> {
        if matches!(self.queue.front()?.digest, Digest::Awaited(_)) {
            return None;
        }
        let arrival = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(arrival.data.len());
        Some(arrival)
    }

    /// Whether blocks of this request wait.
    pub(super) fn has(&self, id: RequestId) -> bool {
        self.queue.iter().any(|arrival| arrival.id == id)
    }

    /// Whether this block has come and waits for its turn.
    pub(super) fn brings(&self, cid: &Cid) -> bool {
        self.queue.iter().any(|arrival| arrival.cid == *cid)
    }

    /// Gives up the blocks of a request.
    pub(super) fn forget(&mut self, id: RequestId) {
        self.queue.retain(|arrival| arrival.id != id);
        self.bytes = self.queue.iter().map(|arrival| arrival.data.len()).sum();
    }

    /// Gives up all.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}
