//! What each gateway did in this one fetch, and which to ask next.

use super::fault::Severity;
use super::{Fault, GatewayPool, GatewayUse};
use alloc::vec::Vec;

/// CARs of one gateway that bring (almost) nothing, before no more are asked of it.
pub(super) const MAX_BARREN_CARS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) lied: bool,
    pub(super) car_refused: bool,
    pub(super) barren_cars: u8,
    /// A request for the plain file failed.
    pub(super) plain_failed: bool,
    /// Requests under way.
    pub(super) open: u64,
    pub(super) used: GatewayUse,
}

impl Peer {
    pub(super) fn may_give_car(&self) -> bool {
        !self.car_refused && self.barren_cars < MAX_BARREN_CARS
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

/// Who may be asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The best that may be asked now.
    pub(super) now: Option<usize>,
    /// When the first of the others may be asked.
    pub(super) later_ms: Option<u64>,
}

impl Peers {
    pub(super) fn extend_to(&mut self, len: usize) {
        while self.0.len() < len {
            let used = GatewayUse {
                gateway: self.0.len(),
                ..GatewayUse::default()
            };
            self.0.push(Peer {
                used,
                ..Peer::default()
            });
        }
    }

    pub(super) fn get_mut(&mut self, gateway: usize) -> Option<&mut Peer> {
        self.0.get_mut(gateway)
    }

    /// Of the gateways that the filter lets through: the best now, by score and requests under way. Those that lied in
    /// this fetch count only when there is no other.
    pub(super) fn choose(
        &self,
        pool: &GatewayPool,
        now_ms: u64,
        filter: impl Fn(usize, &Peer) -> bool,
    ) -> Choice {
        let honest = self.choose_among(pool, now_ms, |gateway, peer| {
            !peer.lied && filter(gateway, peer)
        });
        if honest != Choice::default() {
            return honest;
        }
        self.choose_among(pool, now_ms, filter)
    }

    fn choose_among(
        &self,
        pool: &GatewayPool,
        now_ms: u64,
        filter: impl Fn(usize, &Peer) -> bool,
    ) -> Choice {
        let (mut best, mut later_ms) = (None, None::<u64>);
        for (gateway, peer) in self.0.iter().enumerate() {
            if !filter(gateway, peer) {
                continue;
            }
            let ready_ms = pool.ready_at_ms(gateway);
            if ready_ms > now_ms {
                later_ms = Some(later_ms.map_or(ready_ms, |least| least.min(ready_ms)));
                continue;
            }
            let score = pool
                .score(gateway)
                .saturating_mul(peer.open.saturating_add(1));
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, gateway));
            }
        }
        Choice {
            now: best.map(|(_, gateway)| gateway),
            later_ms,
        }
    }

    /// A request of this gateway is over.
    pub(super) fn closed(&mut self, gateway: usize) {
        if let Some(peer) = self.get_mut(gateway) {
            peer.open = peer.open.saturating_sub(1);
        }
    }

    pub(super) fn faulted(&mut self, gateway: usize, fault: Fault) {
        if let Some(peer) = self.get_mut(gateway) {
            peer.used.faults = peer.used.faults.saturating_add(1);
            peer.lied |= fault.severity() == Severity::Lie;
            peer.car_refused |= matches!(fault, Fault::CarRefused(_));
        }
    }

    /// What each gateway did, of those that were asked.
    pub(super) fn uses(&self) -> Vec<GatewayUse> {
        let uses = self.0.iter().map(|peer| &peer.used);
        uses.filter(|used| used.requests > 0).cloned().collect()
    }
}
