//! What stands between large files, and where its leaves end.
//!
//! ```text
//! a run ends before a large file, and behind an entry when it is ≥ 16 KiB long and hash(name) mod 8 = 0, or ≥ 64 KiB long
//! ```
//! The name is that of the last entry that started. So entries that are added or change move no end but their own, and a run is 24 KiB on
//! average where files are small.

use crate::murmur3;
use alloc::vec::Vec;

/// Shortest run that ends at a name.
const MIN: usize = 16 << 10;
/// Longest run, but for the entry that makes it so: at most 4 KiB and the framing of [`crate::nar::MAX_DEPTH`] directories.
const MAX: usize = 64 << 10;
/// One name of so many ends a run.
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

    /// An entry of this name starts.
    pub(super) fn name(&mut self, name: &[u8]) {
        self.chosen = murmur3::hash(name).is_multiple_of(ONE_OF);
    }

    /// Whether it ends with the entry that has just ended.
    pub(super) fn ends(&self) -> bool {
        self.bytes.len() >= if self.chosen { MIN } else { MAX }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        // What is left is for the next run, of about this length.
        let next = Vec::with_capacity(self.bytes.len().min(MAX));
        let mut run = core::mem::replace(&mut self.bytes, next);
        run.shrink_to_fit();
        run
    }
}
