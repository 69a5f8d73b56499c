//! Why there is no answer, or no next piece of one.

use interplanar_core::cid::Cid;

use crate::refusal::Refusal;

/// A block that somebody must look for before there is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {0} must be looked for first")]
pub struct Pending(pub Cid);

/// Why there is no next piece.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// Look for this block, then ask again.
    #[error("block {0} must be looked for first")]
    Pending(Cid),
    /// There will be none: the answer must not seem complete.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
