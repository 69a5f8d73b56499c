//! The deduplicating NAR: pieces of a NAR that its neighbours have too, as one zstd frame and one UnixFS file.
//!
//! ```text
//! NAR ─► Cutter ─► pieces ─► compressed, each on its own ─► leaves ─► Dag: the .nar.zst      header leaf, pieces, tail leaf
//!                     └────────── hashed ─────────────────────┴────► IndexBuilder: the chunk index beside it
//! ```
//! - [`Cutter`]: where a NAR is cut, around [`References`] and by content;
//! - [`frame`]: the zstd frame that is made of pieces compressed on their own, and their decoding one by one;
//! - [`Dag`]: the UnixFS file of that frame;
//! - [`Index`]: what each piece is;
//! - [`SmallPieces`]: the small pieces once more, as a file of their own;
//! - [`PieceMap`]: which piece has a byte of the NAR; [`Plan`]: which pieces are to be fetched; [`Route`]: by which requests;
//! - [`TreeBuilder`]: the other form, the plain NAR over the blocks of its files, which a UnixFS directory shares.
//!
//! All are without I/O. Compressing is the caller's: it needs a library that can forbid repeat offsets.

/// The field of a narinfo, behind what is signed, that holds the CID of a chunk index: `ChunkIndex: bafy…`. It is a hint like any CID.
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
    Body, Entry, Index, IndexBuilder, IndexError, MAX_COMPRESSED, MAX_PARTS, MAX_PIECES, Part,
};
pub use map::{PieceMap, Place};
pub use plan::{Missing, Plan, Way, covering, parts_covering};
pub use route::{Ask, Estimate, Form, Forms, MAX_RANGE, Prefer, Route};
pub use scan::{Found, MAX_HASHES, ReferenceError, References};
pub use small::{MAX_SMALL, SMALL_FIELD, SmallPieces};
pub use tree::{MIN_TREE_FILE, TREE_FIELD, Tree, TreeBuilder, TreeError};
