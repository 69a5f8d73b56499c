//! The window of blocks that are needed next, and the failed requests for each.

use super::Fault;
use super::small_map::SmallMap;
use crate::cid::Cid;
use alloc::vec::Vec;

/// How often one gateway is asked for the same block.
pub(super) const MAX_TRIES: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocalState {
    NotLookedUp,
    LookingUp,
    Missing,
}

#[derive(Debug)]
struct FailedTry {
    gateway: usize,
    count: u8,
    fault: Fault,
}

#[derive(Debug)]
struct WantedBlock {
    local: LocalState,
    tries: Vec<FailedTry>,
    /// Number of the last [`Wanted::sync`] call that listed this block.
    round: u64,
}

#[derive(Debug, Default)]
pub(super) struct Wanted {
    order: Vec<Cid>,
    needs: SmallMap<Cid, WantedBlock>,
    round: u64,
}

impl Wanted {
    /// Replaces the window. Blocks that stay in it keep their state, and new blocks start as
    /// `local`. Delivered blocks were already removed from `needs`, so most blocks are at the same
    /// index in both lists.
    pub(super) fn sync(&mut self, order: Vec<Cid>, local: LocalState) {
        self.round = self.round.wrapping_add(1);
        let round = self.round;
        for (at, cid) in order.iter().enumerate() {
            match self.needs.get_mut_near(at, cid) {
                Some(need) => need.round = round,
                None => self.needs.push(
                    *cid,
                    WantedBlock {
                        local,
                        tries: Vec::new(),
                        round,
                    },
                ),
            }
        }
        if self.needs.len() > order.len() {
            self.needs.retain(|need| need.round == round);
        }
        self.order = order;
    }

    pub(super) fn order(&self) -> &[Cid] {
        &self.order
    }

    pub(super) fn first(&self) -> Option<&Cid> {
        self.order.first()
    }

    pub(super) fn local(&self, cid: &Cid) -> Option<LocalState> {
        self.needs.get(cid).map(|need| need.local)
    }

    pub(super) fn set_local(&mut self, cid: &Cid, local: LocalState) {
        if let Some(need) = self.needs.get_mut(cid) {
            need.local = local;
        }
    }

    /// The blocks that only gateways can deliver, in order.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Cid> {
        self.in_state(LocalState::Missing)
    }

    /// The blocks in this state of the local lookup, in order.
    pub(super) fn in_state(&self, local: LocalState) -> impl Iterator<Item = &Cid> {
        let order = self.order.iter().enumerate();
        let blocks = order.filter(move |(at, cid)| {
            let need = self.needs.get_near(*at, cid);
            need.is_some_and(|need| need.local == local)
        });
        blocks.map(|(_, cid)| cid)
    }

    /// Removes a block that was delivered.
    pub(super) fn remove(&mut self, cid: &Cid) {
        self.needs.remove(cid);
    }

    /// Notes that a gateway failed to deliver a block.
    pub(super) fn tried(&mut self, cid: &Cid, gateway: usize, fault: Fault) {
        let Some(need) = self.needs.get_mut(cid) else {
            return;
        };
        match need.tries.iter_mut().find(|tried| tried.gateway == gateway) {
            Some(tried) => {
                tried.count = tried.count.saturating_add(1);
                tried.fault = fault;
            }
            None => need.tries.push(FailedTry {
                gateway,
                count: 1,
                fault,
            }),
        }
    }

    /// Whether this gateway may be asked for the block (again).
    pub(super) fn may_try(&self, cid: &Cid, gateway: usize) -> bool {
        let tries = self.needs.get(cid).map(|need| need.tries.as_slice());
        let tried = tries
            .unwrap_or_default()
            .iter()
            .find(|tried| tried.gateway == gateway);
        tried.is_none_or(|tried| {
            tried.count < MAX_TRIES && !matches!(tried.fault, Fault::NotFound(_))
        })
    }

    /// Returns whether `gateways` gateways all reported that they don't have the block, and the
    /// last fault of any gateway for it.
    pub(super) fn failures(&self, cid: &Cid, gateways: usize) -> (bool, Option<Fault>) {
        let tries = self
            .needs
            .get(cid)
            .map(|need| need.tries.as_slice())
            .unwrap_or_default();
        let absent = tries
            .iter()
            .filter(|tried| matches!(tried.fault, Fault::NotFound(_)))
            .count();
        (absent >= gateways, tries.last().map(|tried| tried.fault))
    }
}
