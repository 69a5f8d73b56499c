//! Joins leaves of one file into ranges with the least cost at given prices. Uses dynamic
//! programming over the leaves in order.
//!
//! ```text
//! cost = leaf × (single leaves) + range × (ranges) + bytes received
//! ```
//! Each leaf is requested alone, or is the end of a range so far. For both cases the cheaper
//! predecessor is kept, so time and memory are linear.

use crate::fetch::LinkSpeed;
use alloc::vec::Vec;

/// Price of a request without its round trip, in bytes: the headers of both sides and the work of a
/// gateway.
pub(super) const REQUEST_BYTES: u64 = 2 << 10;
/// Bytes of a CAR besides its leaves: a root with up to 174 links, and a node.
pub(super) const NODES_BYTES: u64 = 8 << 10;
/// Leaves that are requested in parallel.
pub(super) const LEAVES_AT_ONCE: u64 = 32;
/// Ranges that are requested in parallel.
pub(super) const RANGES_AT_ONCE: u64 = 6;
/// Longest range, in bytes. Several ranges may wait on disk before the reader can use their first
/// piece.
pub const MAX_RANGE: u64 = 16 << 20;
/// A price above all others: 4 TiB.
const NEVER: u64 = 1 << 42;
/// How often the price of a round trip is halved for further candidates.
const HALVES: u32 = 10;

/// The prices of requests, in bytes that could be transferred in the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prices {
    pub(super) leaf: u64,
    pub(super) range: u64,
}

impl Prices {
    fn of(round_trip: u64) -> Self {
        let share = |at_once| round_trip.checked_div(at_once).unwrap_or_default();
        let range = REQUEST_BYTES.saturating_add(NODES_BYTES);
        Self {
            leaf: REQUEST_BYTES.saturating_add(share(LEAVES_AT_ONCE)),
            range: range.saturating_add(share(RANGES_AT_ONCE)),
        }
    }

    /// Prices that give the fewest bytes.
    pub(super) const BYTES: Self = Self {
        leaf: REQUEST_BYTES,
        range: REQUEST_BYTES + NODES_BYTES,
    };
    /// Prices that give one request per leaf.
    pub(super) const LEAVES: Self = Self {
        leaf: 0,
        range: NEVER,
    };
    /// Prices that give a single CAR with all leaves, as far as ranges may be long.
    pub(super) const ONE: Self = Self {
        leaf: NEVER,
        range: NEVER,
    };

    /// Returns candidates from one extreme to the other. If everything fits into one round trip,
    /// fewer requests save no time. So the line's own price isn't always the best.
    pub(super) fn candidates(line: &LinkSpeed) -> Vec<Self> {
        let round_trip = line.round_trip_bytes();
        let between = (0..HALVES).map(|halves| Self::of(round_trip >> halves));
        let mut all = Vec::from([Self::BYTES, Self::LEAVES, Self::ONE]);
        all.extend(between);
        all
    }
}

/// The position of a leaf in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeafPosition {
    /// Index among the missing leaves.
    pub(super) leaf: usize,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl LeafPosition {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Adjacent leaves that are requested in the same way.
pub(super) struct RequestPart<'a> {
    pub(super) positions: &'a [LeafPosition],
    /// Whether they are requested as one range; otherwise each is requested alone.
    pub(super) range: bool,
}

/// The last decision of the best solution up to a leaf.
#[derive(Clone, Copy)]
struct CutStep {
    /// If the leaf is requested alone: whether the leaf before it ends a range.
    after_range: bool,
    /// If the leaf ends a range: index of the first leaf of the range.
    range_start: usize,
}

/// Splits the leaves of a file into the parts with the least cost. The leaves must be in order and
/// not overlap.
pub(super) fn cut<'a>(positions: &'a [LeafPosition], prices: &Prices) -> Vec<RequestPart<'a>> {
    let (steps, mut ends_range) = walk(positions, prices);
    // Trace the decisions back from the last leaf.
    let (mut parts, mut end) = (Vec::new(), positions.len());
    while let Some(step) = end.checked_sub(1).and_then(|last| steps.get(last)) {
        let range = ends_range;
        let start = if range {
            // Before the start of a range, the cheaper of both cases was chosen.
            ends_range = steps
                .get(step.range_start)
                .is_some_and(|range_start| range_start.after_range);
            step.range_start
        } else {
            ends_range = step.after_range;
            end.saturating_sub(1)
        };
        let Some(positions) = positions.get(start..end) else {
            break;
        };
        parts.push(RequestPart { positions, range });
        end = start;
    }
    parts.reverse();
    parts
}

/// Returns the best decision for each leaf, and whether the last leaf ends a range.
fn walk(positions: &[LeafPosition], prices: &Prices) -> (Vec<CutStep>, bool) {
    let mut steps: Vec<CutStep> = Vec::new();
    let (mut alone, mut ranged) = (0_u64, NEVER.saturating_mul(2));
    let (mut range_start, mut before) = (0_usize, None::<&LeafPosition>);
    for (index, position) in positions.iter().enumerate() {
        let after_range = ranged < alone;
        let least = alone.min(ranged);
        let fresh = least
            .saturating_add(prices.range)
            .saturating_add(position.length);
        let onward = before.and_then(|before| {
            let start = positions.get(range_start)?.offset;
            let fits = position.end().saturating_sub(start) <= MAX_RANGE;
            let bytes = position.end().saturating_sub(before.end());
            fits.then(|| ranged.saturating_add(bytes))
        });
        ranged = match onward {
            Some(onward) if onward <= fresh => onward,
            _ => {
                range_start = index;
                fresh
            }
        };
        alone = least
            .saturating_add(prices.leaf)
            .saturating_add(position.length);
        steps.push(CutStep {
            after_range,
            range_start,
        });
        before = Some(position);
    }
    (steps, ranged < alone)
}
