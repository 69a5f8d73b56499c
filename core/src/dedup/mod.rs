//! The deduplicating NAR: a NAR cut into pieces that similar NARs share, as one zstd frame and one
//! UnixFS file.
//!
//! ```text
//! NAR ─► Cutter ─► pieces ─► each compressed alone ─► leaves ─► Dag: the .nar.zst
//!                     │                                 │
//!                     └──────────── hashed ─────────────┴─────► IndexBuilder: the chunk index
//! ```
//! The `.nar.zst` consists of a header leaf, the pieces and a tail leaf.
//!
//! - [`Cutter`]: decides where a NAR is cut, around [`References`] and by content.
//! - [`frame`]: the zstd frame made of pieces that are compressed alone, and how to decode one
//!   piece.
//! - [`Dag`]: the UnixFS file of that frame.
//! - [`Index`]: the chunk index, which lists the pieces.
//! - [`SmallPieces`]: a second file that holds only the small pieces.
//! - [`PieceMap`]: finds the piece that holds a byte of the NAR.
//! - [`Plan`]: lists the pieces that must be fetched.
//! - [`Route`]: the requests that fetch them.
//! - [`TreeBuilder`]: the other form, a plain NAR over the blocks of its files. A UnixFS directory
//!   of the item shares these blocks.
//!
//! Nothing here does I/O or compresses. The caller compresses pieces with a library that can forbid
//! repeat offsets.

/// The narinfo field that holds the CID of a chunk index: `ChunkIndex: bafy…`. It follows the
/// signed fields. Like every CID it is a hint.
pub const FIELD: &str = "ChunkIndex";

mod cut;
mod dag;
pub mod frame;
mod index;
mod map;
mod plan;
mod route;
mod scan;
mod small;
#[cfg(test)]
mod tests;
mod tree;

pub use cut::{
    Cut, Cutter, MAX_JOIN, MAX_PIECE, MAX_THRESHOLD, MIN_PIECE, Parameters, Piece, Sizes,
};
pub use dag::{Dag, MAX_LEAF, MAX_NESTED, MIN_DIRECTORY, leaves};
pub use index::{
    Index, IndexBody, IndexBuilder, IndexError, IndexPart, MAX_COMPRESSED, MAX_PARTS, MAX_PIECES,
    PieceEntry,
};
pub use map::{PieceLocation, PieceMap};
pub use plan::{Missing, PieceSource, Plan, covering, parts_covering};
pub use route::{Ask, Estimate, Form, Forms, MAX_RANGE, Prefer, Route};
pub use scan::{MAX_HASHES, ReferenceError, ReferenceMatch, References};
pub use small::{MAX_SMALL, SMALL_FIELD, SmallPieces};
pub use tree::{BuiltTree, MIN_TREE_FILE, TREE_FIELD, TreeBuilder, TreeError};
