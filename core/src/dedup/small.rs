//! The small pieces of a NAR once more, one after the other: a file over the same leaves, of which a client takes in one request what it would else ask for
//! leaf by leaf.
//!
//! ```text
//! the .nar.zst      header │ small │ large │ small │ large │ large │ small │ tail
//! the small pieces           small           small                   small
//! ```
//! What a rebuild changes are small pieces between large ones that stay: references, heads, section tables. A range of the `.nar.zst` that has them all has everything
//! else as well; a range of this file has hardly more than them. It costs its nodes, some 50 bytes for each small piece. Its layout is that of
//! [`Dag`](super::Dag) without directories, so its root follows from the index: a client knows what it is before it asks for it.
//!
//! ```
//! use interplanar_core::dedup::{Entry, MAX_SMALL, SmallPieces};
//! use interplanar_core::hash::Sha256;
//! let piece = |compressed, name: &[u8]| Entry {
//!     offset: 0, length: compressed, compressed, plain: Sha256::of(name), leaves: vec![Sha256::of(name)],
//! };
//! let pieces = [piece(100, b"a"), piece(MAX_SMALL + 1, b"large"), piece(7, b"b")];
//! let built = SmallPieces::of(&pieces).unwrap();
//! assert_eq!(built.size, 107);
//! // One alone is asked for by itself.
//! assert_eq!(SmallPieces::of(&pieces[..2]), None);
//! ```

use super::index::Entry;
use crate::block::Block;
use crate::cid::Version;
use crate::unixfs::{Built, LINKS, Layout};

/// The field of a narinfo, behind what is signed, that holds the root of this file: `SmallPieces: bafy…`. It is a hint like any CID: what it says is only
/// that somebody has the nodes.
pub const SMALL_FIELD: &str = "SmallPieces";

/// Longest small piece, in bytes of the frame: what a line of 20 Mbit/s carries in a round trip of 25 ms.
pub const MAX_SMALL: u32 = 64 << 10;

/// Builds the file from the pieces of a NAR.
#[derive(Debug, Clone)]
pub struct SmallPieces {
    layout: Layout,
    pieces: u64,
}

impl Default for SmallPieces {
    fn default() -> Self {
        Self {
            layout: Layout::new(Version::V1, LINKS),
            pieces: 0,
        }
    }
}

impl SmallPieces {
    /// Whether a piece stands in the file.
    #[must_use]
    pub fn has(piece: &Entry) -> bool {
        piece.compressed <= MAX_SMALL
    }

    /// Takes the next piece of the NAR; nodes that are full go to `sink`.
    pub fn add(&mut self, piece: &Entry, sink: &mut impl FnMut(Block)) {
        if !Self::has(piece) {
            return;
        }
        let size = u64::from(piece.compressed);
        // It is shorter than a leaf may be.
        if let Some(cid) = piece.cids().next() {
            let built = Built {
                cid,
                size,
                dag_size: size,
            };
            self.layout.add(built, sink);
            self.pieces = self.pieces.saturating_add(1);
        }
    }

    /// Ends the file; the root goes to `sink` at last. There is none for fewer than two pieces.
    pub fn finish(self, sink: &mut impl FnMut(Block)) -> Option<Built> {
        match self.pieces {
            0 | 1 => None,
            _ => self.layout.finish(sink),
        }
    }

    /// The file that belongs to all pieces of a NAR.
    #[must_use]
    pub fn of(pieces: &[Entry]) -> Option<Built> {
        let mut small = Self::default();
        for piece in pieces {
            small.add(piece, &mut drop);
        }
        small.finish(&mut drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::cut::tests::seeded;
    use crate::dedup::leaves;
    use crate::dedup::tests::read;
    use crate::hash::Sha256;
    use std::collections::HashMap;
    use std::vec::Vec;

    /// Any reader of UnixFS reads it, and its root follows from the index alone.
    #[test]
    fn it_is_the_small_pieces_in_order() {
        let lengths = (1..700_u64).map(|n| match n % 7 {
            0 => MAX_SMALL as usize + 1,
            3 => MAX_SMALL as usize,
            _ => n as usize,
        });
        let (mut blocks, mut pieces, mut expected) = (HashMap::new(), Vec::new(), Vec::new());
        for (seed, length) in (1..).zip(lengths) {
            let bytes = seeded(seed, length);
            if length <= MAX_SMALL as usize {
                expected.extend_from_slice(&bytes);
            }
            pieces.push(Entry {
                offset: 0,
                length: length as u32,
                compressed: length as u32,
                plain: Sha256::of(&bytes),
                leaves: [Sha256::of(&bytes)].into(),
            });
            for leaf in leaves(bytes.into()) {
                blocks.insert(*leaf.cid(), leaf);
            }
        }
        let mut small = SmallPieces::default();
        for piece in &pieces {
            small.add(piece, &mut |block: Block| {
                blocks.insert(*block.cid(), block);
            });
        }
        let built = small.finish(&mut |block: Block| {
            blocks.insert(*block.cid(), block);
        });
        assert_eq!(built, SmallPieces::of(&pieces));
        let built = built.unwrap();
        assert_eq!(built.size, expected.len() as u64);
        assert!(read(built.cid, &blocks) == expected);
        // 600 leaves: four nodes and the root.
        let nodes = blocks
            .keys()
            .filter(|cid| cid.codec() == crate::cid::DAG_PB);
        assert_eq!(nodes.count(), 5);
    }
}
