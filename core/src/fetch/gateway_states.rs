//! What each gateway did in this fetch, and the choice of the next gateway.

use super::fault::Severity;
use super::{Fault, GatewayPool, GatewayUse};
use alloc::vec::Vec;

/// Number of CARs with (almost) no useful blocks after which a gateway is asked for no more CARs.
pub(super) const MAX_USELESS_CARS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct GatewayState {
    pub(super) sent_wrong_data: bool,
    pub(super) car_refused: bool,
    pub(super) useless_cars: u8,
    /// Whether a request for the plain file failed.
    pub(super) plain_failed: bool,
    /// Number of open requests.
    pub(super) open: u64,
    pub(super) used: GatewayUse,
}

impl GatewayState {
    pub(super) fn may_give_car(&self) -> bool {
        !self.car_refused && self.useless_cars < MAX_USELESS_CARS
    }
}

#[derive(Debug, Default)]
pub(super) struct GatewayStates(Vec<GatewayState>);

/// Result of choosing a gateway.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GatewayChoice {
    /// The best gateway that may be asked now.
    pub(super) now: Option<usize>,
    /// Time at which the first of the other gateways may be asked.
    pub(super) later_ms: Option<u64>,
}

impl GatewayStates {
    pub(super) fn extend_to(&mut self, len: usize) {
        while self.0.len() < len {
            let used = GatewayUse {
                gateway: self.0.len(),
                ..GatewayUse::default()
            };
            self.0.push(GatewayState {
                used,
                ..GatewayState::default()
            });
        }
    }

    pub(super) fn get_mut(&mut self, gateway: usize) -> Option<&mut GatewayState> {
        self.0.get_mut(gateway)
    }

    /// Chooses the best gateway that `filter` accepts, by score and number of open requests.
    /// Gateways that sent wrong data in this fetch are used only if there is no other.
    pub(super) fn choose(
        &self,
        pool: &GatewayPool,
        now_ms: u64,
        filter: impl Fn(usize, &GatewayState) -> bool,
    ) -> GatewayChoice {
        let honest = self.choose_among(pool, now_ms, |gateway, state| {
            !state.sent_wrong_data && filter(gateway, state)
        });
        if honest != GatewayChoice::default() {
            return honest;
        }
        self.choose_among(pool, now_ms, filter)
    }

    fn choose_among(
        &self,
        pool: &GatewayPool,
        now_ms: u64,
        filter: impl Fn(usize, &GatewayState) -> bool,
    ) -> GatewayChoice {
        let (mut best, mut later_ms) = (None, None::<u64>);
        for (gateway, state) in self.0.iter().enumerate() {
            if !filter(gateway, state) {
                continue;
            }
            let ready_ms = pool.ready_at_ms(gateway);
            if ready_ms > now_ms {
                later_ms = Some(later_ms.map_or(ready_ms, |least| least.min(ready_ms)));
                continue;
            }
            let score = pool
                .score(gateway)
                .saturating_mul(state.open.saturating_add(1));
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, gateway));
            }
        }
        GatewayChoice {
            now: best.map(|(_, gateway)| gateway),
            later_ms,
        }
    }

    /// Notes that a request to this gateway has ended.
    pub(super) fn closed(&mut self, gateway: usize) {
        if let Some(state) = self.get_mut(gateway) {
            state.open = state.open.saturating_sub(1);
        }
    }

    pub(super) fn faulted(&mut self, gateway: usize, fault: Fault) {
        if let Some(state) = self.get_mut(gateway) {
            state.used.faults = state.used.faults.saturating_add(1);
            state.sent_wrong_data |= fault.severity() == Severity::WrongData;
            state.car_refused |= matches!(fault, Fault::CarRefused(_));
        }
    }

    /// Returns what each gateway did, without those that were never asked.
    pub(super) fn uses(&self) -> Vec<GatewayUse> {
        let uses = self.0.iter().map(|state| &state.used);
        uses.filter(|used| used.requests > 0).cloned().collect()
    }
}
