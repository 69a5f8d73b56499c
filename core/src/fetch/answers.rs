//! What gateways answer.

use super::early::Seen;
use super::plain::Plain;
use super::request::{Body, Car, End, Request};
use super::{Action, Event, Failure, Fault, Fetcher, GatewayPool, RequestId};
use crate::cid::MAX_BLOCK;
use bytes::Bytes;

/// A CAR that ended early is worth another one if it brought as many blocks or bytes.
const FRUITFUL_BLOCKS: u64 = 16;
const FRUITFUL_BYTES: u64 = 1 << 20;

impl Fetcher {
    /// The status and the `Content-Type` of an answer.
    pub fn response(
        &mut self,
        id: RequestId,
        status: u16,
        content_type: Option<&str>,
        pool: &mut GatewayPool,
        now_ms: u64,
    ) {
        self.clock.tick(now_ms);
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let is_car = request.car().is_some();
        let fault = match status {
            _ if request.plain().is_some() => match status {
                200 if !request.ranged => return,
                206 if request.ranged => return,
                408 | 429 | 500 | 502.. => Fault::Status(status),
                _ => Fault::FileRefused(status),
            },
            200 if is_car && is_text(content_type) => Fault::NotCar,
            200 if !is_car && is_html(content_type) => Fault::NotBlock,
            200 => return,
            404 | 410 => Fault::NotFound(status),
            400 | 405 | 406 | 415 | 501 if is_car => Fault::CarRefused(status),
            _ => Fault::Status(status),
        };
        self.fault(id, fault, pool, true);
    }

    /// Bytes of an answer's body.
    pub fn data(&mut self, id: RequestId, data: Bytes, pool: &mut GatewayPool, now_ms: u64) {
        self.clock.tick(now_ms);
        let at_ms = self.clock.felt_ms();
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        if data.is_empty() || request.end.is_some() {
            return;
        }
        let bytes = data.len() as u64;
        if request.first_byte_ms.is_none() {
            request.first_byte_ms = Some(at_ms);
            pool.first_byte(request.gateway, at_ms.saturating_sub(request.sent_ms));
        }
        request.received(bytes, at_ms);
        pool.received(request.gateway, bytes);
        self.summary.network_bytes = self.summary.network_bytes.saturating_add(bytes);
        if let Some(peer) = self.peers.get_mut(request.gateway) {
            peer.used.bytes = peer.used.bytes.saturating_add(bytes);
        }
        if request.bytes > request.max_bytes {
            return self.fault(id, Fault::TooLarge, pool, true);
        }
        match &mut request.body {
            Body::Raw(raw) => raw.push(&data),
            Body::Car(_) => self.car_data(id, data, pool),
            Body::Plain(_) => self.plain_data(id, data, pool),
        }
    }

    /// The end of an answer's body.
    pub fn end(&mut self, id: RequestId, pool: &mut GatewayPool, now_ms: u64) {
        self.clock.tick(now_ms);
        self.ended(id, End::Complete, pool);
    }

    /// A request that could not be finished.
    pub fn failed(&mut self, id: RequestId, failure: Failure, pool: &mut GatewayPool, now_ms: u64) {
        self.clock.tick(now_ms);
        self.ended(id, End::Failed(failure.into()), pool);
    }

    fn ended(&mut self, id: RequestId, end: End, pool: &mut GatewayPool) {
        let Some(request) = self.requests.get_mut(&id).filter(|open| open.end.is_none()) else {
            return;
        };
        request.end = Some(end);
        match end {
            End::Complete if !request.is_stream() => self.raw_end(id, pool),
            _ => self.close(id, pool),
        }
    }

    /// The last word on a request that has ended, once all its blocks are taken.
    pub(super) fn close(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        match request.end {
            _ if self.arrivals.has(id) => {}
            None => {}
            Some(End::Failed(fault)) => self.fault(id, fault, pool, false),
            Some(End::Complete) if request.plain().is_some() => self.plain_end(id, pool),
            Some(End::Complete) => self.car_end(id, pool),
        }
    }

    /// The end of a file: right if all came that was asked for.
    fn plain_end(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        if request.plain().is_some_and(Plain::is_stuck) {
            return;
        }
        if request.bytes < request.max_bytes {
            return self.fault(id, Fault::Truncated, pool, false);
        }
        self.finish(id, pool);
    }

    /// A stream that ended well.
    fn finish(&mut self, id: RequestId, pool: &mut GatewayPool) {
        if let Some(request) = self.requests.remove(&id) {
            let took_ms = request.transfer_ms(self.clock.felt_ms());
            pool.finished(request.gateway, request.bytes, took_ms);
            self.peers.closed(request.gateway);
        }
    }

    fn car_end(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let whole = |car: &Car| car.reader.finish().is_ok();
        let car = self.requests.get(&id).and_then(Request::car);
        if !car.is_some_and(whole) {
            return self.fault(id, Fault::Truncated, pool, false);
        }
        if let Err(error) = self.refresh() {
            return self.conclude(Err(error));
        }
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        if self.is_short(request) {
            return self.fault(id, Fault::Truncated, pool, false);
        }
        self.finish(id, pool);
    }

    /// Whether a CAR that has ended left something out: a block that is wanted and did not come in it.
    fn is_short(&self, request: &Request) -> bool {
        let left_out = |seen: &Seen| self.wanted.order().iter().any(|cid| !seen.contains(cid));
        request
            .car()
            .is_some_and(|car| car.seen.is_complete() && left_out(&car.seen))
    }

    /// Ends a request that went wrong, and remembers whose it was; `cancel` if the driver still has it.
    pub(super) fn fault(
        &mut self,
        id: RequestId,
        fault: Fault,
        pool: &mut GatewayPool,
        cancel: bool,
    ) {
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        self.arrivals.forget(id);
        if cancel && request.end.is_none() {
            self.queue.push_back(Action::Cancel(id));
        }
        let gateway = request.gateway;
        pool.fault(gateway, fault, request.used > 0, self.clock.now_ms());
        if matches!(fault, Fault::Outrun | Fault::Stalled | Fault::Timeout) {
            let waited_ms = self.clock.felt_ms().saturating_sub(request.sent_ms);
            pool.first_byte(gateway, waited_ms);
        }
        self.peers.closed(gateway);
        self.peers.faulted(gateway, fault);
        self.last_fault = Some(fault);
        self.note_try(&request, fault);
        self.queue
            .push_back(Action::Event(Event::GatewayFault { gateway, fault }));
    }

    /// So that each gateway is asked for each block, and for CARs, only so often.
    fn note_try(&mut self, request: &Request, fault: Fault) {
        let gateway = request.gateway;
        if let Some(cid) = request.raw_cid() {
            return self.wanted.tried(cid, gateway, fault);
        }
        if request.plain().is_some() {
            if let Some(peer) = self.peers.get_mut(gateway) {
                peer.plain_failed = true;
            }
            if let Fault::WrongHash(cid) = fault {
                self.wanted.tried(&cid, gateway, fault);
            }
            return;
        }
        if request.used < FRUITFUL_BLOCKS
            && request.used_bytes < FRUITFUL_BYTES
            && let Some(peer) = self.peers.get_mut(gateway)
        {
            peer.barren_cars = match fault {
                Fault::NotFound(_) | Fault::Unasked => u8::MAX,
                _ => peer.barren_cars.saturating_add(1),
            };
        }
        // That there is no such path says nothing of the block at its start.
        let tells_of_path = matches!(fault, Fault::NotFound(_)) && !self.target.path().is_empty();
        let cid = match fault {
            Fault::WrongHash(cid) => Some(cid),
            Fault::CarRefused(_) | Fault::Outrun | Fault::TooSlow => None,
            _ if request.used > 0 || tells_of_path => None,
            _ => self.wanted.first().copied(),
        };
        if let Some(cid) = cid {
            self.wanted.tried(&cid, gateway, fault);
        }
    }
}

/// The media type alone, without its parameters.
fn essence(content_type: Option<&str>) -> &str {
    content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim()
}

fn is_html(content_type: Option<&str>) -> bool {
    let essence = essence(content_type);
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|html| essence.eq_ignore_ascii_case(html))
}

fn is_text(content_type: Option<&str>) -> bool {
    let essence = essence(content_type);
    let text = essence
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    text || is_html(content_type) || essence.eq_ignore_ascii_case("application/json")
}

/// The most bytes that the answer to a block request may have.
pub(super) const MAX_RAW: u64 = MAX_BLOCK as u64;
