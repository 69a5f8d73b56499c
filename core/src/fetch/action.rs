//! What the engine asks of its driver, and tells.

use super::{ByteRange, Fault, FetchError, TreeEntry};
use crate::block::Block;
use crate::cid::Cid;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Names a request within one [`Fetcher`](super::Fetcher).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a block whose hash is asked for, within one [`Fetcher`](super::Fetcher).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashTicket(pub u64);

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A file's blocks as a CARv1.
    Car,
    /// One block.
    Raw,
    /// The file itself, or a range of it.
    File,
}

/// What the driver has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look in the local store; answer with [`loaded`](super::Fetcher::loaded), at once or later.
    Load(Cid),
    /// Send a GET; answer with [`response`](super::Fetcher::response), [`data`](super::Fetcher::data) and
    /// [`end`](super::Fetcher::end), or [`failed`](super::Fetcher::failed).
    Request {
        /// Names it in the answers.
        id: RequestId,
        /// Which gateway of the pool, as an index in the order of [`GatewayPool::new`](super::GatewayPool::new).
        gateway: usize,
        /// The whole URL.
        url: String,
        /// The `Accept` header.
        accept: &'static str,
        /// The `Range` header: `bytes=from-to`. The last byte is always given.
        range: Option<ByteRange>,
        /// What is asked for.
        kind: RequestKind,
        /// No honest answer has more bytes; the engine cancels what has.
        max_bytes: u64,
    },
    /// Drop this request. What still comes for it is ignored.
    Cancel(RequestId),
    /// Compute the SHA-256 of these bytes; answer with [`hashed`](super::Fetcher::hashed), at once or later, in any order. Comes only
    /// where [`Options::hash_outside`](super::Options::hash_outside) asks for it.
    Hash {
        /// Names the block in the answer.
        ticket: HashTicket,
        /// The whole block.
        data: Bytes,
    },
    /// The next bytes of the file, verified, in order.
    Content(Bytes),
    /// The next entry of a tree ([`Fetcher::tree`](super::Fetcher::tree)), verified; the bytes that follow are its.
    Entry(TreeEntry),
    /// A verified block that came from a gateway: keep it if there is a store.
    Store(Block),
    /// Something to log or to show.
    Event(Event),
    /// Nothing to do until an answer comes, or until this time.
    Wait {
        /// Poll again then, in the milliseconds of `now_ms`. `None`: only an answer changes anything.
        until_ms: Option<u64>,
    },
    /// All content was handed out. Comes again at each further poll.
    Done(Summary),
    /// The fetch is over, without all of its content. Comes again at each further poll.
    Failed(FetchError),
}

/// Where a block came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The local store.
    Local,
    /// The gateway of this index.
    Gateway(usize),
}

/// What happens meanwhile.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The path of the URL leads to this CID.
    Resolved {
        /// Root of the file.
        cid: Cid,
    },
    /// The file's size is known (it is not verified until the last byte came).
    Size {
        /// Bytes of the whole file, whatever range was asked for.
        bytes: u64,
    },
    /// A block was verified and used.
    Progress {
        /// Where this block came from.
        from: Origin,
        /// Bytes of this block.
        block: u64,
        /// Blocks used so far.
        blocks: u64,
        /// Content handed out so far, in bytes.
        bytes: u64,
    },
    /// A gateway did something wrong and may be put aside for a while.
    GatewayFault {
        /// The gateway's index.
        gateway: usize,
        /// What it did.
        fault: Fault,
    },
}

/// What a fetch took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Content handed out, in bytes.
    pub bytes: u64,
    /// Blocks used, from anywhere.
    pub blocks: u64,
    /// Blocks used that the local store had.
    pub local_blocks: u64,
    /// Body bytes that gateways sent, used or not.
    pub network_bytes: u64,
    /// One for each gateway that was asked, by its index.
    pub gateways: Vec<GatewayUse>,
}

/// What one gateway did in a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayUse {
    /// The gateway's index.
    pub gateway: usize,
    /// Requests made to it.
    pub requests: u64,
    /// Blocks of it that were used.
    pub blocks: u64,
    /// Body bytes that it sent, used or not.
    pub bytes: u64,
    /// Its faults.
    pub faults: u64,
}
