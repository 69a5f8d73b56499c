//! Faults of gateways, and errors of a fetch.

use crate::cid::{self, Cid, CidError};
use crate::unixfs::UnixFsError;
use alloc::boxed::Box;

/// What a gateway did wrong in one request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The gateway doesn't have the block or path (status 404 or 410).
    #[error("does not have it (status {0})")]
    NotFound(u16),
    /// The gateway doesn't send CARs (status 400, 405, 406, 415 or 501). It may still send blocks.
    #[error("refuses CAR requests (status {0})")]
    CarRefused(u16),
    /// The gateway doesn't send the file, or the requested range of it. It may still send blocks.
    #[error("refuses files (status {0})")]
    FileRefused(u16),
    /// The gateway answered any other status except 200.
    #[error("answered status {0}")]
    Status(u16),
    /// The gateway sent a block whose hash doesn't match its CID.
    #[error("sent wrong bytes for {}", cid::text(.0))]
    WrongHash(Cid),
    /// The answer ended before everything that was requested.
    #[error("ended its answer too early")]
    Truncated,
    /// The answer to a CAR request is not a CAR, by its content type or its bytes (an HTML page,
    /// for example).
    #[error("sent something that is not a CAR")]
    NotCar,
    /// The answer to a block request is a page of text.
    #[error("sent something that is not a block")]
    NotBlock,
    /// The answer is longer than any correct answer.
    #[error("sent more than was requested")]
    TooLarge,
    /// The gateway sent too many blocks that were not requested, or that are needed far later.
    #[error("sent blocks that were not requested")]
    Unasked,
    /// The gateway sent no byte for a long time.
    #[error("stalled")]
    Stalled,
    /// The gateway was below the minimum rate while another one was faster, or sent no whole block
    /// for a very long time.
    #[error("is too slow")]
    TooSlow,
    /// The gateway had sent no byte when another gateway, asked later, had already delivered.
    #[error("did not answer before another gateway delivered")]
    Outrun,
    /// The connection could not be made.
    #[error("can't be reached")]
    Connect,
    /// The driver's time limit passed.
    #[error("timed out")]
    Timeout,
    /// The connection broke.
    #[error("closed the connection during its answer")]
    Io,
}

/// How long a fault keeps a gateway from being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Not at all: the gateway only ranks lower.
    Mild,
    /// A usual back-off: networks fail.
    Transient,
    /// The gateway sent wrong data: the longest back-off, and no more requests in this fetch if
    /// there is another gateway.
    WrongData,
}

impl Fault {
    pub(super) fn severity(&self) -> Severity {
        match self {
            Fault::NotFound(_) | Fault::CarRefused(_) | Fault::FileRefused(_) => Severity::Mild,
            Fault::WrongHash(_) | Fault::NotCar | Fault::NotBlock | Fault::TooLarge => {
                Severity::WrongData
            }
            Fault::Status(_)
            | Fault::Truncated
            | Fault::Unasked
            | Fault::Stalled
            | Fault::TooSlow
            | Fault::Outrun
            | Fault::Connect
            | Fault::Timeout
            | Fault::Io => Severity::Transient,
        }
    }
}

/// Why the driver could not complete a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The connection could not be made (name, route, refused, TLS).
    Connect,
    /// The driver's time limit passed.
    Timeout,
    /// The connection broke.
    Io,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect => Fault::Connect,
            Failure::Timeout => Fault::Timeout,
            Failure::Io => Fault::Io,
        }
    }
}

/// Why a fetch failed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The local store doesn't have the block, and there are no gateways.
    #[error(
        "{} is not stored locally, and there is no gateway to ask",
        cid::text(cid)
    )]
    NoGateways {
        /// The missing block.
        cid: Cid,
    },
    /// Every gateway reported that it doesn't have the block.
    #[error("no gateway has {}", cid::text(cid))]
    NotFound {
        /// The missing block.
        cid: Cid,
    },
    /// Every gateway failed, or has a back-off longer than
    /// [`Options::patience_ms`](super::Options::patience_ms).
    #[error("no gateway could deliver {}", cid::text(cid))]
    Unavailable {
        /// The missing block.
        cid: Cid,
        /// The last fault of a gateway in a request for this block or for more than it. `None` if
        /// no gateway could be asked.
        last: Option<Box<Fault>>,
    },
    /// The fetch made [`Options::max_requests`](super::Options::max_requests) requests, and this
    /// block is still missing.
    #[error(
        "the limit of requests was reached before {} was fetched",
        cid::text(cid)
    )]
    NoRequestsLeft {
        /// The missing block.
        cid: Cid,
    },
    /// The verified blocks are not the file that was requested: malformed, over the budget, a
    /// directory, or a path that doesn't exist.
    #[error(transparent)]
    Walk(#[from] UnixFsError),
    /// A CID in the URL or in a verified block has a hash that can't be checked.
    ///
    #[error(transparent)]
    Cid(#[from] CidError),
    /// The driver stopped before the end of the fetch.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl FetchError {
    /// Whether verified blocks show that the CID doesn't name what was requested. No other gateway
    /// and no later fetch can help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Walk(_) | Self::Cid(_))
    }
}
