//! The gateways there are, and how each has behaved.
//!
//! A gateway's *score* is how long a MiB from it would take, by what was seen so far; the least is asked first. A fault
//! puts it aside: for `base × 2^(strikes − 1)` milliseconds, at most `cap`; a clean answer takes one strike away.

use super::Fault;
use super::fault::Severity;
use super::gateway::Gateway;
use super::line::{Line, UNKNOWN_LATENCY_MS, UNKNOWN_RATE};
use alloc::string::String;
use alloc::vec::Vec;

/// Transfers of fewer bytes say nothing of the rate.
const LEAST_SAMPLE: u64 = 64 << 10;
/// What each strike adds to the score, in milliseconds.
const STRIKE_MS: u64 = 500;

/// How long faults put a gateway aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The first back-off after an ordinary fault, in milliseconds.
    pub backoff_base_ms: u64,
    /// The first back-off after a lie (wrong bytes, HTML, too much), in milliseconds.
    pub lie_backoff_ms: u64,
    /// The longest back-off, in milliseconds.
    pub backoff_cap_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff_base_ms: 1_000,
            lie_backoff_ms: 30_000,
            backoff_cap_ms: 600_000,
        }
    }
}

/// What is known of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its address.
    pub url: String,
    /// Requests made to it.
    pub requests: u64,
    /// Body bytes that it sent.
    pub bytes: u64,
    /// Its faults, the mild ones too.
    pub faults: u64,
    /// The last of them.
    pub last_fault: Option<Fault>,
    /// It is put aside until then.
    pub backoff_until_ms: Option<u64>,
    /// Milliseconds until its first byte, averaged.
    pub latency_ms: Option<u64>,
    /// Bytes per second, averaged.
    pub rate: Option<u64>,
}

#[derive(Debug, Clone)]
struct State {
    gateway: Gateway,
    requests: u64,
    bytes: u64,
    faults: u64,
    last_fault: Option<Fault>,
    strikes: u32,
    ready_at_ms: u64,
    latency_ms: Option<u64>,
    rate: Option<u64>,
    /// Of its last answers, how many in a thousand were "not found".
    misses: u64,
    /// It refused to give a file.
    no_files: bool,
}

/// All gateways, shared between fetches: whoever drives several keeps it behind a lock.
#[derive(Debug, Clone)]
pub struct GatewayPool {
    policy: Policy,
    gateways: Vec<State>,
}

/// Three parts of the old and one of the new.
fn average(old: Option<u64>, new: u64) -> Option<u64> {
    Some(old.map_or(new, |old| old.saturating_mul(3).saturating_add(new) >> 2))
}

impl GatewayPool {
    /// A pool of these gateways; while nothing is known of them the earlier ones are preferred.
    pub fn new(gateways: impl IntoIterator<Item = Gateway>, policy: Policy) -> Self {
        let state = |gateway| State {
            gateway,
            requests: 0,
            bytes: 0,
            faults: 0,
            last_fault: None,
            strikes: 0,
            ready_at_ms: 0,
            latency_ms: None,
            rate: None,
            misses: 0,
            no_files: false,
        };
        Self {
            policy,
            gateways: gateways.into_iter().map(state).collect(),
        }
    }

    /// How many gateways there are.
    pub fn len(&self) -> usize {
        self.gateways.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty()
    }

    /// The address of the gateway of this index.
    pub fn url(&self, gateway: usize) -> Option<&str> {
        self.gateways
            .get(gateway)
            .map(|state| state.gateway.url.as_str())
    }

    /// What is known of each gateway at `now_ms`, in the order of their indices.
    pub fn reports(&self, now_ms: u64) -> Vec<Report> {
        let report = |state: &State| Report {
            url: state.gateway.url.clone(),
            requests: state.requests,
            bytes: state.bytes,
            faults: state.faults,
            last_fault: state.last_fault,
            backoff_until_ms: Some(state.ready_at_ms).filter(|at| *at > now_ms),
            latency_ms: state.latency_ms,
            rate: state.rate,
        };
        self.gateways.iter().map(report).collect()
    }

    /// What the way to the best gateway carries, as far as it was measured.
    #[must_use]
    pub fn line(&self) -> Line {
        let best = (0..self.len()).min_by_key(|gateway| self.score(*gateway));
        let best = best.and_then(|gateway| self.gateways.get(gateway));
        best.map_or_else(Line::default, |state| {
            Line::new(state.latency_ms, state.rate)
        })
    }

    /// When this gateway may be asked again.
    pub(super) fn ready_at_ms(&self, gateway: usize) -> u64 {
        self.gateways
            .get(gateway)
            .map_or(u64::MAX, |state| state.ready_at_ms)
    }

    /// Milliseconds that a MiB is thought to take; the least is best.
    pub(super) fn score(&self, gateway: usize) -> u64 {
        let Some(state) = self.gateways.get(gateway) else {
            return u64::MAX;
        };
        let rate = state.rate.unwrap_or(UNKNOWN_RATE).max(1);
        let transfer = (1000u64 << 20).checked_div(rate).unwrap_or(u64::MAX);
        let strikes = u64::from(state.strikes).saturating_mul(STRIKE_MS);
        let latency = state.latency_ms.unwrap_or(UNKNOWN_LATENCY_MS);
        let score = latency.saturating_add(transfer).saturating_add(strikes);
        // One that never has what it is asked for counts four times.
        score.saturating_mul(state.misses.saturating_mul(3).saturating_add(1000))
    }

    /// Milliseconds until this gateway's first byte, averaged.
    pub(super) fn latency_ms(&self, gateway: usize) -> Option<u64> {
        self.gateways.get(gateway)?.latency_ms
    }

    /// Whether this gateway may give files, and not only blocks.
    pub(super) fn gives_files(&self, gateway: usize) -> bool {
        self.gateways
            .get(gateway)
            .is_some_and(|state| !state.no_files)
    }

    /// A request was made.
    pub(super) fn asked(&mut self, gateway: usize) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.requests = state.requests.saturating_add(1);
        }
    }

    /// The first byte of an answer took so long (or has not come for so long).
    pub(super) fn first_byte(&mut self, gateway: usize, took_ms: u64) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.latency_ms = average(state.latency_ms, took_ms);
        }
    }

    /// Body bytes came.
    pub(super) fn received(&mut self, gateway: usize, bytes: u64) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.bytes = state.bytes.saturating_add(bytes);
        }
    }

    /// A request is over without a fault; its body brought `bytes` in `took_ms` after the first byte.
    pub(super) fn finished(&mut self, gateway: usize, bytes: u64, took_ms: u64) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.strikes = state.strikes.saturating_sub(1);
            state.misses = state.misses.saturating_mul(7) >> 3;
            if bytes >= LEAST_SAMPLE {
                let rate = bytes.saturating_mul(1000).checked_div(took_ms.max(1));
                state.rate = average(state.rate, rate.unwrap_or(UNKNOWN_RATE));
            }
        }
    }

    /// A request went wrong. One that had brought blocks before an ordinary fault is put aside for the shortest time only.
    pub(super) fn fault(&mut self, gateway: usize, fault: Fault, had_blocks: bool, now_ms: u64) {
        let Some(state) = self.gateways.get_mut(gateway) else {
            return;
        };
        state.faults = state.faults.saturating_add(1);
        state.last_fault = Some(fault);
        if matches!(fault, Fault::FileRefused(_)) {
            state.no_files = true;
            return;
        }
        let base = match fault.severity() {
            Severity::Mild => {
                state.misses = state.misses.saturating_mul(7).saturating_add(1000) >> 3;
                return;
            }
            Severity::Transient => self.policy.backoff_base_ms,
            Severity::Lie => self.policy.lie_backoff_ms,
        };
        // Requests that ran side by side fail together: that is one strike.
        if now_ms >= state.ready_at_ms {
            state.strikes = match had_blocks && fault.severity() == Severity::Transient {
                true => state.strikes.max(1),
                false => state.strikes.saturating_add(1),
            };
        }
        let doublings = state.strikes.saturating_sub(1).min(32);
        let backoff = base
            .saturating_mul(1 << doublings)
            .min(self.policy.backoff_cap_ms);
        state.ready_at_ms = state.ready_at_ms.max(now_ms.saturating_add(backoff));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_the_best_gateway() {
        let gateways = ["http://near", "http://far"].map(|url| Gateway::parse(url).unwrap());
        let mut pool = GatewayPool::new([], Policy::default());
        assert_eq!(pool.line(), Line::default());
        pool.gateways = GatewayPool::new(gateways, Policy::default()).gateways;
        assert_eq!(pool.line(), Line::default());
        pool.first_byte(1, 25);
        pool.finished(1, 10_000_000, 500);
        assert_eq!(pool.line(), Line::new(Some(25), Some(20_000_000)));
        // Short answers say nothing of the rate.
        pool.first_byte(0, 5);
        pool.finished(0, 100, 500);
        assert_eq!(pool.line(), Line::new(Some(25), Some(20_000_000)));
        pool.finished(0, 30_000_000, 500);
        assert_eq!(pool.line(), Line::new(Some(5), Some(60_000_000)));
    }
}
