//! What can be wrong with a chunk index, and where.

use crate::dag_cbor::Unexpected;

/// Why a block is no chunk index or part of one. Offsets count bytes of the block.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not the DAG-CBOR of an index, or not in its canonical form.
    #[error("byte {at}: expected {expected}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Another version of the format.
    #[error("version {version} of the chunk index is not known")]
    Version {
        /// The version.
        version: u64,
    },
    /// Parameters that no cutter takes.
    #[error("the parameters of the cutter are out of bounds")]
    Parameters,
    /// More pieces than [`super::MAX_PIECES`] in a block, or more parts than [`super::MAX_PARTS`]; or no piece in a part.
    #[error("{count} pieces or parts are out of bounds")]
    Count {
        /// How many.
        count: u64,
    },
    /// A piece with an impossible length, or not as many leaves as it needs; its place in the block, from 0.
    #[error("piece {index} has lengths that can't be")]
    Piece {
        /// Which one.
        index: usize,
    },
    /// The pieces don't take the bytes that the index says.
    #[error("the pieces take {pieces} bytes and not {expected}")]
    Size {
        /// Bytes of all pieces.
        pieces: u64,
        /// What was said.
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
