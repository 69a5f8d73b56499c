//! A buffer that collects input until a decoder has all the bytes of a unit.

use alloc::vec::Vec;

/// A buffer before a decoder that needs whole units, such as headers and blocks.
#[derive(Debug, Default)]
pub(super) struct InputBuffer {
    bytes: Vec<u8>,
    /// Bytes at the front that were consumed.
    used: usize,
}

impl InputBuffer {
    /// Returns the buffered bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Moves input into the buffer until it has `wanted` bytes. Returns whether it has them.
    pub(super) fn fill(&mut self, input: &mut &[u8], wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.bytes().len());
        if missing > 0 && self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        let (head, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.bytes.extend_from_slice(head);
        *input = rest;
        self.bytes().len() >= wanted
    }

    /// Drops bytes from the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.used = self.used.saturating_add(count).min(self.bytes.len());
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
        }
    }

    /// Returns the first bytes as an array.
    pub(super) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes().get(..N)?.try_into().ok()
    }
}
