//! What the engine asks of its driver, and what it reports.

use super::{ByteRange, Fault, FetchError, TreeEntry};
use crate::block::Block;
use crate::cid::Cid;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Identifies a request within one [`Fetcher`](super::Fetcher).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Identifies a block whose hash the driver computes, within one [`Fetcher`](super::Fetcher).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashTicket(pub u64);

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// The blocks of a file or a tree, as a CARv1.
    Car,
    /// One block.
    Raw,
    /// The file itself, or a range of it.
    File,
}

/// What the driver should do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look the block up in the local store. Report the result with
    /// [`loaded`](super::Fetcher::loaded), at once or later.
    Load(Cid),
    /// Send a GET request. Report the answer with [`response`](super::Fetcher::response),
    /// [`data`](super::Fetcher::data) and [`end`](super::Fetcher::end), or an error with
    /// [`failed`](super::Fetcher::failed).
    Request {
        /// Identifies the request in the reports.
        id: RequestId,
        /// Index of the gateway in the pool, in the order of
        /// [`GatewayPool::new`](super::GatewayPool::new).
        gateway: usize,
        /// The whole URL.
        url: String,
        /// Value of the `Accept` header.
        accept: &'static str,
        /// Value of the `Range` header: `bytes=from-to`. The last byte is always given.
        range: Option<ByteRange>,
        /// What is requested.
        kind: RequestKind,
        /// Maximum length of a correct body, in bytes. The engine cancels a longer answer.
        max_bytes: u64,
    },
    /// Drop this request. Further reports about it are ignored.
    Cancel(RequestId),
    /// Compute the SHA-256 of these bytes. Report it with [`hashed`](super::Fetcher::hashed), at
    /// once or later, in any order. Only [`Options::hash_outside`](super::Options::hash_outside)
    /// enables this action.
    Hash {
        /// Identifies the block in the report.
        ticket: HashTicket,
        /// The whole block.
        data: Bytes,
    },
    /// Pass on the next bytes of the file: verified and in order.
    Content(Bytes),
    /// Start the next entry of a tree ([`Fetcher::tree`](super::Fetcher::tree)), verified. The
    /// content that follows belongs to it.
    Entry(TreeEntry),
    /// Put a verified block from a gateway into the local store, if there is one.
    Store(Block),
    /// Log or show an event.
    Event(Event),
    /// Wait for a result, or until this time.
    Wait {
        /// When to poll again, in the clock of `now_ms` (milliseconds). `None`: only a report
        /// changes anything.
        until_ms: Option<u64>,
    },
    /// All content was returned. Every further poll returns this again.
    Done(Summary),
    /// The fetch failed before all content was returned. Every further poll returns this again.
    Failed(FetchError),
}

/// Where a block came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The local store.
    Local,
    /// The gateway with this index.
    Gateway(usize),
}

/// What happens during a fetch.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The path of the URL was resolved to this CID.
    Resolved {
        /// Root of the file.
        cid: Cid,
    },
    /// The size of the file is known. It is verified only once the last byte has arrived.
    Size {
        /// Bytes of the whole file, whatever range was requested.
        bytes: u64,
    },
    /// A block was verified and used.
    Progress {
        /// Where this block came from.
        from: Origin,
        /// Bytes of this block.
        block: u64,
        /// Number of blocks used so far.
        blocks: u64,
        /// Bytes of content returned so far.
        bytes: u64,
    },
    /// A gateway had a fault. It may get a back-off.
    GatewayFault {
        /// Index of the gateway.
        gateway: usize,
        /// The fault.
        fault: Fault,
    },
}

/// Totals of a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of content that were returned.
    pub bytes: u64,
    /// Number of blocks used, from all origins.
    pub blocks: u64,
    /// Number of blocks used from the local store.
    pub local_blocks: u64,
    /// Body bytes that gateways sent, used or not.
    pub network_bytes: u64,
    /// What each gateway did, by its index, for the gateways that were asked.
    pub gateways: Vec<GatewayUse>,
}

/// What one gateway did in a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayUse {
    /// Index of the gateway.
    pub gateway: usize,
    /// Number of requests made to it.
    pub requests: u64,
    /// Number of its blocks that were used.
    pub blocks: u64,
    /// Body bytes that it sent, used or not.
    pub bytes: u64,
    /// Number of its faults.
    pub faults: u64,
}
