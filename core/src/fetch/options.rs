//! What to fetch of a file, and the limits of a fetch.

use crate::cid::MAX_BLOCK;
use crate::unixfs::Budget;
use core::fmt;

/// A range of bytes in a file. Both ends are inclusive, as in `entity-bytes=from:to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub from: u64,
    /// The last byte; `None` means the end of the file.
    pub to: Option<u64>,
}

/// Writes the range as in the `Range` header, without its unit: `from-to` or `from-`.
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "{}-{to}", self.from),
            None => write!(f, "{}-", self.from),
        }
    }
}

/// Options of a fetch. The defaults suit a proxy on a fast connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Range of the file to fetch; `None` means the whole file.
    pub range: Option<ByteRange>,
    /// Limits on blocks, depth and bytes of content.
    pub budget: Budget,
    /// Whether there is a local store. Without one, the engine returns no
    /// [`Action::Load`](super::Action::Load).
    pub local: bool,
    /// Number of blocks in the read-ahead window.
    pub read_ahead: usize,
    /// Maximum number of bytes in buffered blocks.
    pub max_buffer: usize,
    /// Maximum number of parallel block requests.
    pub in_flight: usize,
    /// A gateway with at most this latency in milliseconds, and at most one millisecond for each
    /// MiB left, is asked for the plain file in place of a CAR. 0 disables this.
    pub near_ms: u64,
    /// Blocks of at least so many bytes are hashed by the driver
    /// ([`Action::Hash`](super::Action::Hash)), shorter ones by the engine. `usize::MAX` means that
    /// the engine hashes all of them.
    pub hash_outside: usize,
    /// Maximum number of requests, for platforms that limit it. With few requests left, a CAR is
    /// preferred.
    pub max_requests: u64,
    /// Milliseconds without a byte after which a second gateway is asked as well.
    pub race_after_ms: u64,
    /// Milliseconds without a byte, or below `min_rate`, after which another gateway is asked.
    pub stall_ms: u64,
    /// Milliseconds without a new block after which a request is cancelled.
    pub request_timeout_ms: u64,
    /// Minimum rate in bytes per second. A slower gateway counts as stalled if there are others.
    pub min_rate: u64,
    /// Longest back-off that the fetch waits for if there is no other gateway, in milliseconds.
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
