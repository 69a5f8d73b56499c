//! Processes the answers of gateways.

use super::early::SeenBlocks;
use super::plain_file::PlainFile;
use super::request::{CarResponse, Request, ResponseBody, ResponseEnd};
use super::{Action, Event, Failure, Fault, Fetcher, GatewayPool, RequestId};
use crate::cid::MAX_BLOCK;
use bytes::Bytes;

/// Blocks or bytes after which a CAR that ended early counts as useful: the gateway may be asked
/// for another one.
const USEFUL_BLOCKS: u64 = 16;
const USEFUL_BYTES: u64 = 1 << 20;

impl Fetcher {
    /// Reports the status and the `Content-Type` of an answer.
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

    /// Reports bytes of an answer's body.
    pub fn data(&mut self, id: RequestId, data: Bytes, pool: &mut GatewayPool, now_ms: u64) {
        self.clock.tick(now_ms);
        let at_ms = self.clock.counted_ms();
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
        if let Some(state) = self.gateways.get_mut(request.gateway) {
            state.used.bytes = state.used.bytes.saturating_add(bytes);
        }
        if request.bytes > request.max_bytes {
            return self.fault(id, Fault::TooLarge, pool, true);
        }
        match &mut request.body {
            ResponseBody::Raw(raw) => raw.push(&data),
            ResponseBody::Car(_) => self.car_data(id, data, pool),
            ResponseBody::PlainFile(_) => self.plain_data(id, data, pool),
        }
    }

    /// Reports the end of an answer's body.
    pub fn end(&mut self, id: RequestId, pool: &mut GatewayPool, now_ms: u64) {
        self.clock.tick(now_ms);
        self.ended(id, ResponseEnd::Complete, pool);
    }

    /// Reports that a request failed.
    pub fn failed(&mut self, id: RequestId, failure: Failure, pool: &mut GatewayPool, now_ms: u64) {
        self.clock.tick(now_ms);
        self.ended(id, ResponseEnd::Failed(failure.into()), pool);
    }

    fn ended(&mut self, id: RequestId, end: ResponseEnd, pool: &mut GatewayPool) {
        let Some(request) = self.requests.get_mut(&id).filter(|open| open.end.is_none()) else {
            return;
        };
        request.end = Some(end);
        match end {
            ResponseEnd::Complete if !request.is_stream() => self.raw_end(id, pool),
            _ => self.close(id, pool),
        }
    }

    /// Ends a request that has no more input, once all its blocks are processed.
    pub(super) fn close(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        match request.end {
            _ if self.arrivals.has_request(id) => {}
            None => {}
            Some(ResponseEnd::Failed(fault)) => self.fault(id, fault, pool, false),
            Some(ResponseEnd::Complete) if request.plain().is_some() => self.plain_end(id, pool),
            Some(ResponseEnd::Complete) => self.car_end(id, pool),
        }
    }

    /// Processes the end of a file. It is correct if all requested bytes arrived.
    fn plain_end(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        if request.plain().is_some_and(PlainFile::waits_for_node) {
            return;
        }
        if request.bytes < request.max_bytes {
            return self.fault(id, Fault::Truncated, pool, false);
        }
        self.finish(id, pool);
    }

    /// Removes a stream that ended without a fault.
    fn finish(&mut self, id: RequestId, pool: &mut GatewayPool) {
        if let Some(request) = self.requests.remove(&id) {
            let took_ms = request.transfer_ms(self.clock.counted_ms());
            pool.finished(request.gateway, request.bytes, took_ms);
            self.gateways.closed(request.gateway);
        }
    }

    fn car_end(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let whole = |car: &CarResponse| car.reader.finish().is_ok();
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

    /// Whether a CAR that has ended left out a wanted block.
    fn is_short(&self, request: &Request) -> bool {
        let left_out =
            |seen: &SeenBlocks| self.wanted.order().iter().any(|cid| !seen.contains(cid));
        request
            .car()
            .is_some_and(|car| car.seen.is_complete() && left_out(&car.seen))
    }

    /// Ends a request with a fault and records the fault. `cancel` is true if the driver still runs
    /// the request.
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
        self.arrivals.drop_request(id);
        if cancel && request.end.is_none() {
            self.queue.push_back(Action::Cancel(id));
        }
        let gateway = request.gateway;
        pool.fault(gateway, fault, request.used > 0, self.clock.now_ms());
        if matches!(fault, Fault::Outrun | Fault::Stalled | Fault::Timeout) {
            let waited_ms = self.clock.counted_ms().saturating_sub(request.sent_ms);
            pool.first_byte(gateway, waited_ms);
        }
        self.gateways.closed(gateway);
        self.gateways.faulted(gateway, fault);
        self.last_fault = Some(fault);
        self.record_failure(&request, fault);
        self.queue
            .push_back(Action::Event(Event::GatewayFault { gateway, fault }));
    }

    /// Records the failed attempt, which limits how often a gateway is asked for each block and for
    /// CARs.
    fn record_failure(&mut self, request: &Request, fault: Fault) {
        let gateway = request.gateway;
        if let Some(cid) = request.raw_cid() {
            return self.wanted.tried(cid, gateway, fault);
        }
        if request.plain().is_some() {
            if let Some(state) = self.gateways.get_mut(gateway) {
                state.plain_failed = true;
            }
            if let Fault::WrongHash(cid) = fault {
                self.wanted.tried(&cid, gateway, fault);
            }
            return;
        }
        if request.used < USEFUL_BLOCKS
            && request.used_bytes < USEFUL_BYTES
            && let Some(state) = self.gateways.get_mut(gateway)
        {
            state.useless_cars = match fault {
                Fault::NotFound(_) | Fault::Unasked => u8::MAX,
                _ => state.useless_cars.saturating_add(1),
            };
        }
        // A missing path doesn't mean that the block at its start is missing.
        let path_not_found = matches!(fault, Fault::NotFound(_)) && !self.target.path().is_empty();
        let cid = match fault {
            Fault::WrongHash(cid) => Some(cid),
            Fault::CarRefused(_) | Fault::Outrun | Fault::TooSlow => None,
            _ if request.used > 0 || path_not_found => None,
            _ => self.wanted.first().copied(),
        };
        if let Some(cid) = cid {
            self.wanted.tried(&cid, gateway, fault);
        }
    }
}

/// Returns the media type without its parameters.
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

/// Maximum length of the answer to a block request, in bytes.
pub(super) const MAX_RAW: u64 = MAX_BLOCK as u64;
