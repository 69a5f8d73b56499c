//! The window of blocks that are needed next, and what was tried for each.

use super::Fault;
use super::few::Few;
use crate::cid::Cid;
use alloc::vec::Vec;

/// How often one gateway is asked for the same block.
pub(super) const MAX_TRIES: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    Unasked,
    Asked,
    Missing,
}

#[derive(Debug)]
struct Try {
    gateway: usize,
    count: u8,
    fault: Fault,
}

#[derive(Debug)]
struct Need {
    local: Local,
    tries: Vec<Try>,
    /// Which [`Wanted::sync`] named it last.
    round: u64,
}

#[derive(Debug, Default)]
pub(super) struct Wanted {
    order: Vec<Cid>,
    needs: Few<Cid, Need>,
    round: u64,
}

impl Wanted {
    /// Takes over the new window; what stays in it keeps its state. New blocks start as `local`. What came is gone from `needs`, so the next
    /// window mostly has the same places as they.
    pub(super) fn sync(&mut self, order: Vec<Cid>, local: Local) {
        self.round = self.round.wrapping_add(1);
        let round = self.round;
        for (at, cid) in order.iter().enumerate() {
            match self.needs.get_mut_near(at, cid) {
                Some(need) => need.round = round,
                None => self.needs.push(
                    *cid,
                    Need {
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

    pub(super) fn local(&self, cid: &Cid) -> Option<Local> {
        self.needs.get(cid).map(|need| need.local)
    }

    pub(super) fn set_local(&mut self, cid: &Cid, local: Local) {
        if let Some(need) = self.needs.get_mut(cid) {
            need.local = local;
        }
    }

    /// The blocks that only gateways can give, in order.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Cid> {
        self.are(Local::Missing)
    }

    /// The blocks of which the local store says this, in order.
    pub(super) fn are(&self, local: Local) -> impl Iterator<Item = &Cid> {
        let order = self.order.iter().enumerate();
        let are = order.filter(move |(at, cid)| {
            let need = self.needs.get_near(*at, cid);
            need.is_some_and(|need| need.local == local)
        });
        are.map(|(_, cid)| cid)
    }

    /// It came.
    pub(super) fn remove(&mut self, cid: &Cid) {
        self.needs.remove(cid);
    }

    /// A gateway was asked for it in vain.
    pub(super) fn tried(&mut self, cid: &Cid, gateway: usize, fault: Fault) {
        let Some(need) = self.needs.get_mut(cid) else {
            return;
        };
        match need.tries.iter_mut().find(|tried| tried.gateway == gateway) {
            Some(tried) => {
                tried.count = tried.count.saturating_add(1);
                tried.fault = fault;
            }
            None => need.tries.push(Try {
                gateway,
                count: 1,
                fault,
            }),
        }
    }

    /// Whether this gateway may be asked for it (again).
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

    /// Whether so many gateways all said that they don't have it, and the fault of the one that failed last otherwise.
    pub(super) fn verdict(&self, cid: &Cid, gateways: usize) -> (bool, Option<Fault>) {
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
