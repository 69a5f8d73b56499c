//! Where leaves of one file are put together into ranges, at given prices: the least sum, by dynamic programming over the leaves in order.
//!
//! ```text
//! cost = leaf × (leaves by themselves) + range × (ranges) + bytes that come
//! ```
//! For each leaf there are two ways to be had, by itself or as the end of a range so far, and the cheaper predecessor of each is kept: linear in time and memory.

use crate::fetch::Line;
use alloc::vec::Vec;

/// Bytes that a request is worth without its round trip: the headers of both sides, and the work of a gateway.
pub(super) const REQUEST_BYTES: u64 = 2 << 10;
/// Bytes of a CAR besides leaves: a root, which has up to 174 links, and a node.
pub(super) const NODES_BYTES: u64 = 8 << 10;
/// Leaves that are asked for at once.
pub(super) const LEAVES_AT_ONCE: u64 = 32;
/// Ranges that are asked for at once.
pub(super) const RANGES_AT_ONCE: u64 = 6;
/// Longest range: what waits on the disk for the reader, before its first piece can be used, is a few of them.
pub const MAX_RANGE: u64 = 16 << 20;
/// What nothing is compared with: 4 TiB.
const NEVER: u64 = 1 << 42;
/// How often the price of a round trip is halved.
const HALVES: u32 = 10;

/// What requests cost, in bytes that could have come meanwhile.
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

    /// Of fewest bytes.
    pub(super) const BYTES: Self = Self {
        leaf: REQUEST_BYTES,
        range: REQUEST_BYTES + NODES_BYTES,
    };
    /// Of a request for each leaf.
    pub(super) const LEAVES: Self = Self {
        leaf: 0,
        range: NEVER,
    };
    /// Of one CAR of all, as far as a range may go.
    pub(super) const ONE: Self = Self {
        leaf: NEVER,
        range: NEVER,
    };

    /// From one extreme to the other. Where all fits into one round trip, a round trip less saves nothing; so the line's own price isn't always the best.
    pub(super) fn candidates(line: &Line) -> Vec<Self> {
        let round_trip = line.round_trip_bytes();
        let between = (0..HALVES).map(|halves| Self::of(round_trip >> halves));
        let mut all = Vec::from([Self::BYTES, Self::LEAVES, Self::ONE]);
        all.extend(between);
        all
    }
}

/// A leaf in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which of the missing ones it is.
    pub(super) leaf: usize,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Spot {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Neighbours that are had in the same way.
pub(super) struct Part<'a> {
    pub(super) spots: &'a [Spot],
    /// As one range; else each by itself.
    pub(super) range: bool,
}

/// How the best way to a leaf ends.
#[derive(Clone, Copy)]
struct Step {
    /// If it is had by itself: whether the one before ended a range.
    after_range: bool,
    /// If it ends a range: where that began.
    began: usize,
}

/// Cuts the leaves of a file, in its order and none over another, into the parts that cost least.
pub(super) fn cut<'a>(spots: &'a [Spot], prices: &Prices) -> Vec<Part<'a>> {
    let (steps, mut ends_range) = walk(spots, prices);
    // Back from the last leaf.
    let (mut parts, mut end) = (Vec::new(), spots.len());
    while let Some(step) = end.checked_sub(1).and_then(|last| steps.get(last)) {
        let range = ends_range;
        let start = if range {
            // Where it began, what stood before was the cheaper of both.
            ends_range = steps.get(step.began).is_some_and(|began| began.after_range);
            step.began
        } else {
            ends_range = step.after_range;
            end.saturating_sub(1)
        };
        let Some(spots) = spots.get(start..end) else {
            break;
        };
        parts.push(Part { spots, range });
        end = start;
    }
    parts.reverse();
    parts
}

/// The best way to each leaf, and whether the last one ends a range.
fn walk(spots: &[Spot], prices: &Prices) -> (Vec<Step>, bool) {
    let mut steps: Vec<Step> = Vec::new();
    let (mut alone, mut ranged) = (0_u64, NEVER.saturating_mul(2));
    let (mut began, mut before) = (0_usize, None::<&Spot>);
    for (index, spot) in spots.iter().enumerate() {
        let after_range = ranged < alone;
        let least = alone.min(ranged);
        let fresh = least
            .saturating_add(prices.range)
            .saturating_add(spot.length);
        let onward = before.and_then(|before| {
            let start = spots.get(began)?.offset;
            let fits = spot.end().saturating_sub(start) <= MAX_RANGE;
            let bytes = spot.end().saturating_sub(before.end());
            fits.then(|| ranged.saturating_add(bytes))
        });
        ranged = match onward {
            Some(onward) if onward <= fresh => onward,
            _ => {
                began = index;
                fresh
            }
        };
        alone = least
            .saturating_add(prices.leaf)
            .saturating_add(spot.length);
        steps.push(Step { after_range, began });
        before = Some(spot);
    }
    (steps, ranged < alone)
}
