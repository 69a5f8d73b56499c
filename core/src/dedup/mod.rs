//! The deduplicating NAR: pieces of a NAR that its neighbours have too, as one zstd frame and one UnixFS file.
//!
//! - [`Cutter`]: where a NAR is cut, around [`References`] and by content;
//! - [`frame`]: the zstd frame that is made of pieces compressed on their own;
//! - [`Dag`]: the UnixFS file of that frame.
//!
//! All are without I/O.

mod cut;
mod dag;
pub mod frame;
mod scan;

pub use cut::{
    Cut, Cutter, MAX_JOIN, MAX_PIECE, MAX_THRESHOLD, MIN_PIECE, Parameters, Piece, Sizes,
};
pub use dag::{Dag, MAX_LEAF, MAX_NESTED, MIN_DIRECTORY, leaves};
pub use scan::{Found, MAX_HASHES, ReferenceError, References};
