//! A request under way.

use super::early::Seen;
use super::few::Few;
use super::plain::Plain;
use super::{Fault, RequestId};
use crate::car::Reader;
use crate::cid::Cid;
use bytes::{Bytes, BytesMut};

pub(super) type Requests = Few<RequestId, Request>;

/// The answer to a CAR request so far.
#[derive(Debug, Default)]
pub(super) struct Car {
    pub(super) reader: Reader,
    /// Which blocks it brought.
    pub(super) seen: Seen,
    /// Bytes of blocks that were of no use since the last one that was.
    pub(super) useless: u64,
    /// What was needed first when it brought something else, and how often it did since.
    pub(super) waits_for: Option<Cid>,
    pub(super) passed: u32,
}

/// So many blocks after one was needed it is thought to be left out.
const MAX_PASSED: u32 = 32;

impl Car {
    /// Whether the stream has gone past this block, so that it won't come (again).
    pub(super) fn has_passed(&self, cid: &Cid) -> bool {
        let left_out = self.passed >= MAX_PASSED && self.waits_for.as_ref() == Some(cid);
        left_out || self.seen.contains(cid)
    }
}

/// The answer to a block request so far; one piece is kept as it came.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) cid: Cid,
    first: Bytes,
    more: BytesMut,
}

impl Raw {
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
pub(super) enum Body {
    Car(Car),
    Raw(Raw),
    Plain(Plain),
}

/// How an answer ended, as its sender tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Failed(Fault),
}

/// All times are of [`Clock::felt_ms`](super::clock::Clock::felt_ms).
#[derive(Debug)]
pub(super) struct Request {
    pub(super) gateway: usize,
    pub(super) body: Body,
    pub(super) max_bytes: u64,
    /// Only a range of the file is asked for.
    pub(super) ranged: bool,
    pub(super) sent_ms: u64,
    pub(super) first_byte_ms: Option<u64>,
    pub(super) last_byte_ms: u64,
    /// When it last brought a block.
    pub(super) last_block_ms: u64,
    /// Since when the rate is measured, and the bytes since then.
    pub(super) window_ms: u64,
    pub(super) window_bytes: u64,
    pub(super) bytes: u64,
    /// Blocks of it that were used, and their bytes.
    pub(super) used: u64,
    pub(super) used_bytes: u64,
    /// Another gateway was asked since this one did not answer.
    pub(super) raced: bool,
    /// Another gateway was asked since this one is below the least rate.
    pub(super) slow: bool,
    /// Nothing more comes; it stays as long as blocks of it wait for their hash.
    pub(super) end: Option<End>,
}

impl Request {
    pub(super) fn new(gateway: usize, body: Body, max_bytes: u64, at_ms: u64) -> Self {
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

    pub(super) fn car(&self) -> Option<&Car> {
        match &self.body {
            Body::Car(car) => Some(car),
            Body::Raw(_) | Body::Plain(_) => None,
        }
    }

    pub(super) fn car_mut(&mut self) -> Option<&mut Car> {
        match &mut self.body {
            Body::Car(car) => Some(car),
            Body::Raw(_) | Body::Plain(_) => None,
        }
    }

    pub(super) fn plain(&self) -> Option<&Plain> {
        match &self.body {
            Body::Plain(plain) => Some(plain),
            Body::Raw(_) | Body::Car(_) => None,
        }
    }

    pub(super) fn plain_mut(&mut self) -> Option<&mut Plain> {
        match &mut self.body {
            Body::Plain(plain) => Some(plain),
            Body::Raw(_) | Body::Car(_) => None,
        }
    }

    /// Whether it brings block after block: a CAR or a file.
    pub(super) fn is_stream(&self) -> bool {
        !matches!(self.body, Body::Raw(_))
    }

    /// The block that is asked for, of a block request.
    pub(super) fn raw_cid(&self) -> Option<&Cid> {
        match &self.body {
            Body::Raw(raw) => Some(&raw.cid),
            Body::Car(_) | Body::Plain(_) => None,
        }
    }

    /// Bytes came.
    pub(super) fn received(&mut self, bytes: u64, at_ms: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        self.last_byte_ms = at_ms;
    }

    /// It waits for the consumer: time doesn't count against it.
    pub(super) fn pause(&mut self, at_ms: u64) {
        self.last_byte_ms = at_ms;
        self.last_block_ms = at_ms;
        self.window_ms = at_ms;
        self.window_bytes = 0;
    }

    /// Since when it has a chance to send.
    pub(super) fn transfer_ms(&self, at_ms: u64) -> u64 {
        at_ms.saturating_sub(self.first_byte_ms.unwrap_or(self.sent_ms))
    }
}
