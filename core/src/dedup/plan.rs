//! Which pieces cover a range of the NAR, and which of them must be fetched.
//!
//! ```
//! use interplanar_core::dedup::{PieceEntry, Plan, PieceSource, covering};
//! use interplanar_core::hash::Sha256;
//! let piece = |offset, name: &[u8]| PieceEntry {
//!     offset,
//!     length: 100,
//!     compressed: 50,
//!     plain: Sha256::of(name),
//!     leaves: vec![Sha256::of(&[name, b".zst"].concat())],
//! };
//! let pieces = [piece(0, b"old"), piece(100, b"new"), piece(200, b"far")];
//! let wanted = covering(&pieces, 50..150);
//! let old = Sha256::of(b"old");
//! let plan = Plan::new(wanted, |plain| *plain == old, |_| false);
//! assert_eq!(plan.sources, [PieceSource::Plain, PieceSource::Fetch]);
//! assert_eq!((plan.fetch.len(), plan.bytes), (1, 50));
//! ```

use super::dag::MAX_LEAF;
use super::frame;
use super::index::{IndexPart, PieceEntry};
use super::small::SmallPieces;
use crate::cid::Cid;
use crate::hash::Sha256;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

/// Returns those of consecutive pieces that hold bytes of a range of the NAR.
#[must_use]
pub fn covering(pieces: &[PieceEntry], range: Range<u64>) -> &[PieceEntry] {
    overlapping(pieces, range, |piece| (piece.offset, piece.end()))
}

/// Returns those parts of an index whose pieces hold bytes of a range of the NAR.
#[must_use]
pub fn parts_covering(parts: &[IndexPart], range: Range<u64>) -> &[IndexPart] {
    let end = |part: &IndexPart| part.offset.saturating_add(part.length);
    overlapping(parts, range, |part| (part.offset, end(part)))
}

fn overlapping<T>(all: &[T], range: Range<u64>, extent: impl Fn(&T) -> (u64, u64)) -> &[T] {
    if range.is_empty() {
        return &[];
    }
    let first = all.partition_point(|one| extent(one).1 <= range.start);
    let end = all.partition_point(|one| extent(one).0 < range.end);
    all.get(first..end).unwrap_or_default()
}

/// The source of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceSource {
    /// This machine has its bytes: in a store item, or in an earlier piece of the same NAR.
    Plain,
    /// This machine has all its leaves.
    Blocks,
    /// PieceOffsets least one of its leaves must be fetched.
    Fetch,
}

/// A leaf that this machine lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// CID of the leaf.
    pub cid: Cid,
    /// Bytes of the leaf: 1 to [`MAX_LEAF`].
    pub length: u64,
    /// Offset in the `.nar.zst`.
    pub offset: u64,
    /// Offset in the file of the small pieces, if the leaf is a small piece.
    pub small: Option<u64>,
}

/// The source of each piece of a NAR.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The source of each piece, in order.
    pub sources: Vec<PieceSource>,
    /// Leaves to fetch, in the order of the NAR, each once.
    pub fetch: Vec<Missing>,
    /// Bytes of the leaves to fetch.
    pub bytes: u64,
}

/// Offsets of the next piece in both files.
struct PieceOffsets {
    offset: u64,
    small: u64,
}

impl Plan {
    /// Plans the pieces. Asks for each piece whether its bytes exist here, and otherwise for each
    /// of its leaves whether the block does.
    pub fn new(
        pieces: &[PieceEntry],
        mut has_plain: impl FnMut(&Sha256) -> bool,
        mut has_block: impl FnMut(&Cid) -> bool,
    ) -> Self {
        let mut plan = Self::default();
        let (mut planned, mut fetched) = (BTreeSet::new(), BTreeSet::new());
        let mut at = PieceOffsets {
            offset: frame::HEADER.len() as u64,
            small: 0,
        };
        for piece in pieces {
            // A NAR may contain the same piece twice.
            let again = !planned.insert(piece.plain);
            let way = if again || has_plain(&piece.plain) {
                PieceSource::Plain
            } else {
                plan.leaves(piece, &at, &mut fetched, &mut has_block)
            };
            plan.sources.push(way);
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
        piece: &PieceEntry,
        at: &PieceOffsets,
        fetched: &mut BTreeSet<Sha256>,
        has_block: &mut impl FnMut(&Cid) -> bool,
    ) -> PieceSource {
        let mut way = PieceSource::Blocks;
        let mut left = u64::from(piece.compressed);
        for (digest, cid) in piece.leaves.iter().zip(piece.cids()) {
            let length = left.min(MAX_LEAF as u64);
            let before = u64::from(piece.compressed).saturating_sub(left);
            left = left.saturating_sub(length);
            if has_block(&cid) {
                continue;
            }
            way = PieceSource::Fetch;
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

    fn piece(offset: u64, length: u32, name: &[u8], compressed: u32) -> PieceEntry {
        let leaves =
            (0..compressed.div_ceil(1 << 20)).map(|n| Sha256::of(&[name, &[n as u8]].concat()));
        PieceEntry {
            offset,
            length,
            compressed,
            plain: Sha256::of(name),
            leaves: leaves.collect(),
        }
    }

    #[test]
    fn a_range_is_covered_by_exactly_the_pieces_that_overlap_it() {
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
                let touched: Vec<&PieceEntry> = touched.collect();
                let found: Vec<&PieceEntry> = covering(&pieces, start..end).iter().collect();
                assert_eq!(found, touched, "{start}..{end}");
            }
        }
        let part = |offset, length| IndexPart {
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
    fn only_missing_leaves_are_fetched_and_each_once() {
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
        use PieceSource::{Blocks, Fetch, Plain};
        assert_eq!(plan.sources, [Fetch, Fetch, Plain, Plain, Blocks]);
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
