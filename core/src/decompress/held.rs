//! Input that is held until a whole piece of it is there.

use alloc::vec::Vec;

/// A bounded buffer before a decoder that needs whole pieces.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Bytes at the front that are used.
    used: usize,
}

impl Held {
    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Moves input in until `wanted` bytes are there; whether they are.
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

    /// The first bytes as an array.
    pub(super) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes().get(..N)?.try_into().ok()
    }
}
