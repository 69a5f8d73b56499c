//! Silence, stalls and drips: when to ask another gateway as well, or instead.

use super::request::Request;
use super::{Fault, Fetcher, GatewayPool, RequestId};
use crate::cid::Cid;
use alloc::vec::Vec;

/// Requests for the same thing at the same time.
const MAX_RACE: usize = 3;

/// What a request deserves at some time.
enum Verdict {
    Fine,
    /// Not a byte yet: ask another as well.
    Race,
    /// Bytes, but too few: ask another as well.
    Slow,
    /// Silent for so long that another is better asked instead.
    Stalled,
    /// No block for so long that it is given up whatever else there is.
    GiveUp,
}

impl Fetcher {
    /// Looks at every request under way.
    pub(super) fn check_timers(&mut self, pool: &mut GatewayPool) {
        let ids: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in ids {
            self.check_timer(id, pool);
        }
    }

    fn check_timer(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let at_ms = self.clock.felt_ms();
        let reads = self.wants_data(id);
        let Some(request) = self.requests.get_mut(&id).filter(|open| open.end.is_none()) else {
            return;
        };
        if !reads {
            return request.pause(at_ms);
        }
        let verdict = self.verdict(id, at_ms);
        let raw = self.requests.get(&id).and_then(Request::raw_cid).copied();
        match verdict {
            Verdict::Fine => {}
            Verdict::GiveUp => {
                let silent = self
                    .requests
                    .get(&id)
                    .is_some_and(|request| self.is_silent(request, at_ms));
                let fault = if silent {
                    Fault::Stalled
                } else {
                    Fault::TooSlow
                };
                self.fault(id, fault, pool, true);
            }
            Verdict::Stalled => {
                if self.has_rival(id, raw.as_ref(), at_ms)
                    || self.other(raw.as_ref(), pool).is_some()
                {
                    self.fault(id, Fault::Stalled, pool, true);
                }
            }
            Verdict::Race | Verdict::Slow => {
                let slow = matches!(verdict, Verdict::Slow);
                self.hedge(id, raw, slow, pool);
            }
        }
    }

    fn is_silent(&self, request: &Request, at_ms: u64) -> bool {
        at_ms.saturating_sub(request.last_byte_ms) >= self.options.stall_ms
    }

    fn verdict(&mut self, id: RequestId, at_ms: u64) -> Verdict {
        let options = &self.options;
        let Some(request) = self.requests.get_mut(&id) else {
            return Verdict::Fine;
        };
        let since = |then_ms: u64| at_ms.saturating_sub(then_ms);
        if since(request.last_block_ms) >= options.request_timeout_ms {
            return Verdict::GiveUp;
        }
        if since(request.last_byte_ms) >= options.stall_ms {
            return Verdict::Stalled;
        }
        if request.bytes == 0 && !request.raced && since(request.sent_ms) >= options.race_after_ms {
            return Verdict::Race;
        }
        let window_ms = since(request.window_ms);
        if window_ms < options.stall_ms.max(1) {
            return Verdict::Fine;
        }
        let least = options.min_rate.saturating_mul(window_ms);
        let slow = request.window_bytes.saturating_mul(1000) < least && !request.slow;
        request.window_ms = at_ms;
        request.window_bytes = 0;
        if slow { Verdict::Slow } else { Verdict::Fine }
    }

    /// Asks another gateway for the same as well, if there is one.
    fn hedge(&mut self, id: RequestId, raw: Option<Cid>, slow: bool, pool: &mut GatewayPool) {
        let Some(gateway) = self.other(raw.as_ref(), pool) else {
            return;
        };
        if let Some(request) = self.requests.get_mut(&id) {
            request.raced |= !slow;
            request.slow |= slow;
        }
        if slow {
            // If all are slow it is the line: then less is expected of the next.
            self.options.min_rate >>= 2;
        }
        match raw {
            Some(cid) => self.request_raw(gateway, &cid, pool),
            None => self.request_car(gateway, pool),
        }
    }

    /// A gateway that could be asked for the same now, and isn't yet.
    fn other(&self, raw: Option<&Cid>, pool: &GatewayPool) -> Option<usize> {
        let same = |request: &&Request| request.raw_cid() == raw;
        if self.requests.values().filter(same).count() >= MAX_RACE {
            return None;
        }
        let busy = |gateway| {
            self.requests
                .values()
                .filter(same)
                .any(|request| request.gateway == gateway)
        };
        let choice = self.choose(pool, |gateway, peer| {
            !peer.lied
                && !busy(gateway)
                && raw.map_or(peer.may_give_car(), |cid| self.wanted.may_try(cid, gateway))
        });
        choice.now
    }

    /// Whether another request for the same is under way and not silent.
    fn has_rival(&self, id: RequestId, raw: Option<&Cid>, at_ms: u64) -> bool {
        self.requests.iter().any(|(other, request)| {
            *other != id && request.raw_cid() == raw && !self.is_silent(request, at_ms)
        })
    }

    /// When to poll again if nothing comes, in the driver's time.
    pub(super) fn deadline(&self, pool: &GatewayPool) -> Option<u64> {
        let options = &self.options;
        let at_ms = self.clock.felt_ms();
        let requests = self.requests.iter().filter(|(id, _)| self.wants_data(**id));
        let felt = requests.flat_map(|(_, request)| {
            [
                request
                    .last_block_ms
                    .saturating_add(options.request_timeout_ms),
                request.last_byte_ms.saturating_add(options.stall_ms),
                request.sent_ms.saturating_add(options.race_after_ms),
                request.window_ms.saturating_add(options.stall_ms.max(1)),
            ]
        });
        let felt = felt.filter(|then_ms| *then_ms > at_ms).min();
        // A gateway that comes back may be asked in place of one that is silent.
        let now_ms = self.clock.now_ms();
        let back = (0..pool.len()).map(|gateway| pool.ready_at_ms(gateway));
        let back = back
            .filter(|then_ms| *then_ms > now_ms && !self.requests.is_empty())
            .min();
        [
            felt.map(|then_ms| self.clock.driver_ms(then_ms)),
            back,
            self.retry_ms,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
