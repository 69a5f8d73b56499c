//! Whether a gateway is so near that blocks side by side are faster than a CAR.
//!
//! A CAR is one stream, made block by block at its sender; blocks are as many streams as are asked for, each at the price of a round
//! trip. Which is faster depends on how many bytes a round trip brings. Kubo 0.43 on loopback: blocks of 1 MiB, six at a time, come as
//! fast as the plain file, its CAR takes three times as long.

use super::{Fetcher, GatewayPool};
use crate::cid::Cid;

impl Fetcher {
    /// Looks whether to ask for blocks in place of CARs, and gives up a CAR for which it is too late.
    pub(super) fn look_near(&mut self, first: &Cid, pool: &GatewayPool) {
        // Of a node that is no leaf nothing is known; what was decided before stays.
        let Some(block) = self.target.next_leaf() else {
            return;
        };
        let best = self.choose(pool, |gateway, peer| {
            !peer.blocks_failed && self.wanted.may_try(first, gateway)
        });
        let latency_ms = best.now.and_then(|gateway| pool.latency_ms(gateway));
        let side_by_side = block.saturating_mul(self.options.in_flight as u64);
        let rate = latency_ms
            .and_then(|ms| side_by_side.saturating_mul(1000).checked_div(ms.max(1)))
            .unwrap_or(0);
        // What was chosen is kept until it is clearly wrong.
        let least = self.options.block_rate >> u32::from(self.near);
        // Where requests are counted there must be twice as many as it takes.
        let blocks = self.target.most_left().checked_div(block).unwrap_or(0);
        let enough = blocks.saturating_mul(2) < self.requests_left();
        self.near = rate >= least && enough;
        if self.near {
            self.drop_cars();
        }
    }
}
