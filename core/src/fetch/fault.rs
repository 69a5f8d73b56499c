//! What gateways do wrong, and how a fetch fails.

use crate::cid::{self, Cid, CidError};
use crate::unixfs::UnixFsError;
use alloc::boxed::Box;

/// What a gateway did wrong in one request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It doesn't have the block or path (404, 410).
    #[error("does not have it (status {0})")]
    NotFound(u16),
    /// It doesn't answer with a CAR (400, 405, 406, 415, 501); its raw blocks may still do.
    #[error("refuses CAR requests (status {0})")]
    CarRefused(u16),
    /// It doesn't answer with the file, or not with the range of it that was asked for; its blocks may still do.
    #[error("refuses files (status {0})")]
    FileRefused(u16),
    /// Any other status that isn't 200.
    #[error("answered status {0}")]
    Status(u16),
    /// A block whose hash is not what its CID says.
    #[error("sent wrong bytes for {}", cid::text(.0))]
    WrongHash(Cid),
    /// The answer ended before all that was asked for had come.
    #[error("ended its answer too early")]
    Truncated,
    /// The answer to a CAR request is something else, by its content type or its bytes (an HTML page, for example).
    #[error("answered something that is not a CAR")]
    NotCar,
    /// The answer to a block request is a page of text.
    #[error("answered something that is not a block")]
    NotBlock,
    /// The answer is larger than what was asked for can be.
    #[error("sent more than was asked for")]
    TooLarge,
    /// Too many blocks that belong to nothing that was asked for, or that came far too early.
    #[error("sent blocks that nobody asked for")]
    Unasked,
    /// No byte for a long time.
    #[error("stalled")]
    Stalled,
    /// Bytes, but fewer than the least rate while another gateway did better, or no whole block for very long.
    #[error("is too slow")]
    TooSlow,
    /// Not a byte yet when another gateway, asked later, had already delivered.
    #[error("had not answered when another had delivered")]
    Outrun,
    /// No connection.
    #[error("cannot be connected to")]
    Connect,
    /// The driver's own time limit.
    #[error("timed out")]
    Timeout,
    /// The connection broke.
    #[error("broke the connection")]
    Io,
}

/// How long a fault puts a gateway aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Not at all: it only ranks lower.
    Mild,
    /// As any network may fail.
    Transient,
    /// It sent what it must not send: longest, and not asked again in this fetch.
    Lie,
}

impl Fault {
    pub(super) fn severity(&self) -> Severity {
        match self {
            Fault::NotFound(_) | Fault::CarRefused(_) | Fault::FileRefused(_) => Severity::Mild,
            Fault::WrongHash(_) | Fault::NotCar | Fault::NotBlock | Fault::TooLarge => {
                Severity::Lie
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

/// Why the driver could not finish a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection (name, route, refused, TLS).
    Connect,
    /// The driver's own time limit.
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

/// Why a fetch ended without its content.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The pool is empty and the local store doesn't have the block.
    #[error("{} is not stored here and there is no gateway to ask", cid::text(cid))]
    NoGateways {
        /// The block.
        cid: Cid,
    },
    /// Every gateway says that it doesn't have the block.
    #[error("no gateway has {}", cid::text(cid))]
    NotFound {
        /// The block.
        cid: Cid,
    },
    /// Every gateway failed, or is put aside for longer than [`Options::patience_ms`](super::Options::patience_ms).
    #[error("no gateway could give {}", cid::text(cid))]
    Unavailable {
        /// The block.
        cid: Cid,
        /// What the last one that was asked for it did, or for more than it; nothing where all were put aside before.
        last: Option<Box<Fault>>,
    },
    /// [`Options::max_requests`](super::Options::max_requests) were made, and this block is still missing.
    #[error("no request is left for {}", cid::text(cid))]
    NoRequestsLeft {
        /// The block.
        cid: Cid,
    },
    /// Verified blocks that make no file: malformed, over the budget, a directory, or a path that leads nowhere.
    #[error(transparent)]
    Walk(#[from] UnixFsError),
    /// A CID whose hash can't be checked, in the URL or in a verified block.
    #[error(transparent)]
    Cid(#[from] CidError),
}
