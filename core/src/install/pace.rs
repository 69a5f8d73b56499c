//! Finds out a source that only drips: the time that is spent waiting for the client doesn't count.

/// A source must bring [`PACE_BYTES`] while it is waited for this long (milliseconds).
const PACE_MS: u64 = 30_000;
const PACE_BYTES: usize = 32 << 10;

/// The pace of one source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    waited_ms: u64,
    bytes: usize,
}

impl Pace {
    /// Counts a piece for which it was waited; false when too little came in the last while.
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
