//! What to fetch: which pieces cover a range of the NAR, and which of them are here already.
//!
//! ```
//! use interplanar_core::dedup::{Entry, Plan, Way, covering};
//! use interplanar_core::hash::Sha256;
//! let piece = |offset, name: &[u8]| Entry {
//!     offset, length: 100, compressed: 50, plain: Sha256::of(name), leaves: vec![Sha256::of(&[name, b".zst"].concat())],
//! };
//! let pieces = [piece(0, b"old"), piece(100, b"new"), piece(200, b"far")];
//! let wanted = covering(&pieces, 50..150);
//! let old = Sha256::of(b"old");
//! let plan = Plan::new(wanted, |plain| *plain == old, |_| false);
//! assert_eq!(plan.ways, [Way::Plain, Way::Fetch]);
//! assert_eq!((plan.fetch.len(), plan.bytes), (1, 50));
//! ```

use super::dag::MAX_LEAF;
use super::frame;
use super::index::{Entry, Part};
use super::small::SmallPieces;
use crate::cid::Cid;
use crate::hash::Sha256;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

/// The pieces, out of consecutive ones, that have bytes of a range of the NAR.
#[must_use]
pub fn covering(pieces: &[Entry], range: Range<u64>) -> &[Entry] {
    within(pieces, range, |piece| (piece.offset, piece.end()))
}

/// The parts of an index that have the pieces of a range of the NAR.
#[must_use]
pub fn parts_covering(parts: &[Part], range: Range<u64>) -> &[Part] {
    let end = |part: &Part| part.offset.saturating_add(part.length);
    within(parts, range, |part| (part.offset, end(part)))
}

fn within<T>(all: &[T], range: Range<u64>, place: impl Fn(&T) -> (u64, u64)) -> &[T] {
    if range.is_empty() {
        return &[];
    }
    let first = all.partition_point(|one| place(one).1 <= range.start);
    let end = all.partition_point(|one| place(one).0 < range.end);
    all.get(first..end).unwrap_or_default()
}

/// How a piece is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its bytes are here, in a store item or in an earlier piece of the same NAR.
    Plain,
    /// All its leaves are here.
    Blocks,
    /// Leaves of it must be fetched.
    Fetch,
}

/// A leaf that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The leaf.
    pub cid: Cid,
    /// Its bytes: 1 to [`MAX_LEAF`].
    pub length: u64,
    /// Where it starts in the `.nar.zst`.
    pub offset: u64,
    /// Where it starts in the file of the small pieces, if it is one.
    pub small: Option<u64>,
}

/// How pieces of a NAR are had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// For each piece.
    pub ways: Vec<Way>,
    /// Leaves to fetch, in the order of the NAR, each once.
    pub fetch: Vec<Missing>,
    /// Bytes of these leaves.
    pub bytes: u64,
}

/// Where the next piece starts in both files.
struct At {
    offset: u64,
    small: u64,
}

impl Plan {
    /// Asks for each piece whether its bytes are here, and if not, for each of its leaves whether the block is.
    pub fn new(
        pieces: &[Entry],
        mut has_plain: impl FnMut(&Sha256) -> bool,
        mut has_block: impl FnMut(&Cid) -> bool,
    ) -> Self {
        let mut plan = Self::default();
        let (mut planned, mut fetched) = (BTreeSet::new(), BTreeSet::new());
        let mut at = At {
            offset: frame::HEADER.len() as u64,
            small: 0,
        };
        for piece in pieces {
            // A NAR may have the same piece twice.
            let again = !planned.insert(piece.plain);
            let way = if again || has_plain(&piece.plain) {
                Way::Plain
            } else {
                plan.leaves(piece, &at, &mut fetched, &mut has_block)
            };
            plan.ways.push(way);
            let length = u64::from(piece.compressed);
            at.offset = at.offset.saturating_add(length);
            if SmallPieces::has(piece) {
                at.small = at.small.saturating_add(length);
            }
        }
        plan
    }

    fn leaves(
        &mut self,
        piece: &Entry,
        at: &At,
        fetched: &mut BTreeSet<Sha256>,
        has_block: &mut impl FnMut(&Cid) -> bool,
    ) -> Way {
        let mut way = Way::Blocks;
        let mut left = u64::from(piece.compressed);
        for (digest, cid) in piece.leaves.iter().zip(piece.cids()) {
            let length = left.min(MAX_LEAF as u64);
            let before = u64::from(piece.compressed).saturating_sub(left);
            left = left.saturating_sub(length);
            if has_block(&cid) {
                continue;
            }
            way = Way::Fetch;
            if fetched.insert(*digest) {
                self.fetch.push(Missing {
                    cid,
                    length,
                    offset: at.offset.saturating_add(before),
                    small: SmallPieces::has(piece).then_some(at.small),
                });
                self.bytes = self.bytes.saturating_add(length);
            }
        }
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn piece(offset: u64, length: u32, name: &[u8], compressed: u32) -> Entry {
        let leaves =
            (0..compressed.div_ceil(1 << 20)).map(|n| Sha256::of(&[name, &[n as u8]].concat()));
        Entry {
            offset,
            length,
            compressed,
            plain: Sha256::of(name),
            leaves: leaves.collect(),
        }
    }

    #[test]
    fn every_range_has_exactly_the_pieces_that_it_touches() {
        let pieces = [
            piece(0, 3, b"a", 1),
            piece(3, 1, b"b", 1),
            piece(4, 5, b"c", 1),
        ];
        for start in 0..11 {
            for end in 0..11 {
                let touched = pieces
                    .iter()
                    .filter(|piece| (start..end).any(|at| piece.offset <= at && at < piece.end()));
                let touched: Vec<&Entry> = touched.collect();
                let found: Vec<&Entry> = covering(&pieces, start..end).iter().collect();
                assert_eq!(found, touched, "{start}..{end}");
            }
        }
        let part = |offset, length| Part {
            cid: pieces[0].cids().next().unwrap(),
            offset,
            length,
            pieces: 1,
        };
        let parts = [part(0, 10), part(10, 10), part(20, 10)];
        assert_eq!(parts_covering(&parts, 9..11), &parts[..2]);
        assert_eq!(parts_covering(&parts, 10..20), &parts[1..2]);
        assert_eq!(parts_covering(&parts, 30..40), &[]);
    }

    #[test]
    fn only_what_is_not_here_is_fetched_and_that_once() {
        let large = piece(0, 3 << 20, b"large", (1 << 20) + 7);
        let pieces = [
            large.clone(),
            piece(3 << 20, 10, b"small", 5),
            piece((3 << 20) + 10, 10, b"small", 5),
            piece((3 << 20) + 20, 10, b"installed", 6),
            piece((3 << 20) + 30, 10, b"cached", 6),
        ];
        let installed = Sha256::of(b"installed");
        let here: Vec<Cid> = [&large, &pieces[4]]
            .map(|piece| piece.cids().next().unwrap())
            .into();
        let plan = Plan::new(
            &pieces,
            |plain| *plain == installed,
            |cid| here.contains(cid),
        );
        use Way::{Blocks, Fetch, Plain};
        assert_eq!(plan.ways, [Fetch, Fetch, Plain, Plain, Blocks]);
        let expected = vec![
            Missing {
                cid: large.cids().nth(1).unwrap(),
                length: 7,
                offset: 6 + (1 << 20),
                small: None,
            },
            Missing {
                cid: pieces[1].cids().next().unwrap(),
                length: 5,
                offset: 6 + (1 << 20) + 7,
                small: Some(0),
            },
        ];
        assert_eq!((plan.fetch, plan.bytes), (expected, 7 + 5));
    }
}
