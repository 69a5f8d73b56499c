//! Decides what to request from which gateway: a CAR if much is missing, block requests otherwise.

use super::answers::MAX_RAW;
use super::gateway::{ACCEPT_CAR, ACCEPT_FILE, ACCEPT_RAW, car_url, raw_url};
use super::gateway_states::{GatewayChoice, GatewayState};
use super::request::{CarResponse, RawResponse, Request, ResponseBody};
use super::wanted::LocalState;
use super::{Action, ByteRange, FetchError, Fetcher, GatewayPool, RequestKind};
use crate::cid::{Cid, RAW};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Largest number of missing blocks that are requested one by one.
const MAX_BLOCK_REQUESTS: usize = 3;
/// Bytes that a CAR may have beyond five quarters of the content: nodes, CIDs, and the rest of the
/// blocks at the ends of a range.
const CAR_EXTRA: u64 = 8 << 20;

impl Fetcher {
    /// Requests what is missing, as far as it is useful now.
    pub(super) fn plan(&mut self, pool: &mut GatewayPool) -> Result<(), FetchError> {
        self.retry_ms = None;
        let Some(first) = self.wanted.first().copied() else {
            return Ok(());
        };
        if self.wanted.local(&first) != Some(LocalState::Missing) {
            return Ok(());
        }
        self.switch_to_plain_file(pool);
        if self.may_arrive(&first) {
            self.request_nodes_beside_file(pool);
            return Ok(());
        }
        // The lookups in the local store decide how to request the rest.
        if self.loading > 0 && self.requests.is_empty() {
            return Ok(());
        }
        if self.has_no_requests_left() {
            return match self.requests.is_empty() {
                true => Err(FetchError::NoRequestsLeft { cid: first }),
                false => Ok(()),
            };
        }
        let mut car = self.has_stream();
        let much = self.is_much_missing();
        if !car && much {
            let choice = self.choose(pool, |_, state| state.may_give_car());
            if let Some(gateway) = choice.now {
                self.request_car(gateway, pool);
                car = true;
            }
        }
        if self.may_arrive(&first) {
            return Ok(());
        }
        self.request_blocks(&first, car, pool);
        if self.raw_requests_for(&first) > 0 {
            return Ok(());
        }
        self.wait_for_a_gateway(&first, much && !car, pool)
    }

    /// Number of requests that may still be made.
    pub(super) fn requests_left(&self) -> u64 {
        self.options
            .max_requests
            .saturating_sub(self.requests_made())
    }

    fn has_no_requests_left(&self) -> bool {
        self.requests_left() == 0
    }

    fn has_stream(&self) -> bool {
        self.requests.values().any(Request::is_stream)
    }

    pub(super) fn raw_requests_for(&self, cid: &Cid) -> usize {
        let raws = self
            .requests
            .values()
            .filter(|request| request.raw_cid() == Some(cid));
        raws.count()
    }

    pub(super) fn choose(
        &self,
        pool: &GatewayPool,
        filter: impl Fn(usize, &GatewayState) -> bool,
    ) -> GatewayChoice {
        if self.has_no_requests_left() {
            return GatewayChoice::default();
        }
        self.gateways.choose(pool, self.clock.now_ms(), filter)
    }

    /// Whether so much is missing, or may be missing, that a CAR is worthwhile.
    pub(super) fn is_much_missing(&self) -> bool {
        if self.target.needs_block_requests() {
            return false;
        }
        let order = self.wanted.order();
        let missing = self.wanted.missing().count();
        if missing as u64 >= self.requests_left() {
            return true;
        }
        let all_known =
            order.len() < self.options.read_ahead && order.iter().all(|cid| cid.codec() == RAW);
        if self.target.path().is_empty() && all_known {
            return missing > MAX_BLOCK_REQUESTS;
        }
        order.len() == 1 || missing.saturating_mul(4) > order.len()
    }

    /// Requests single blocks: all that are missing, or next to a CAR only those that it left out.
    fn request_blocks(&mut self, first: &Cid, car: bool, pool: &mut GatewayPool) {
        let missing: Vec<Cid> = self.wanted.missing().copied().collect();
        let mut open = self
            .requests
            .values()
            .filter(|request| request.raw_cid().is_some() && request.end.is_none())
            .count();
        for cid in missing {
            let is_first = cid == *first;
            if !is_first
                && (open >= self.options.in_flight || !self.has_room(open.saturating_add(1)))
            {
                break;
            }
            // Keep the last request for a CAR, which can deliver everything that is left.
            if !is_first && self.requests_left() <= 1 {
                break;
            }
            if self.raw_requests_for(&cid) > 0
                || (car && !is_first && self.may_arrive_in_stream(&cid))
            {
                continue;
            }
            let choice = self.choose(pool, |gateway, _| self.wanted.may_try(&cid, gateway));
            if let Some(gateway) = choice.now {
                self.request_raw(gateway, &cid, pool);
                open = open.saturating_add(1);
            }
        }
    }

    fn may_arrive_in_stream(&self, cid: &Cid) -> bool {
        self.requests.values().any(|request| match &request.body {
            ResponseBody::Car(car) => !car.seen.contains(cid),
            ResponseBody::PlainFile(_) => cid.codec() == RAW,
            ResponseBody::Raw(_) => false,
        })
    }

    /// Handles that no gateway can be asked for the first block now: waits for a back-off to end,
    /// or fails.
    fn wait_for_a_gateway(
        &mut self,
        first: &Cid,
        car: bool,
        pool: &GatewayPool,
    ) -> Result<(), FetchError> {
        let cid = *first;
        if pool.is_empty() {
            return Err(FetchError::NoGateways { cid });
        }
        let raw = self.choose(pool, |gateway, _| self.wanted.may_try(first, gateway));
        let car = if car {
            self.choose(pool, |_, state| state.may_give_car())
        } else {
            GatewayChoice::default()
        };
        let at_ms = [raw.later_ms, car.later_ms].into_iter().flatten().min();
        let patience_ms = self.clock.now_ms().saturating_add(self.options.patience_ms);
        self.retry_ms = at_ms.filter(|at_ms| *at_ms <= patience_ms);
        if self.retry_ms.is_some() {
            return Ok(());
        }
        Err(match self.wanted.failures(first, pool.len()) {
            (true, _) => FetchError::NotFound { cid },
            (false, last) => FetchError::Unavailable {
                cid,
                // A gateway whose CARs failed may never have been asked for the block itself.
                last: last.or(self.last_fault).map(Box::new),
            },
        })
    }

    /// Requests a CAR of everything that is left of the file.
    pub(super) fn request_car(&mut self, gateway: usize, pool: &mut GatewayPool) {
        let base = pool.url(gateway).unwrap_or_default();
        let url = car_url(
            base,
            self.target.root(),
            self.target.path(),
            self.target.rest(),
            self.target.is_tree(),
        );
        let content = self.target.most_left();
        let max_bytes = content
            .saturating_add(content >> 2)
            .saturating_add(CAR_EXTRA);
        let body = ResponseBody::Car(CarResponse::default());
        self.request(gateway, url, None, body, max_bytes, pool);
    }

    pub(super) fn request_raw(&mut self, gateway: usize, cid: &Cid, pool: &mut GatewayPool) {
        let url = raw_url(pool.url(gateway).unwrap_or_default(), cid);
        let body = ResponseBody::Raw(RawResponse::new(*cid));
        self.request(gateway, url, None, body, MAX_RAW, pool);
    }

    pub(super) fn request(
        &mut self,
        gateway: usize,
        url: String,
        range: Option<ByteRange>,
        body: ResponseBody,
        max_bytes: u64,
        pool: &mut GatewayPool,
    ) {
        let (accept, kind) = match body {
            ResponseBody::Car(_) => (ACCEPT_CAR, RequestKind::Car),
            ResponseBody::Raw(_) => (ACCEPT_RAW, RequestKind::Raw),
            ResponseBody::PlainFile(_) => (ACCEPT_FILE, RequestKind::File),
        };
        let id = self.new_id();
        let mut request = Request::new(gateway, body, max_bytes, self.clock.counted_ms());
        request.ranged = range.is_some();
        self.requests.push(id, request);
        pool.asked(gateway);
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.open = state.open.saturating_add(1);
            state.used.requests = state.used.requests.saturating_add(1);
        }
        self.queue.push_back(Action::Request {
            id,
            gateway,
            url,
            accept,
            range,
            kind,
            max_bytes,
        });
    }
}
