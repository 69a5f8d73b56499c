//! What requests are thought to cost, and which cost is preferred.

use super::Route;
use super::ranges::{LEAVES_AT_ONCE, NODES_BYTES, RANGES_AT_ONCE, REQUEST_BYTES};
use crate::fetch::Line;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Of what is missing, so many percent may be spent on bytes that are here already.
const SPARE_PERCENT: u64 = 10;
/// Rebuilding must save so many percent of the bytes of the whole: reading and hashing what is here isn't free either.
const SAVED_PERCENT: u64 = 10;
/// So much longer may it take to fetch fewer bytes, in microseconds: what nobody minds.
const PATIENCE_US: u64 = 1_000_000;

fn percent(bytes: u64, percent: u64) -> u64 {
    (bytes / 100).saturating_mul(percent)
}

/// What is wanted of a fetch besides that it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// Few bytes, and time where it costs little: what is here is read through for at most a tenth of what is missing or what the line carries in
    /// one round trip, and the whole is fetched where that is a second quicker.
    #[default]
    Balance,
    /// Fewest bytes: for lines that are metered.
    Bytes,
    /// Least time, whatever it costs in bytes.
    Time,
}

/// What some requests are thought to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Requests for single leaves.
    pub leaves: u64,
    /// Requests for ranges.
    pub ranges: u64,
    /// All that comes: leaves, what is read through, nodes, headers.
    pub bytes: u64,
}

impl Estimate {
    /// Of one file, fetched from its start to its end.
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

    /// How many requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.leaves.saturating_add(self.ranges)
    }

    /// Microseconds on a line: as many round trips one after the other as don't fit side by side, and the bytes.
    #[must_use]
    pub fn time_us(&self, line: &Line) -> u64 {
        // In shares of one that both kinds divide.
        const ALL: u64 = LEAVES_AT_ONCE * RANGES_AT_ONCE;
        let leaves = self.leaves.saturating_mul(RANGES_AT_ONCE);
        let ranges = self.ranges.saturating_mul(LEAVES_AT_ONCE);
        let turns = leaves.saturating_add(ranges);
        let turns = if turns == 0 { 0 } else { turns.max(ALL) };
        let latency = line.time_us(turns, 0) / ALL;
        latency.saturating_add(line.time_us(0, self.bytes))
    }
}

impl Prefer {
    /// The best of some routes to the same leaves; of equal ones that of fewest requests.
    pub(super) fn choose(self, routes: Vec<Route>, line: &Line) -> Route {
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

    /// Whether what is missing is fetched, in place of the whole, which has so many bytes.
    #[must_use]
    pub fn is_worth(self, rest: &Estimate, whole: u64, line: &Line) -> bool {
        let whole = Estimate::whole(whole);
        let (ours, theirs) = (rest.time_us(line), whole.time_us(line));
        match self {
            Self::Bytes => rest.bytes < whole.bytes,
            Self::Time => ours < theirs,
            Self::Balance => {
                let saved = whole.bytes.saturating_sub(rest.bytes);
                saved > percent(whole.bytes, SAVED_PERCENT)
                    && ours <= theirs.saturating_add(PATIENCE_US)
            }
        }
    }
}
