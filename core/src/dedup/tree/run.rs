//! The runs between large files, and where they end.
//!
//! ```text
//! a run ends before a large file,
//!        and after an entry if it is ≥ 16 KiB long and hash(name) mod 8 = 0, or ≥ 64 KiB long
//! ```
//! The name is that of the last entry that started. So added or changed entries move only the ends
//! of their own run. Where files are small, a run has 24 KiB on average.

use crate::murmur3;
use alloc::vec::Vec;

/// Shortest run that ends at a chosen name, in bytes.
const MIN: usize = 16 << 10;
/// Length at which a run ends after any entry, in bytes. The last entry may exceed it by 4 KiB and
/// the framing of [`crate::nar::MAX_DEPTH`] directories.
const MAX: usize = 64 << 10;
/// One in this many names ends a run.
const ONE_OF: u64 = 8;

#[derive(Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    chosen: bool,
}

impl Run {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Notes that an entry with this name starts.
    pub(super) fn name(&mut self, name: &[u8]) {
        self.chosen = murmur3::hash(name).is_multiple_of(ONE_OF);
    }

    /// Returns whether the run ends with the entry that just ended.
    pub(super) fn ends(&self) -> bool {
        self.bytes.len() >= if self.chosen { MIN } else { MAX }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        // The new buffer is for the next run, which has about this length.
        let next = Vec::with_capacity(self.bytes.len().min(MAX));
        let mut run = core::mem::replace(&mut self.bytes, next);
        run.shrink_to_fit();
        run
    }
}
