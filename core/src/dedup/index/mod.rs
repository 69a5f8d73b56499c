//! The chunk index of a deduplicating NAR: the list of its pieces, in blocks beside the file.
//!
//! ```text
//! root   := { "cut": cut, "size": NarSize, "pieces": pieces, "version": 1 }     up to 4096 pieces
//!         | { "cut": cut, "size": NarSize, "parts": [ *part ], "version": 1 }   more
//! part   := [ link to a block of pieces, bytes of the NAR, number of pieces ]
//! pieces := [ *piece ]
//! piece  := [ bytes of the NAR, bytes compressed, SHA-256 of the bytes of the NAR, leaves ]
//! leaves := SHA-256 of each leaf in sequence; all leaves but the last have 1 MiB
//! cut    := [ threshold, join, file min, average, max, group min, average, max ]
//! ```
//! All blocks are DAG-CBOR in canonical form. The offset of a piece in the NAR is the sum of the
//! lengths before it, so offsets can't contradict each other. The CID of a leaf is version 1, raw,
//! sha2-256, so the index keeps only the digest. A CAR of the root with all its links therefore
//! holds the index and nothing more. The writer puts 4096 pieces in each part but the last. A block
//! stays below 1 MiB ([`MAX_PIECES`]).
//!
//! An index is not trusted. Reading it checks that its numbers agree with each other. Only hashing
//! the fetched pieces shows whether they are those of the NAR.
//!
//! ```
//! use interplanar_core::dedup::{IndexBody, PieceEntry, Index, IndexBuilder, Parameters};
//! use interplanar_core::hash::Sha256;
//! let mut builder = IndexBuilder::new(Parameters::LARGE);
//! let mut blocks = vec![];
//! let leaf = Sha256::of(b"compressed");
//! let piece = PieceEntry {
//!     offset: 0,
//!     length: 96,
//!     compressed: 40,
//!     plain: Sha256::of(b"plain"),
//!     leaves: vec![leaf],
//! };
//! builder.add(piece, &mut |block| blocks.push(block));
//! let root = builder.finish(&mut |block| blocks.push(block));
//! let index = Index::decode(blocks[0].data()).unwrap();
//! assert_eq!((index.nar_size, *blocks[0].cid()), (96, root));
//! let IndexBody::Pieces(pieces) = index.body else { panic!() };
//! assert_eq!(pieces[0].leaves, [leaf]);
//! ```

mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::IndexError;
pub use write::IndexBuilder;

use super::cut::{MAX_PIECE, Parameters};
use super::dag::MAX_LEAF;
use super::frame::{self, FrameError};
use crate::cid::{self, Cid, Version};
use crate::hash::Sha256;
use alloc::vec::Vec;

/// The version of the format.
const VERSION: u64 = 1;
/// Most pieces in one block. With 5 leaves each, the block has 858 KB.
pub const MAX_PIECES: usize = 4096;
/// Most parts of an index: enough for 16 Mi pieces.
pub const MAX_PARTS: usize = 4096;
/// Longest compressed piece, in bytes: the most that libzstd makes of [`MAX_PIECE`] bytes
/// (`ZSTD_compressBound`: 1/256 more).
pub const MAX_COMPRESSED: u32 = MAX_PIECE + MAX_PIECE / 256;

/// A piece, as the index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceEntry {
    /// Offset at which it starts in the NAR.
    pub offset: u64,
    /// Its bytes in the NAR: 1 to [`MAX_PIECE`].
    pub length: u32,
    /// Its bytes in the frame: 1 to [`MAX_COMPRESSED`].
    pub compressed: u32,
    /// SHA-256 of its bytes in the NAR.
    pub plain: Sha256,
    /// SHA-256 of each of its leaves.
    pub leaves: Vec<Sha256>,
}

impl PieceEntry {
    /// Returns the CIDs of its leaves.
    pub fn cids(&self) -> impl Iterator<Item = Cid> {
        let cid = |digest| cid::of_sha256(Version::V1, cid::RAW, digest);
        self.leaves.iter().map(cid)
    }

    /// Decodes and verifies the piece, given its leaves in sequence. Returns its bytes in the NAR.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes are not a piece, or not the one in the index.
    pub fn open(&self, leaves: &[u8]) -> Result<Vec<u8>, FrameError> {
        let plain = frame::decode(leaves, self.length)?;
        let matches = Sha256::of(&plain) == self.plain;
        matches.then_some(plain).ok_or(FrameError::Hash)
    }

    /// Returns the offset at which the next piece starts in the NAR.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// A block of pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPart {
    /// CID of the block.
    pub cid: Cid,
    /// Offset at which its first piece starts in the NAR.
    pub offset: u64,
    /// Bytes of its pieces in the NAR.
    pub length: u64,
    /// Number of its pieces: 1 to [`MAX_PIECES`].
    pub pieces: u32,
}

/// The root block of a chunk index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The parameters with which the NAR was cut.
    pub parameters: Parameters,
    /// Bytes of the NAR: the sum over all pieces.
    pub nar_size: u64,
    /// The pieces, or the blocks that hold them.
    pub body: IndexBody,
}

/// The content of a root block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexBody {
    /// All pieces.
    Pieces(Vec<PieceEntry>),
    /// Blocks of pieces, for [`IndexPart::decode`].
    Parts(Vec<IndexPart>),
}

/// Returns the number of leaves of a piece with this many compressed bytes.
fn leaves(compressed: u32) -> usize {
    usize::try_from(compressed)
        .unwrap_or(usize::MAX)
        .div_ceil(MAX_LEAF)
}
