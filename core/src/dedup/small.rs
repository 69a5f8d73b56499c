//! A second file that holds only the small pieces of a NAR, over the same leaves. With it a client
//! fetches small pieces in one request instead of one request per leaf.
//!
//! ```text
//! the .nar.zst      header │ small │ large │ small │ large │ large │ small │ tail
//! the small pieces           small           small                   small
//! ```
//! A rebuild changes small pieces between large ones that stay: references, heads, section tables.
//! A range of the `.nar.zst` with all of them holds everything else as well. A range of this file
//! holds little more than them. The file costs its nodes: about 50 bytes for each small piece. Its
//! layout is that of [`Dag`](super::Dag) without directories. So the client computes its root from
//! the index before it requests the file.
//!
//! ```
//! use interplanar_core::dedup::{PieceEntry, MAX_SMALL, SmallPieces};
//! use interplanar_core::hash::Sha256;
//! let piece = |compressed, name: &[u8]| PieceEntry {
//!     offset: 0,
//!     length: compressed,
//!     compressed,
//!     plain: Sha256::of(name),
//!     leaves: vec![Sha256::of(name)],
//! };
//! let pieces = [piece(100, b"a"), piece(MAX_SMALL + 1, b"large"), piece(7, b"b")];
//! let built = SmallPieces::of(&pieces).unwrap();
//! assert_eq!(built.size, 107);
//! // A single small piece needs no such file.
//! assert_eq!(SmallPieces::of(&pieces[..2]), None);
//! ```

use super::index::PieceEntry;
use crate::block::Block;
use crate::cid::Version;
use crate::unixfs::{Built, Layout, MAX_LINKS};

/// The narinfo field that holds the root of this file: `SmallPieces: bafy…`. It follows the signed
/// fields. Like every CID it is a hint; it only says that somebody has the nodes.
pub const SMALL_FIELD: &str = "SmallPieces";

/// Longest small piece, in compressed bytes: what a connection of 20 Mbit/s transfers in a round
/// trip of 25 ms.
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
            layout: Layout::new(Version::V1, MAX_LINKS),
            pieces: 0,
        }
    }
}

impl SmallPieces {
    /// Returns whether the file holds this piece.
    #[must_use]
    pub fn has(piece: &PieceEntry) -> bool {
        piece.compressed <= MAX_SMALL
    }

    /// Adds the next piece of the NAR, if it is small. Sends full nodes to `sink`.
    pub fn add(&mut self, piece: &PieceEntry, sink: &mut impl FnMut(Block)) {
        if !Self::has(piece) {
            return;
        }
        let size = u64::from(piece.compressed);
        // A small piece has a single leaf, because it is shorter than the longest leaf.
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

    /// Ends the file. Sends the root to `sink` last. Returns `None` if the NAR has fewer than two
    /// small pieces.
    pub fn finish(self, sink: &mut impl FnMut(Block)) -> Option<Built> {
        match self.pieces {
            0 | 1 => None,
            _ => self.layout.finish(sink),
        }
    }

    /// Computes the root of the file from all pieces of a NAR.
    #[must_use]
    pub fn of(pieces: &[PieceEntry]) -> Option<Built> {
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

    /// Any UnixFS reader can read it, and its root follows from the index alone.
    #[test]
    fn the_file_is_the_small_pieces_in_order() {
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
            pieces.push(PieceEntry {
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
