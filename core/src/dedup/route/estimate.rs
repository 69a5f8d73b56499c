//! Estimates what requests cost, and chooses by the preferred cost.

use super::Route;
use super::ranges::{LEAVES_AT_ONCE, NODES_BYTES, RANGES_AT_ONCE, REQUEST_BYTES};
use crate::fetch::LinkSpeed;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Bytes that exist here already may be downloaded again, up to this percentage of the missing
/// bytes.
const SPARE_PERCENT: u64 = 10;
/// A delta must save this percentage of the bytes of the whole, because reading and hashing local
/// data costs time too.
const SAVED_PERCENT: u64 = 10;
/// To fetch fewer bytes, a download may take this much longer, in microseconds.
const PATIENCE_US: u64 = 1_000_000;

fn percent(bytes: u64, percent: u64) -> u64 {
    (bytes / 100).saturating_mul(percent)
}

/// What to optimise a download for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// A balance of both: few bytes, unless more bytes save much time. It re-downloads bytes that
    /// exist here up to a tenth of the missing bytes, or up to what the line transfers in one round
    /// trip. It fetches the whole file if a delta saves at most a tenth of the bytes, or takes more
    /// than a second longer.
    #[default]
    Balance,
    /// Fewest bytes, for metered connections.
    Bytes,
    /// Least time, no matter how many bytes.
    Time,
}

/// The estimated cost of a set of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Number of requests for single leaves.
    pub leaves: u64,
    /// Number of requests for ranges.
    pub ranges: u64,
    /// All bytes received: leaves, bytes between leaves of a range, nodes and headers.
    pub bytes: u64,
}

impl Estimate {
    /// Estimates the download of one whole file with this many bytes.
    #[must_use]
    pub fn whole(bytes: u64) -> Self {
        let mut whole = Self::default();
        whole.range(bytes);
        whole
    }

    pub(super) fn leaf(&mut self, bytes: u64) {
        self.leaves = self.leaves.saturating_add(1);
        self.add(REQUEST_BYTES, bytes);
    }

    pub(super) fn range(&mut self, bytes: u64) {
        self.ranges = self.ranges.saturating_add(1);
        self.add(REQUEST_BYTES.saturating_add(NODES_BYTES), bytes);
    }

    fn add(&mut self, request: u64, bytes: u64) {
        self.bytes = self.bytes.saturating_add(request).saturating_add(bytes);
    }

    /// Returns the number of requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.leaves.saturating_add(self.ranges)
    }

    /// Returns the time on a line in microseconds: the round trips that don't run in parallel, and
    /// the transfer of the bytes.
    #[must_use]
    pub fn time_us(&self, line: &LinkSpeed) -> u64 {
        // A common denominator for the shares of both types of requests.
        const ONE: u64 = LEAVES_AT_ONCE * RANGES_AT_ONCE;
        let leaves = self.leaves.saturating_mul(RANGES_AT_ONCE);
        let ranges = self.ranges.saturating_mul(LEAVES_AT_ONCE);
        let round_trips = leaves.saturating_add(ranges);
        let round_trips = if round_trips == 0 {
            0
        } else {
            round_trips.max(ONE)
        };
        let latency = line.time_us(round_trips, 0) / ONE;
        latency.saturating_add(line.time_us(0, self.bytes))
    }
}

impl Prefer {
    /// Chooses the best of several routes to the same leaves. Of equal ones it takes the one with
    /// the fewest requests.
    pub(super) fn choose(self, routes: Vec<Route>, line: &LinkSpeed) -> Route {
        let least = routes.iter().map(|route| route.estimate.bytes).min();
        let spare = match self {
            Self::Bytes => 0,
            Self::Time => u64::MAX,
            Self::Balance => {
                let tenth = percent(least.unwrap_or_default(), SPARE_PERCENT);
                tenth.max(line.round_trip_bytes())
            }
        };
        let most = least.unwrap_or_default().saturating_add(spare);
        let within = routes
            .into_iter()
            .filter(|route| route.estimate.bytes <= most);
        let best = within.max_by_key(|Route { estimate, .. }| {
            let time = estimate.time_us(line);
            Reverse((time, estimate.bytes, estimate.requests()))
        });
        best.unwrap_or_default()
    }

    /// Returns whether a delta is better than downloading the whole file, which has `whole` bytes.
    #[must_use]
    pub fn is_worth(self, delta: &Estimate, whole: u64, line: &LinkSpeed) -> bool {
        let whole = Estimate::whole(whole);
        let (delta_time, whole_time) = (delta.time_us(line), whole.time_us(line));
        match self {
            Self::Bytes => delta.bytes < whole.bytes,
            Self::Time => delta_time < whole_time,
            Self::Balance => {
                let saved = whole.bytes.saturating_sub(delta.bytes);
                saved > percent(whole.bytes, SAVED_PERCENT)
                    && delta_time <= whole_time.saturating_add(PATIENCE_US)
            }
        }
    }
}
