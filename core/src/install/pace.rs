//! Detects a source that sends too slowly. Time that is spent waiting for the client doesn't count.

/// Time for which the reader must wait on a source before the pace is checked, in milliseconds. In
/// this time the source must send at least [`PACE_BYTES`].
const PACE_MS: u64 = 30_000;
const PACE_BYTES: usize = 32 << 10;

/// Measures the pace of one source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    waited_ms: u64,
    bytes: usize,
}

impl Pace {
    /// Counts a piece of `bytes` bytes that arrived after `waited_ms` milliseconds. Returns false
    /// if the source sent too little since the last check.
    pub fn keeps(&mut self, bytes: usize, waited_ms: u64) -> bool {
        self.waited_ms = self.waited_ms.saturating_add(waited_ms);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited_ms < PACE_MS {
            return true;
        }
        let keeps = self.bytes >= PACE_BYTES;
        *self = Self::default();
        keeps
    }
}
