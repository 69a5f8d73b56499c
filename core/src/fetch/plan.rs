//! Whom to ask for what: a CAR where much is missing, block requests to mend it.

use super::answers::MAX_RAW;
use super::gateway::{ACCEPT_CAR, ACCEPT_FILE, ACCEPT_RAW, car_url, raw_url};
use super::peers::{Choice, Peer};
use super::request::{Body, Car, Raw, Request};
use super::wanted::Local;
use super::{Action, ByteRange, FetchError, Fetcher, GatewayPool, RequestKind};
use crate::cid::{Cid, RAW};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// So few blocks, when no more are missing, are asked for one by one.
const FEW: usize = 3;
/// What a CAR may have beside the content and a quarter of it: nodes, CIDs, the rest of the blocks at a range's ends.
const CAR_EXTRA: u64 = 8 << 20;

impl Fetcher {
    /// Asks for what is missing, as far as it makes sense now.
    pub(super) fn plan(&mut self, pool: &mut GatewayPool) -> Result<(), FetchError> {
        self.retry_ms = None;
        let Some(first) = self.wanted.first().copied() else {
            return Ok(());
        };
        if self.wanted.local(&first) != Some(Local::Missing) {
            return Ok(());
        }
        self.look_near(pool);
        if self.is_coming(&first) {
            self.request_nodes_beside_file(pool);
            return Ok(());
        }
        // What the local store says of the others decides how to ask.
        if self.loading > 0 && self.requests.is_empty() {
            return Ok(());
        }
        if self.is_spent() {
            return match self.requests.is_empty() {
                true => Err(FetchError::NoRequestsLeft { cid: first }),
                false => Ok(()),
            };
        }
        let mut car = self.has_stream();
        let much = self.is_much_missing();
        if !car && much {
            let choice = self.choose(pool, |_, peer| peer.may_give_car());
            if let Some(gateway) = choice.now {
                self.request_car(gateway, pool);
                car = true;
            }
        }
        if self.is_coming(&first) {
            return Ok(());
        }
        self.request_raws(&first, car, pool);
        if self.raws_for(&first) > 0 {
            return Ok(());
        }
        self.wait_for_a_gateway(&first, much && !car, pool)
    }

    /// How many requests may still be made.
    pub(super) fn requests_left(&self) -> u64 {
        self.options
            .max_requests
            .saturating_sub(self.requests_made())
    }

    fn is_spent(&self) -> bool {
        self.requests_left() == 0
    }

    fn has_stream(&self) -> bool {
        self.requests.values().any(Request::is_stream)
    }

    pub(super) fn raws_for(&self, cid: &Cid) -> usize {
        let raws = self
            .requests
            .values()
            .filter(|request| request.raw_cid() == Some(cid));
        raws.count()
    }

    pub(super) fn choose(
        &self,
        pool: &GatewayPool,
        filter: impl Fn(usize, &Peer) -> bool,
    ) -> Choice {
        if self.is_spent() {
            return Choice::default();
        }
        self.peers.choose(pool, self.clock.now_ms(), filter)
    }

    /// Whether so much is missing, or may be, that a CAR is worth it.
    pub(super) fn is_much_missing(&self) -> bool {
        if self.target.is_block() {
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
            return missing > FEW;
        }
        order.len() == 1 || missing.saturating_mul(4) > order.len()
    }

    /// Asks for single blocks: for all that are missing, or beside a CAR for those only that it left out.
    fn request_raws(&mut self, first: &Cid, car: bool, pool: &mut GatewayPool) {
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
            // The last of few requests is for a CAR, which brings all that is left.
            if !is_first && self.requests_left() <= 1 {
                break;
            }
            if self.raws_for(&cid) > 0 || (car && !is_first && self.is_coming_in_stream(&cid)) {
                continue;
            }
            let choice = self.choose(pool, |gateway, _| self.wanted.may_try(&cid, gateway));
            if let Some(gateway) = choice.now {
                self.request_raw(gateway, &cid, pool);
                open = open.saturating_add(1);
            }
        }
    }

    fn is_coming_in_stream(&self, cid: &Cid) -> bool {
        self.requests.values().any(|request| match &request.body {
            Body::Car(car) => !car.seen.contains(cid),
            Body::Plain(_) => cid.codec() == RAW,
            Body::Raw(_) => false,
        })
    }

    /// Nobody can be asked for the first block now: gives up, or waits for one that is put aside.
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
            self.choose(pool, |_, peer| peer.may_give_car())
        } else {
            Choice::default()
        };
        let at_ms = [raw.later_ms, car.later_ms].into_iter().flatten().min();
        let patience_ms = self.clock.now_ms().saturating_add(self.options.patience_ms);
        self.retry_ms = at_ms.filter(|at_ms| *at_ms <= patience_ms);
        if self.retry_ms.is_some() {
            return Ok(());
        }
        Err(match self.wanted.verdict(first, pool.len()) {
            (true, _) => FetchError::NotFound { cid },
            (false, last) => FetchError::Unavailable {
                cid,
                // Whose CARs failed was perhaps never asked for the block itself.
                last: last.or(self.last_fault).map(Box::new),
            },
        })
    }

    /// Asks for all that is left of the file.
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
        let body = Body::Car(Car::default());
        self.request(gateway, url, None, body, max_bytes, pool);
    }

    pub(super) fn request_raw(&mut self, gateway: usize, cid: &Cid, pool: &mut GatewayPool) {
        let url = raw_url(pool.url(gateway).unwrap_or_default(), cid);
        let body = Body::Raw(Raw::new(*cid));
        self.request(gateway, url, None, body, MAX_RAW, pool);
    }

    pub(super) fn request(
        &mut self,
        gateway: usize,
        url: String,
        range: Option<ByteRange>,
        body: Body,
        max_bytes: u64,
        pool: &mut GatewayPool,
    ) {
        let (accept, kind) = match body {
            Body::Car(_) => (ACCEPT_CAR, RequestKind::Car),
            Body::Raw(_) => (ACCEPT_RAW, RequestKind::Raw),
            Body::Plain(_) => (ACCEPT_FILE, RequestKind::File),
        };
        let id = self.new_id();
        let mut request = Request::new(gateway, body, max_bytes, self.clock.felt_ms());
        request.ranged = range.is_some();
        self.requests.push(id, request);
        pool.asked(gateway);
        if let Some(peer) = self.peers.get_mut(gateway) {
            peer.open = peer.open.saturating_add(1);
            peer.used.requests = peer.used.requests.saturating_add(1);
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
