//! Finds the piece that holds a byte of a NAR. Loads only the needed parts of the chunk index.
//!
//! ```
//! use interplanar_core::dedup::{PieceEntry, IndexBuilder, Parameters, PieceLocation, PieceMap};
//! use interplanar_core::hash::Sha256;
//! let mut blocks = vec![];
//! let mut index = IndexBuilder::new(Parameters::default());
//! let piece = PieceEntry {
//!     offset: 0,
//!     length: 100,
//!     compressed: 50,
//!     plain: Sha256::of(b"plain"),
//!     leaves: vec![Sha256::of(b"leaf")],
//! };
//! index.add(piece.clone(), &mut |block| blocks.push(block));
//! index.finish(&mut |block| blocks.push(block));
//! let map = PieceMap::new(blocks.last().unwrap(), 100).unwrap();
//! assert_eq!(map.place(99), Some(PieceLocation::Piece(&piece)));
//! assert_eq!(map.place(100), None);
//! // The index must be of a NAR with the signed size.
//! assert!(PieceMap::new(blocks.last().unwrap(), 101).is_err());
//! ```

use super::index::{Index, IndexBody, IndexError, IndexPart, PieceEntry};
use super::plan::{covering, parts_covering};
use crate::block::Block;
use crate::cid::Cid;
use alloc::vec::Vec;

/// The pieces of one NAR, as far as they are loaded. Keeps the root of the index and one part in
/// memory.
#[derive(Debug, Clone)]
pub struct PieceMap {
    parts: Vec<IndexPart>,
    /// All pieces, or those of the part that was loaded last.
    pieces: Vec<PieceEntry>,
}

/// The location of a byte of a NAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceLocation<'a> {
    /// The byte is in this piece.
    Piece(&'a PieceEntry),
    /// The byte is in a piece of this part of the index, which must be loaded first.
    Part(Cid),
}

impl PieceMap {
    /// Reads the root of the index of a NAR with this signed size.
    ///
    /// # Errors
    /// [`IndexError`] if the block is not an index, or is one of a NAR with another size.
    pub fn new(root: &Block, nar_size: u64) -> Result<Self, IndexError> {
        let index = Index::of_nar(root.data(), nar_size)?;
        let (parts, pieces) = match index.body {
            IndexBody::Pieces(pieces) => (Vec::new(), pieces),
            IndexBody::Parts(parts) => (parts, Vec::new()),
        };
        Ok(Self { parts, pieces })
    }

    /// Returns the location of the byte at an offset. Returns `None` after the end.
    #[must_use]
    pub fn place(&self, at: u64) -> Option<PieceLocation<'_>> {
        let range = at..at.saturating_add(1);
        if let [piece] = covering(&self.pieces, range.clone()) {
            return Some(PieceLocation::Piece(piece));
        }
        let part = parts_covering(&self.parts, range).first()?;
        Some(PieceLocation::Part(part.cid))
    }

    /// Loads a part in place of the loaded one. Ignores a block that is not a part of this index.
    ///
    /// # Errors
    /// [`IndexError`] if the pieces don't match what the root says about the part.
    pub fn load(&mut self, block: &Block) -> Result<(), IndexError> {
        if let Some(part) = self.parts.iter().find(|part| part.cid == *block.cid()) {
            self.pieces = part.decode(block.data())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::{IndexBuilder, MAX_PIECES, Parameters};
    use crate::hash::Sha256;
    use std::collections::HashMap;
    use std::vec;

    #[test]
    fn a_part_is_loaded_when_a_piece_of_it_is_needed() {
        let (mut blocks, mut builder) = (HashMap::new(), IndexBuilder::new(Parameters::default()));
        let mut sink = |block: Block| drop(blocks.insert(*block.cid(), block));
        let count = MAX_PIECES as u64 + 10;
        for n in 0..count {
            let digest = Sha256::of(&n.to_le_bytes());
            let piece = PieceEntry {
                offset: 0,
                length: 3,
                compressed: 2,
                plain: digest,
                leaves: vec![digest],
            };
            builder.add(piece, &mut sink);
        }
        let root = builder.finish(&mut sink);
        let mut map = PieceMap::new(&blocks[&root], 3 * count).unwrap();
        let mut loaded = 0;
        // Forward and back.
        for at in [0, 3, 3 * count - 1, 4] {
            if let Some(PieceLocation::Part(cid)) = map.place(at) {
                map.load(&blocks[&cid]).unwrap();
                loaded += 1;
            }
            let Some(PieceLocation::Piece(piece)) = map.place(at) else {
                panic!("a piece at {at}");
            };
            assert_eq!(piece.offset, at / 3 * 3);
            assert_eq!(piece.plain, Sha256::of(&(at / 3).to_le_bytes()));
        }
        assert_eq!((loaded, map.place(3 * count)), (3, None));
        // A block that is not a part changes nothing.
        map.load(&Block::raw("".into())).unwrap();
        assert!(matches!(map.place(0), Some(PieceLocation::Piece(_))));
        assert_eq!(
            PieceMap::new(&blocks[&root], 7).unwrap_err(),
            IndexError::Size {
                pieces: 3 * count,
                expected: 7
            }
        );
    }
}
