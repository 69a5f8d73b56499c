//! The errors of chunk indexes.

use crate::dag_cbor::Unexpected;

/// Why a block is not a chunk index or a part of one. Offsets count bytes of the block.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The block is not the DAG-CBOR of an index, or is not in canonical form.
    #[error("byte {at}: expected {expected}")]
    Unexpected {
        /// Offset of the fault.
        at: usize,
        /// What the format requires there.
        expected: &'static str,
    },
    /// The index has another version of the format.
    #[error("the chunk index has the unknown version {version}")]
    Version {
        /// The version.
        version: u64,
    },
    /// The index has parameters that the cutter doesn't allow.
    #[error("the chunk index has cutter parameters out of bounds")]
    Parameters,
    /// There are more than [`super::MAX_PIECES`] pieces in a block, more than [`super::MAX_PARTS`]
    /// parts, or no pieces in a part.
    #[error("the chunk index has {count} pieces or parts, which is out of bounds")]
    Count {
        /// Number of pieces or parts.
        count: u64,
    },
    /// A piece has an impossible length, or a wrong number of leaves.
    #[error("piece {index} of the chunk index has impossible lengths")]
    Piece {
        /// Index of the piece in the block, from 0.
        index: usize,
    },
    /// The pieces have other bytes in total than the index says.
    #[error("the pieces have {pieces} bytes in total, not {expected}")]
    Size {
        /// Bytes of all pieces.
        pieces: u64,
        /// Bytes that the index says.
        expected: u64,
    },
}

impl From<Unexpected> for IndexError {
    fn from(unexpected: Unexpected) -> Self {
        Self::Unexpected {
            at: unexpected.at,
            expected: unexpected.expected,
        }
    }
}
