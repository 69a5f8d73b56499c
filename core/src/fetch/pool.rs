//! The gateways, and what is known about each.
//!
//! The *score* of a gateway is the estimated time to fetch one MiB from it. The gateway with the
//! lowest score is asked first. A fault gives the gateway a back-off of `base × 2^(strikes − 1)`
//! milliseconds, at most `cap`. A clean answer removes one strike.

use super::Fault;
use super::fault::Severity;
use super::gateway::Gateway;
use super::link_speed::{LinkSpeed, UNKNOWN_LATENCY_MS, UNKNOWN_RATE};
use alloc::string::String;
use alloc::vec::Vec;

/// Transfers of fewer bytes don't update the rate.
const LEAST_SAMPLE: u64 = 64 << 10;
/// Milliseconds that each strike adds to the score.
const STRIKE_MS: u64 = 500;

/// Lengths of the back-offs after faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The first back-off after an ordinary fault, in milliseconds.
    pub backoff_base_ms: u64,
    /// The first back-off after wrong data (wrong bytes, HTML, too much), in milliseconds.
    pub wrong_data_backoff_ms: u64,
    /// The longest back-off, in milliseconds.
    pub backoff_cap_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff_base_ms: 1_000,
            wrong_data_backoff_ms: 30_000,
            backoff_cap_ms: 600_000,
        }
    }
}

/// Statistics of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Address of the gateway.
    pub url: String,
    /// Number of requests made to it.
    pub requests: u64,
    /// Body bytes that it sent.
    pub bytes: u64,
    /// Number of its faults, including mild ones.
    pub faults: u64,
    /// The last fault.
    pub last_fault: Option<Fault>,
    /// End of its back-off, in the clock of `now_ms` (milliseconds).
    pub backoff_until_ms: Option<u64>,
    /// Average time until its first byte, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Average rate, in bytes per second.
    pub rate: Option<u64>,
}

#[derive(Debug, Clone)]
struct PooledGateway {
    gateway: Gateway,
    requests: u64,
    bytes: u64,
    faults: u64,
    last_fault: Option<Fault>,
    strikes: u32,
    ready_at_ms: u64,
    latency_ms: Option<u64>,
    rate: Option<u64>,
    /// Moving average of "not found" answers, in thousandths.
    misses: u64,
    /// Whether it refused to send a file.
    no_files: bool,
}

/// The gateways, with statistics that all fetches share. A driver of several fetches keeps it
/// behind a lock.
#[derive(Debug, Clone)]
pub struct GatewayPool {
    policy: Policy,
    gateways: Vec<PooledGateway>,
}

/// Returns the moving average: three parts old, one part new.
fn average(old: Option<u64>, new: u64) -> Option<u64> {
    Some(old.map_or(new, |old| old.saturating_mul(3).saturating_add(new) >> 2))
}

impl GatewayPool {
    /// Makes a pool of these gateways. While nothing is known about them, the earlier ones are
    /// preferred.
    pub fn new(gateways: impl IntoIterator<Item = Gateway>, policy: Policy) -> Self {
        let state = |gateway| PooledGateway {
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

    /// Number of gateways.
    pub fn len(&self) -> usize {
        self.gateways.len()
    }

    /// Whether the pool has no gateways.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty()
    }

    /// Returns the address of the gateway with this index.
    pub fn url(&self, gateway: usize) -> Option<&str> {
        self.gateways
            .get(gateway)
            .map(|state| state.gateway.url.as_str())
    }

    /// Returns the statistics of each gateway at `now_ms`, in the order of their indices.
    pub fn reports(&self, now_ms: u64) -> Vec<Report> {
        let report = |state: &PooledGateway| Report {
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

    /// Returns the measured latency and rate of the best gateway.
    #[must_use]
    pub fn line(&self) -> LinkSpeed {
        let best = (0..self.len()).min_by_key(|gateway| self.score(*gateway));
        let best = best.and_then(|gateway| self.gateways.get(gateway));
        best.map_or_else(LinkSpeed::default, |state| {
            LinkSpeed::new(state.latency_ms, state.rate)
        })
    }

    /// Time at which the gateway's back-off ends.
    pub(super) fn ready_at_ms(&self, gateway: usize) -> u64 {
        self.gateways
            .get(gateway)
            .map_or(u64::MAX, |state| state.ready_at_ms)
    }

    /// Estimated time for one MiB, in milliseconds. Lower is better.
    pub(super) fn score(&self, gateway: usize) -> u64 {
        let Some(state) = self.gateways.get(gateway) else {
            return u64::MAX;
        };
        let rate = state.rate.unwrap_or(UNKNOWN_RATE).max(1);
        let transfer = (1000u64 << 20).checked_div(rate).unwrap_or(u64::MAX);
        let strikes = u64::from(state.strikes).saturating_mul(STRIKE_MS);
        let latency = state.latency_ms.unwrap_or(UNKNOWN_LATENCY_MS);
        let score = latency.saturating_add(transfer).saturating_add(strikes);
        // A gateway that always lacks the requested content gets four times the score.
        score.saturating_mul(state.misses.saturating_mul(3).saturating_add(1000))
    }

    /// Average time until this gateway's first byte, in milliseconds.
    pub(super) fn latency_ms(&self, gateway: usize) -> Option<u64> {
        self.gateways.get(gateway)?.latency_ms
    }

    /// Whether this gateway may send files, and not only blocks.
    pub(super) fn gives_files(&self, gateway: usize) -> bool {
        self.gateways
            .get(gateway)
            .is_some_and(|state| !state.no_files)
    }

    /// Notes that a request was made.
    pub(super) fn asked(&mut self, gateway: usize) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.requests = state.requests.saturating_add(1);
        }
    }

    /// Notes the time until the first byte of an answer, or the time waited for it so far.
    pub(super) fn first_byte(&mut self, gateway: usize, took_ms: u64) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.latency_ms = average(state.latency_ms, took_ms);
        }
    }

    /// Notes that body bytes arrived.
    pub(super) fn received(&mut self, gateway: usize, bytes: u64) {
        if let Some(state) = self.gateways.get_mut(gateway) {
            state.bytes = state.bytes.saturating_add(bytes);
        }
    }

    /// Notes the clean end of a request. Its body had `bytes` bytes and took `took_ms` after the
    /// first byte.
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

    /// Notes a fault. If the request had delivered blocks before an ordinary fault, the gateway
    /// gets the shortest back-off.
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
            Severity::WrongData => self.policy.wrong_data_backoff_ms,
        };
        // Parallel requests fail together: that counts as one strike.
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
    fn the_line_has_the_latency_and_rate_of_the_best_gateway() {
        let gateways = ["http://near", "http://far"].map(|url| Gateway::parse(url).unwrap());
        let mut pool = GatewayPool::new([], Policy::default());
        assert_eq!(pool.line(), LinkSpeed::default());
        pool.gateways = GatewayPool::new(gateways, Policy::default()).gateways;
        assert_eq!(pool.line(), LinkSpeed::default());
        pool.first_byte(1, 25);
        pool.finished(1, 10_000_000, 500);
        assert_eq!(pool.line(), LinkSpeed::new(Some(25), Some(20_000_000)));
        // Short answers don't update the rate.
        pool.first_byte(0, 5);
        pool.finished(0, 100, 500);
        assert_eq!(pool.line(), LinkSpeed::new(Some(25), Some(20_000_000)));
        pool.finished(0, 30_000_000, 500);
        assert_eq!(pool.line(), LinkSpeed::new(Some(5), Some(60_000_000)));
    }
}
