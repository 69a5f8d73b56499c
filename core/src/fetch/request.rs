//! State of an open request.

use super::early::SeenBlocks;
use super::plain_file::PlainFile;
use super::small_map::SmallMap;
use super::{Fault, RequestId};
use crate::car::Reader;
use crate::cid::Cid;
use bytes::{Bytes, BytesMut};

pub(super) type Requests = SmallMap<RequestId, Request>;

/// State of the answer to a CAR request.
#[derive(Debug, Default)]
pub(super) struct CarResponse {
    pub(super) reader: Reader,
    /// Blocks that it delivered.
    pub(super) seen: SeenBlocks,
    /// Bytes of useless blocks since the last useful one.
    pub(super) useless: u64,
    /// The first wanted block at the time when a later one arrived, and the number of later blocks
    /// since.
    pub(super) waits_for: Option<Cid>,
    pub(super) passed: u32,
}

/// Number of later blocks after which a wanted block counts as left out of the CAR.
const MAX_PASSED: u32 = 32;

impl CarResponse {
    /// Whether the stream has passed this block, so that it won't deliver it (again).
    pub(super) fn has_passed(&self, cid: &Cid) -> bool {
        let left_out = self.passed >= MAX_PASSED && self.waits_for.as_ref() == Some(cid);
        left_out || self.seen.contains(cid)
    }
}

/// State of the answer to a block request. A body of one piece is not copied.
#[derive(Debug)]
pub(super) struct RawResponse {
    pub(super) cid: Cid,
    first: Bytes,
    more: BytesMut,
}

impl RawResponse {
    pub(super) fn new(cid: Cid) -> Self {
        Self {
            cid,
            first: Bytes::new(),
            more: BytesMut::new(),
        }
    }

    pub(super) fn push(&mut self, data: &Bytes) {
        if self.first.is_empty() && self.more.is_empty() {
            self.first = data.clone();
        } else {
            if self.more.is_empty() {
                self.more.extend_from_slice(&self.first);
                self.first = Bytes::new();
            }
            self.more.extend_from_slice(data);
        }
    }

    pub(super) fn finish(self) -> Bytes {
        if self.more.is_empty() {
            self.first
        } else {
            self.more.freeze()
        }
    }
}

#[derive(Debug)]
pub(super) enum ResponseBody {
    Car(CarResponse),
    Raw(RawResponse),
    PlainFile(PlainFile),
}

/// How an answer ended, according to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseEnd {
    Complete,
    Failed(Fault),
}

/// An open request. All times are in
/// [`FetchClock::counted_ms`](super::clock::FetchClock::counted_ms).
#[derive(Debug)]
pub(super) struct Request {
    pub(super) gateway: usize,
    pub(super) body: ResponseBody,
    pub(super) max_bytes: u64,
    /// Whether only a range of the file was requested.
    pub(super) ranged: bool,
    pub(super) sent_ms: u64,
    pub(super) first_byte_ms: Option<u64>,
    pub(super) last_byte_ms: u64,
    /// Time of the last block that it delivered.
    pub(super) last_block_ms: u64,
    /// Start of the interval over which the rate is measured, and the bytes since then.
    pub(super) window_ms: u64,
    pub(super) window_bytes: u64,
    pub(super) bytes: u64,
    /// Number of its blocks that were used, and their bytes.
    pub(super) used: u64,
    pub(super) used_bytes: u64,
    /// Whether another gateway was asked because this one sent nothing.
    pub(super) raced: bool,
    /// Whether another gateway was asked because this one is below the minimum rate.
    pub(super) slow: bool,
    /// Set when no more input follows. The request stays while its blocks wait for their hashes.
    pub(super) end: Option<ResponseEnd>,
}

impl Request {
    pub(super) fn new(gateway: usize, body: ResponseBody, max_bytes: u64, at_ms: u64) -> Self {
        Self {
            gateway,
            body,
            max_bytes,
            ranged: false,
            sent_ms: at_ms,
            first_byte_ms: None,
            last_byte_ms: at_ms,
            last_block_ms: at_ms,
            window_ms: at_ms,
            window_bytes: 0,
            bytes: 0,
            used: 0,
            used_bytes: 0,
            raced: false,
            slow: false,
            end: None,
        }
    }

    pub(super) fn car(&self) -> Option<&CarResponse> {
        match &self.body {
            ResponseBody::Car(car) => Some(car),
            ResponseBody::Raw(_) | ResponseBody::PlainFile(_) => None,
        }
    }

    pub(super) fn car_mut(&mut self) -> Option<&mut CarResponse> {
        match &mut self.body {
            ResponseBody::Car(car) => Some(car),
            ResponseBody::Raw(_) | ResponseBody::PlainFile(_) => None,
        }
    }

    pub(super) fn plain(&self) -> Option<&PlainFile> {
        match &self.body {
            ResponseBody::PlainFile(plain) => Some(plain),
            ResponseBody::Raw(_) | ResponseBody::Car(_) => None,
        }
    }

    pub(super) fn plain_mut(&mut self) -> Option<&mut PlainFile> {
        match &mut self.body {
            ResponseBody::PlainFile(plain) => Some(plain),
            ResponseBody::Raw(_) | ResponseBody::Car(_) => None,
        }
    }

    /// Whether the answer has many blocks: a CAR or a file.
    pub(super) fn is_stream(&self) -> bool {
        !matches!(self.body, ResponseBody::Raw(_))
    }

    /// The requested block, for a block request.
    pub(super) fn raw_cid(&self) -> Option<&Cid> {
        match &self.body {
            ResponseBody::Raw(raw) => Some(&raw.cid),
            ResponseBody::Car(_) | ResponseBody::PlainFile(_) => None,
        }
    }

    /// Notes that bytes arrived.
    pub(super) fn received(&mut self, bytes: u64, at_ms: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        self.last_byte_ms = at_ms;
    }

    /// Restarts the time limits, while the driver doesn't read this answer.
    pub(super) fn pause(&mut self, at_ms: u64) {
        self.last_byte_ms = at_ms;
        self.last_block_ms = at_ms;
        self.window_ms = at_ms;
        self.window_bytes = 0;
    }

    /// Milliseconds since the first byte, or since the request was sent.
    pub(super) fn transfer_ms(&self, at_ms: u64) -> u64 {
        at_ms.saturating_sub(self.first_byte_ms.unwrap_or(self.sent_ms))
    }
}
