//! Reasons why an answer, or the next bytes of a body, are not available.

use interplanar_core::cid::Cid;

use crate::refusal::Refusal;

/// A block that the caller must look for before the request can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer needs block {0} first")]
pub struct Pending(pub Cid);

/// Why a body has no next bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// Look for this block, then repeat the call.
    #[error("the answer needs block {0} first")]
    Pending(Cid),
    /// The body ends here and is incomplete: the client must notice that.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
