//! What to fetch of a file, and the patience to have.

use crate::cid::MAX_BLOCK;
use crate::unixfs::Budget;
use core::fmt;

/// Bytes of a file, as `entity-bytes=from:to` has them: the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub from: u64,
    /// The last byte; `None` for the end of the file.
    pub to: Option<u64>,
}

/// As the `Range` header has it, less its unit: `from-to` or `from-`.
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "{}-{to}", self.from),
            None => write!(f, "{}-", self.from),
        }
    }
}

/// How to fetch. [`Options::default`] suits a proxy on a fast line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Only these bytes of the file.
    pub range: Option<ByteRange>,
    /// How many blocks, how deep and how many bytes of content at most.
    pub budget: Budget,
    /// Whether there is a local store: else nothing is asked with [`Action::Load`](super::Action::Load).
    pub local: bool,
    /// Blocks looked for ahead of the next one that is needed.
    pub read_ahead: usize,
    /// Bytes of verified blocks that may wait for the ones before them.
    pub max_buffer: usize,
    /// Block requests at the same time.
    pub in_flight: usize,
    /// A gateway that sends its first byte within so many milliseconds (and within one for each MiB that is left) is asked for the plain
    /// file in place of a CAR; 0: never.
    pub near_ms: u64,
    /// Blocks of at least so many bytes are hashed by the driver ([`Action::Hash`](super::Action::Hash)), shorter ones by the engine;
    /// `usize::MAX`: all by the engine.
    pub hash_outside: usize,
    /// Requests in all; where the platform counts them. With few left a CAR is preferred.
    pub max_requests: u64,
    /// A second gateway is asked when the first has not sent a block after so many milliseconds.
    pub race_after_ms: u64,
    /// So many milliseconds without a byte, or below `min_rate`, and another gateway is asked as well.
    pub stall_ms: u64,
    /// A request that brings no block for so many milliseconds is given up.
    pub request_timeout_ms: u64,
    /// Bytes per second below which a gateway counts as stalled while there are others.
    pub min_rate: u64,
    /// How long to wait for a gateway that is put aside when there is no other, in milliseconds.
    pub patience_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            range: None,
            budget: Budget::default(),
            local: true,
            read_ahead: 32,
            max_buffer: 4 * MAX_BLOCK,
            in_flight: 6,
            near_ms: 100,
            hash_outside: usize::MAX,
            max_requests: u64::MAX,
            race_after_ms: 1_000,
            stall_ms: 4_000,
            request_timeout_ms: 45_000,
            min_rate: 32 << 10,
            patience_ms: 3_000,
        }
    }
}
