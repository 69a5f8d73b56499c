//! Processes blocks from the local store, CARs, files and block requests.

use super::arrivals::Arrival;
use super::request::{RawResponse, ResponseBody};
use super::wanted::LocalState;
use super::{
    Action, Event, Fault, FetchError, Fetcher, GatewayPool, HashTicket, Origin, RequestId,
};
use crate::block::Block;
use crate::car::{CarError, Item};
use crate::cid::{Cid, CidError};
use crate::hash::Sha256;
use crate::unixfs::UnixFsError;
use alloc::vec::Vec;
use bytes::Bytes;

/// Maximum number of bytes in useless blocks that one CAR may send between two useful ones.
pub(super) const MAX_USELESS: u64 = 16 << 20;
/// Number of consecutive blocks from the local store after which a CAR with the same blocks is
/// cancelled.
const MAX_LOCAL_HITS: u32 = 16;

impl Fetcher {
    /// Reports what the local store has for an [`Action::Load`]. Report each one once. Bytes that
    /// don't match the CID count as missing.
    pub fn loaded(&mut self, cid: &Cid, data: Option<Bytes>) {
        self.loading = self.loading.saturating_sub(1);
        if self.is_over() || self.wanted.local(cid) != Some(LocalState::LookingUp) {
            return;
        }
        let block = data.and_then(|data| Block::verify(*cid, data).ok());
        let Some(block) = block else {
            self.local_hits = 0;
            return self.wanted.set_local(cid, LocalState::Missing);
        };
        match self.accept(block, Origin::Local) {
            Ok(_) => {
                self.local_hits = self.local_hits.saturating_add(1);
                if self.local_hits >= MAX_LOCAL_HITS {
                    self.cancel_streams();
                }
            }
            Err(error) => self.conclude(Err(error)),
        }
    }

    /// Passes a block to the walk. Returns false if the block isn't wanted.
    pub(super) fn accept(&mut self, block: Block, from: Origin) -> Result<bool, FetchError> {
        let (cid, bytes) = (*block.cid(), block.data().len());
        match self.target.push(block.clone()) {
            Ok(()) => {}
            Err(UnixFsError::Unexpected) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.dirty = true;
        self.used_blocks.insert(&cid);
        self.wanted.remove(&cid);
        self.largest = self.largest.max(bytes);
        let summary = &mut self.summary;
        summary.blocks = summary.blocks.saturating_add(1);
        match from {
            Origin::Local => summary.local_blocks = summary.local_blocks.saturating_add(1),
            Origin::Gateway(gateway) => {
                if let Some(state) = self.gateways.get_mut(gateway) {
                    state.used.blocks = state.used.blocks.saturating_add(1);
                }
                self.queue.push_back(Action::Store(block));
            }
        }
        let (blocks, block, bytes) = (summary.blocks, bytes as u64, summary.bytes);
        let progress = Event::Progress {
            from,
            block,
            blocks,
            bytes,
        };
        self.queue.push_back(Action::Event(progress));
        Ok(true)
    }

    /// Processes bytes of a CAR.
    pub(super) fn car_data(&mut self, id: RequestId, mut data: Bytes, pool: &mut GatewayPool) {
        while let Some(car) = self
            .requests
            .get_mut(&id)
            .and_then(|request| request.car_mut())
        {
            let at_start = car.reader.is_at_header();
            let fault = match car.reader.push(&mut data) {
                Ok(None) => return,
                Ok(Some(Item::Header { .. })) => continue,
                Ok(Some(Item::Block { cid, data })) => {
                    self.queue_block(id, cid, data, pool);
                    continue;
                }
                Err(CarError::BlockTooLarge { .. }) if !at_start => Fault::TooLarge,
                Err(_) => Fault::NotCar,
            };
            return self.fault(id, fault, pool, true);
        }
    }

    /// Queues a complete block, which is used once its hash is known.
    pub(super) fn queue_block(
        &mut self,
        id: RequestId,
        cid: Cid,
        data: Bytes,
        pool: &mut GatewayPool,
    ) {
        let useless = self.used_blocks.contains(&cid) && !self.target.is_wanted(&cid);
        let outside = data.len() >= self.options.hash_outside && !useless;
        if let Some(ticket) = self.arrivals.push(id, cid, data.clone(), outside) {
            self.queue.push_back(Action::Hash { ticket, data });
        }
        self.take_arrivals(pool);
    }

    /// Reports the SHA-256 of the bytes of an [`Action::Hash`]. Compute it over exactly those
    /// bytes: a wrong digest would drop a good block or accept a bad one.
    pub fn hashed(
        &mut self,
        ticket: HashTicket,
        digest: Sha256,
        pool: &mut GatewayPool,
        now_ms: u64,
    ) {
        self.clock.tick(now_ms);
        self.arrivals.set_digest(ticket, digest);
        self.take_arrivals(pool);
    }

    /// Processes the blocks whose hash is known, in order, and ends requests that have no more.
    fn take_arrivals(&mut self, pool: &mut GatewayPool) {
        while let Some(arrival) = self.arrivals.pop() {
            let id = arrival.id;
            let Some(request) = self.requests.get(&id) else {
                continue;
            };
            let taken = match &request.body {
                ResponseBody::Raw(_) => {
                    self.raw_block(arrival, pool);
                    continue;
                }
                ResponseBody::Car(_) => self.car_block(arrival, pool),
                ResponseBody::PlainFile(_) => self.plain_block(arrival, pool),
            };
            match taken {
                Ok(None) => self.close(id, pool),
                Ok(Some(fault)) => self.fault(id, fault, pool, true),
                Err(error) => return self.conclude(Err(error)),
            }
        }
    }

    /// Processes one block of a CAR. Returns the fault, if there is one.
    fn car_block(
        &mut self,
        arrival: Arrival,
        pool: &mut GatewayPool,
    ) -> Result<Option<Fault>, FetchError> {
        self.refresh()?;
        let (id, cid, bytes) = (arrival.id, arrival.cid, arrival.data.len());
        let wanted = self.target.is_wanted(&cid);
        self.note_seen(id, &cid);
        if !wanted && self.used_blocks.contains(&cid) {
            return Ok(self.note_useless(id, bytes));
        }
        let block = match arrival.verify() {
            Ok(block) => block,
            Err(CidError::WrongHash) => return Ok(Some(Fault::WrongHash(cid))),
            // Blocks with an unsupported hash can't be wanted.
            Err(_) => return Ok(self.note_useless(id, bytes)),
        };
        if !wanted {
            let gateway = self
                .requests
                .get(&id)
                .map_or(usize::MAX, |request| request.gateway);
            if !self.early.put(block, gateway) {
                self.early.clear();
                return Ok(Some(Fault::Unasked));
            }
            self.note_useful(id, false);
            return Ok(None);
        }
        let first = self.wanted.first() == Some(&cid);
        let fits = self.held().saturating_add(bytes) <= self.options.max_buffer;
        if !fits && (!first || self.has_content()) {
            // The driver reads on although it should not. The block is requested again later.
            return Ok(None);
        }
        self.take_from_stream(id, block, pool)?;
        self.note_useful(id, first);
        Ok(None)
    }

    /// Processes a piece of a file as a block. Returns the fault, if there is one.
    fn plain_block(
        &mut self,
        arrival: Arrival,
        pool: &mut GatewayPool,
    ) -> Result<Option<Fault>, FetchError> {
        self.refresh()?;
        let (id, cid) = (arrival.id, arrival.cid);
        if !self.target.is_wanted(&cid) {
            return Ok(None);
        }
        let Ok(block) = arrival.verify() else {
            return Ok(Some(Fault::WrongHash(cid)));
        };
        self.take_from_stream(id, block, pool)?;
        Ok(None)
    }

    /// Uses a block of a CAR or a file.
    fn take_from_stream(
        &mut self,
        id: RequestId,
        block: Block,
        pool: &mut GatewayPool,
    ) -> Result<(), FetchError> {
        let at_ms = self.clock.counted_ms();
        let (cid, bytes) = (*block.cid(), block.data().len());
        let Some(request) = self.requests.get_mut(&id) else {
            return Ok(());
        };
        request.used = request.used.saturating_add(1);
        request.used_bytes = request.used_bytes.saturating_add(bytes as u64);
        request.last_block_ms = at_ms;
        let gateway = request.gateway;
        self.accept(block, Origin::Gateway(gateway))?;
        self.local_hits = 0;
        self.cancel_raw_requests(&cid);
        self.end_other_streams(id, pool);
        Ok(())
    }

    fn note_seen(&mut self, id: RequestId, cid: &Cid) {
        if let Some(car) = self
            .requests
            .get_mut(&id)
            .and_then(|request| request.car_mut())
        {
            car.seen.insert(cid);
        }
    }

    /// Notes a useless block.
    fn note_useless(&mut self, id: RequestId, bytes: usize) -> Option<Fault> {
        let car = self.requests.get_mut(&id)?.car_mut()?;
        car.useless = car.useless.saturating_add((bytes as u64).max(64));
        (car.useless > MAX_USELESS).then_some(Fault::Unasked)
    }

    /// Notes a useful block: the first wanted one, or a later one.
    fn note_useful(&mut self, id: RequestId, first: bool) {
        let at_ms = self.clock.counted_ms();
        let waits_for = self.wanted.first().copied();
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        request.last_block_ms = at_ms;
        let Some(car) = request.car_mut() else {
            return;
        };
        car.useless = 0;
        if first || car.waits_for != waits_for {
            car.waits_for = waits_for;
            car.passed = 0;
        }
        car.passed = car.passed.saturating_add(u32::from(!first));
    }

    /// Processes the end of the answer to a block request.
    pub(super) fn raw_end(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let at_ms = self.clock.counted_ms();
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let ResponseBody::Raw(raw) = &mut request.body else {
            return;
        };
        let cid = raw.cid;
        let data = core::mem::replace(raw, RawResponse::new(cid)).finish();
        request.last_byte_ms = at_ms;
        self.queue_block(id, cid, data, pool);
    }

    /// Processes the block of a block request.
    fn raw_block(&mut self, arrival: Arrival, pool: &mut GatewayPool) {
        let (id, cid) = (arrival.id, arrival.cid);
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let gateway = request.gateway;
        let took_ms = request.transfer_ms(request.last_byte_ms);
        let bytes = request.bytes;
        let Ok(block) = arrival.verify() else {
            return self.fault(id, Fault::WrongHash(cid), pool, false);
        };
        pool.finished(gateway, bytes, took_ms);
        let sent_ms = self.requests.remove(&id).map_or(0, |raw| raw.sent_ms);
        self.gateways.closed(gateway);
        if let Err(error) = self.accept(block, Origin::Gateway(gateway)) {
            return self.conclude(Err(error));
        }
        self.end_other_raw_requests(&cid, sent_ms, pool);
    }

    /// Ends all other streams once a CAR or file delivered a useful block, unless this is the slow
    /// one.
    fn end_other_streams(&mut self, winner: RequestId, pool: &mut GatewayPool) {
        let Some(sent_ms) = self
            .requests
            .get(&winner)
            .filter(|won| !won.slow)
            .map(|won| won.sent_ms)
        else {
            return;
        };
        let others = self
            .requests
            .iter()
            .filter(|(id, other)| **id != winner && other.is_stream());
        self.end_losers(others.map(|(id, _)| *id).collect(), sent_ms, pool);
    }

    /// Ends all other requests for a block once it was delivered.
    fn end_other_raw_requests(&mut self, cid: &Cid, sent_ms: u64, pool: &mut GatewayPool) {
        let others = self
            .requests
            .iter()
            .filter(|(_, other)| other.raw_cid() == Some(cid));
        self.end_losers(others.map(|(id, _)| *id).collect(), sent_ms, pool);
    }

    /// Ends requests that lost a race. It is a fault only if the request was sent before the winner
    /// and got no byte, or was too slow all the time.
    fn end_losers(&mut self, losers: Vec<RequestId>, winner_sent_ms: u64, pool: &mut GatewayPool) {
        for id in losers {
            let Some(loser) = self.requests.get(&id) else {
                continue;
            };
            let older = loser.sent_ms < winner_sent_ms;
            let fault = match loser.slow {
                _ if older && loser.bytes == 0 => Some(Fault::Outrun),
                true if loser.last_byte_ms < winner_sent_ms => Some(Fault::Stalled),
                true => Some(Fault::TooSlow),
                false => None,
            };
            if let Some(fault) = fault {
                self.fault(id, fault, pool, true);
            } else {
                self.cancel(id);
            }
        }
    }

    fn cancel_raw_requests(&mut self, cid: &Cid) {
        let raws = self
            .requests
            .iter()
            .filter(|(_, other)| other.raw_cid() == Some(cid));
        raws.map(|(id, _)| *id)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|id| self.cancel(id));
    }

    /// Cancels all CARs and files.
    pub(super) fn cancel_streams(&mut self) {
        let streams = self.requests.iter().filter(|(_, other)| other.is_stream());
        streams
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|id| self.cancel(id));
    }

    /// Cancels a request without a fault.
    fn cancel(&mut self, id: RequestId) {
        if let Some(request) = self.requests.remove(&id) {
            self.arrivals.drop_request(id);
            self.gateways.closed(request.gateway);
            if request.end.is_none() {
                self.queue.push_back(Action::Cancel(id));
            }
        }
    }
}
