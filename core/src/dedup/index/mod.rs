//! The chunk index of a deduplicating NAR: what each piece is, in blocks beside the file.
//!
//! ```text
//! root   := { "cut": cut, "size": NarSize, "pieces": pieces, "version": 1 }        up to 4096 pieces
//!         | { "cut": cut, "size": NarSize, "parts": [ *part ], "version": 1 }      more
//! part   := [ link to a block of pieces, bytes of the NAR, number of pieces ]
//! pieces := [ *piece ]
//! piece  := [ bytes of the NAR, bytes compressed, SHA-256 of the bytes of the NAR, leaves ]
//! leaves := SHA-256 of each leaf, one after the other; full leaves of 1 MiB but for the last
//! cut    := [ threshold, join, file min, average, max, group min, average, max ]
//! ```
//! All is DAG-CBOR in its canonical form. Where a piece starts in the NAR is the sum of the lengths before it, so offsets can't contradict each other.
//! A leaf's CID is version 1, raw, sha2-256: only the digest is kept, and a CAR of the root with all its links is the index and no
//! more. A writer puts 4096 pieces in each part but the last; a block stays below 1 MiB ([`MAX_PIECES`]).
//!
//! An index is a stranger's word. Its numbers agree with each other when it is read; whether the pieces are those of the NAR is known when they are
//! there and hashed.
//!
//! ```
//! use interplanar_core::dedup::{Body, Entry, Index, IndexBuilder, Parameters};
//! use interplanar_core::hash::Sha256;
//! let mut builder = IndexBuilder::new(Parameters::LARGE);
//! let mut blocks = vec![];
//! let leaf = Sha256::of(b"compressed");
//! builder.add(Entry { offset: 0, length: 96, compressed: 40, plain: Sha256::of(b"plain"), leaves: vec![leaf] }, &mut |block| blocks.push(block));
//! let root = builder.finish(&mut |block| blocks.push(block));
//! let index = Index::decode(blocks[0].data()).unwrap();
//! assert_eq!((index.nar_size, *blocks[0].cid()), (96, root));
//! let Body::Pieces(pieces) = index.body else { panic!() };
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
/// Pieces in one block at most: with 5 leaves each, 858 KB.
pub const MAX_PIECES: usize = 4096;
/// Parts of an index at most: 16 Mi pieces.
pub const MAX_PARTS: usize = 4096;
/// Longest compressed piece: what libzstd makes at most of [`MAX_PIECE`] bytes (`ZSTD_compressBound`: 1/256 more).
pub const MAX_COMPRESSED: u32 = MAX_PIECE + MAX_PIECE / 256;

/// What the index says of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it starts in the NAR.
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

impl Entry {
    /// The CIDs of its leaves.
    pub fn cids(&self) -> impl Iterator<Item = Cid> {
        let cid = |digest| cid::of_sha256(Version::V1, cid::RAW, digest);
        self.leaves.iter().map(cid)
    }

    /// The bytes of the piece, out of its leaves one after the other.
    ///
    /// # Errors
    /// [`FrameError`] for what is no piece, or not the one that the index means.
    pub fn open(&self, leaves: &[u8]) -> Result<Vec<u8>, FrameError> {
        let plain = frame::decode(leaves, self.length)?;
        let right = Sha256::of(&plain) == self.plain;
        right.then_some(plain).ok_or(FrameError::Hash)
    }

    /// Where the next piece starts in the NAR.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// A block of pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The block.
    pub cid: Cid,
    /// Where its first piece starts in the NAR.
    pub offset: u64,
    /// Bytes of the NAR in its pieces.
    pub length: u64,
    /// How many pieces it has: 1 to [`MAX_PIECES`].
    pub pieces: u32,
}

/// The root block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// How the NAR was cut.
    pub parameters: Parameters,
    /// Bytes of the NAR: what all pieces take.
    pub nar_size: u64,
    /// The pieces, or where they are.
    pub body: Body,
}

/// What a root block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All pieces.
    Pieces(Vec<Entry>),
    /// Blocks of pieces, for [`Part::decode`].
    Parts(Vec<Part>),
}

/// Leaves of so many compressed bytes.
fn leaves(compressed: u32) -> usize {
    usize::try_from(compressed)
        .unwrap_or(usize::MAX)
        .div_ceil(MAX_LEAF)
}
