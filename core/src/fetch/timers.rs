//! Time limits: when to ask another gateway in addition, or in place of a silent or slow one.

use super::request::Request;
use super::{Fault, Fetcher, GatewayPool, RequestId};
use crate::cid::Cid;
use alloc::vec::Vec;

/// Maximum number of parallel requests for the same data.
const MAX_RACE: usize = 3;

/// What to do with a request.
enum TimerVerdict {
    Fine,
    /// It sent no byte yet: ask another gateway as well.
    Race,
    /// It is below the minimum rate: ask another gateway as well.
    Slow,
    /// It sent nothing for a long time: replace it if another gateway can be asked.
    Stalled,
    /// It delivered no block for too long: cancel it in any case.
    GiveUp,
}

impl Fetcher {
    /// Checks the time limits of every open request.
    pub(super) fn check_timers(&mut self, pool: &mut GatewayPool) {
        let ids: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in ids {
            self.check_timer(id, pool);
        }
    }

    fn check_timer(&mut self, id: RequestId, pool: &mut GatewayPool) {
        let at_ms = self.clock.counted_ms();
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
            TimerVerdict::Fine => {}
            TimerVerdict::GiveUp => {
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
            TimerVerdict::Stalled => {
                if self.has_parallel_request(id, raw.as_ref(), at_ms)
                    || self.another_gateway(raw.as_ref(), pool).is_some()
                {
                    self.fault(id, Fault::Stalled, pool, true);
                }
            }
            TimerVerdict::Race | TimerVerdict::Slow => {
                let slow = matches!(verdict, TimerVerdict::Slow);
                self.ask_another(id, raw, slow, pool);
            }
        }
    }

    fn is_silent(&self, request: &Request, at_ms: u64) -> bool {
        at_ms.saturating_sub(request.last_byte_ms) >= self.options.stall_ms
    }

    fn verdict(&mut self, id: RequestId, at_ms: u64) -> TimerVerdict {
        let options = &self.options;
        let Some(request) = self.requests.get_mut(&id) else {
            return TimerVerdict::Fine;
        };
        let since = |then_ms: u64| at_ms.saturating_sub(then_ms);
        if since(request.last_block_ms) >= options.request_timeout_ms {
            return TimerVerdict::GiveUp;
        }
        if since(request.last_byte_ms) >= options.stall_ms {
            return TimerVerdict::Stalled;
        }
        if request.bytes == 0 && !request.raced && since(request.sent_ms) >= options.race_after_ms {
            return TimerVerdict::Race;
        }
        let window_ms = since(request.window_ms);
        if window_ms < options.stall_ms.max(1) {
            return TimerVerdict::Fine;
        }
        let least = options.min_rate.saturating_mul(window_ms);
        let slow = request.window_bytes.saturating_mul(1000) < least && !request.slow;
        request.window_ms = at_ms;
        request.window_bytes = 0;
        if slow {
            TimerVerdict::Slow
        } else {
            TimerVerdict::Fine
        }
    }

    /// Asks another gateway for the same data as well, if there is one.
    fn ask_another(&mut self, id: RequestId, raw: Option<Cid>, slow: bool, pool: &mut GatewayPool) {
        let Some(gateway) = self.another_gateway(raw.as_ref(), pool) else {
            return;
        };
        if let Some(request) = self.requests.get_mut(&id) {
            request.raced |= !slow;
            request.slow |= slow;
        }
        if slow {
            // If all gateways are slow, the connection is the cause: expect less of the next one.
            self.options.min_rate >>= 2;
        }
        match raw {
            Some(cid) => self.request_raw(gateway, &cid, pool),
            None => self.request_car(gateway, pool),
        }
    }

    /// Chooses a gateway that can be asked for the same data now, and was not.
    fn another_gateway(&self, raw: Option<&Cid>, pool: &GatewayPool) -> Option<usize> {
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
        let choice = self.choose(pool, |gateway, state| {
            !state.sent_wrong_data
                && !busy(gateway)
                && raw.map_or(state.may_give_car(), |cid| {
                    self.wanted.may_try(cid, gateway)
                })
        });
        choice.now
    }

    /// Whether another request for the same data is open and not silent.
    fn has_parallel_request(&self, id: RequestId, raw: Option<&Cid>, at_ms: u64) -> bool {
        self.requests.iter().any(|(other, request)| {
            *other != id && request.raw_cid() == raw && !self.is_silent(request, at_ms)
        })
    }

    /// Returns when to poll again if nothing arrives, in the driver's clock.
    pub(super) fn deadline(&self, pool: &GatewayPool) -> Option<u64> {
        let options = &self.options;
        let at_ms = self.clock.counted_ms();
        let requests = self.requests.iter().filter(|(id, _)| self.wants_data(**id));
        let limits = requests.flat_map(|(_, request)| {
            [
                request
                    .last_block_ms
                    .saturating_add(options.request_timeout_ms),
                request.last_byte_ms.saturating_add(options.stall_ms),
                request.sent_ms.saturating_add(options.race_after_ms),
                request.window_ms.saturating_add(options.stall_ms.max(1)),
            ]
        });
        let limits = limits.filter(|then_ms| *then_ms > at_ms).min();
        // A gateway whose back-off ends may replace a silent one.
        let now_ms = self.clock.now_ms();
        let back_offs = (0..pool.len()).map(|gateway| pool.ready_at_ms(gateway));
        let back_offs = back_offs
            .filter(|then_ms| *then_ms > now_ms && !self.requests.is_empty())
            .min();
        [
            limits.map(|then_ms| self.clock.driver_ms(then_ms)),
            back_offs,
            self.retry_ms,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
