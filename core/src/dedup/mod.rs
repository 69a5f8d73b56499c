//! The deduplicating NAR: pieces of a NAR that its neighbours have too, as one zstd frame and one UnixFS file.
//!
//! - [`Cutter`]: where a NAR is cut, around [`References`] and by content.
//!
//! All are without I/O.

mod cut;
mod scan;

pub use cut::{
    Cut, Cutter, MAX_JOIN, MAX_PIECE, MAX_THRESHOLD, MIN_PIECE, Parameters, Piece, Sizes,
};
pub use scan::{Found, MAX_HASHES, ReferenceError, References};
