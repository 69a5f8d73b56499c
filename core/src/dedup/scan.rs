//! The scanner for references: finds the hash parts of store paths in arbitrary bytes.
//!
//! ```text
//! reference := 32 digits of Nix base-32 that are the hash part of a known store path
//! ```
//! The bytes around the digits don't matter, as in Nix's and Guix's own scanners. References don't
//! overlap: the search continues after the last one found. Source: references.cc in Nix's libstore.
//!
//! ```
//! use interplanar_core::dedup::{ReferenceMatch, References};
//! let references = References::new(["zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r"]).unwrap();
//! let text = b"#!/gnu/store/zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r-bash/bin/sh";
//! assert_eq!(references.find(text, 0), ReferenceMatch::At(13));
//! assert_eq!(references.find(text, 14), ReferenceMatch::NoneBefore(46));
//! ```

use crate::nix_base32;
use crate::store_path::HASH_PART;
use alloc::vec::Vec;

/// Most hash parts of a scanner: as many references as a narinfo may have, plus the item itself.
pub const MAX_HASHES: usize = 65_537;

/// Why a list of hash parts is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A hash part is not 32 digits of Nix base-32.
    #[error("hash part {index} is not 32 Nix base-32 digits")]
    HashPart {
        /// Its index in the list, from 0.
        index: usize,
    },
    /// There are more than [`MAX_HASHES`].
    #[error("more than {MAX_HASHES} hash parts")]
    TooMany,
}

/// The result of a search. Offsets count from the start of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceMatch {
    /// Start of the first reference.
    At(usize),
    /// No reference starts before this offset. An incomplete one may start after it.
    NoneBefore(usize),
}

/// The hash parts to search for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// The hash parts, sorted and without duplicates.
    hashes: Vec<[u8; HASH_PART]>,
}

impl References {
    /// Creates a scanner for the hash parts of an item's references and of the item itself, in any
    /// order.
    ///
    /// # Errors
    /// [`ReferenceError`] if a text is not a hash part, or there are too many.
    pub fn new<'a>(hash_parts: impl IntoIterator<Item = &'a str>) -> Result<Self, ReferenceError> {
        let mut hashes = Vec::new();
        for (index, text) in hash_parts.into_iter().enumerate() {
            if index >= MAX_HASHES {
                return Err(ReferenceError::TooMany);
            }
            let hash: [u8; HASH_PART] = text
                .as_bytes()
                .try_into()
                .map_err(|_| ReferenceError::HashPart { index })?;
            if !hash.iter().all(|byte| is_digit(*byte)) {
                return Err(ReferenceError::HashPart { index });
            }
            hashes.push(hash);
        }
        hashes.sort_unstable();
        hashes.dedup();
        Ok(Self { hashes })
    }

    /// Searches a window, starting at an offset. The result doesn't depend on how the bytes are
    /// split into windows, if each search starts at the offset that the last one returned.
    #[must_use]
    pub fn find(&self, window: &[u8], from: usize) -> ReferenceMatch {
        if self.hashes.is_empty() {
            return ReferenceMatch::NoneBefore(window.len());
        }
        let mut at = from;
        // Compare backwards, so that one byte that is not a digit rules out all positions up to it.
        // Most bytes are never read.
        while let Some(candidate) = at
            .checked_add(HASH_PART)
            .and_then(|end| window.get(at..end))
        {
            if let Some(other) = candidate.iter().rposition(|byte| !is_digit(*byte)) {
                at = at.saturating_add(other).saturating_add(1);
                continue;
            }
            match self.in_digits(window, at) {
                ReferenceMatch::At(at) => return ReferenceMatch::At(at),
                ReferenceMatch::NoneBefore(next) => at = next,
            }
        }
        ReferenceMatch::NoneBefore(at)
    }

    /// Searches a run of digits. The first [`HASH_PART`] bytes are known to be digits.
    fn in_digits(&self, window: &[u8], from: usize) -> ReferenceMatch {
        let mut at = from;
        while let Some(candidate) = at
            .checked_add(HASH_PART)
            .and_then(|end| window.get(at..end))
        {
            match candidate.last() {
                Some(last) if is_digit(*last) => {}
                _ => return ReferenceMatch::NoneBefore(at.saturating_add(HASH_PART)),
            }
            if self
                .hashes
                .binary_search_by(|hash| hash.as_slice().cmp(candidate))
                .is_ok()
            {
                return ReferenceMatch::At(at);
            }
            at = at.saturating_add(1);
        }
        ReferenceMatch::NoneBefore(at)
    }
}

/// Whether each byte value is a digit.
const DIGITS: [bool; 256] = {
    let mut digits = [false; 256];
    let mut rest: &[u8] = nix_base32::ALPHABET;
    while let [first, tail @ ..] = rest {
        #[expect(
            clippy::indexing_slicing,
            reason = "a byte is always less than 256, and constants can't call get_mut"
        )]
        {
            digits[*first as usize] = true;
        }
        rest = tail;
    }
    digits
};

fn is_digit(byte: u8) -> bool {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec;

    const ONE: &str = "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r";
    const TWO: &str = "0123456789abcdfghijklmnpqrsvwxyz";

    /// Returns all references, with a window that grows by `step` bytes.
    fn scan(references: &References, bytes: &[u8], step: usize) -> Vec<usize> {
        let (mut found, mut from, mut end) = (vec![], 0, 0);
        while end < bytes.len() {
            end = bytes.len().min(end + step);
            loop {
                match references.find(&bytes[..end], from) {
                    ReferenceMatch::At(at) => {
                        found.push(at);
                        from = at + HASH_PART;
                    }
                    ReferenceMatch::NoneBefore(next) => {
                        from = next;
                        break;
                    }
                }
            }
        }
        found
    }

    #[test]
    fn references_are_found_at_any_position_and_with_any_window() {
        let references = References::new([TWO, ONE]).unwrap();
        // Alone, adjacent, inside a longer run of digits, and with one digit missing or wrong.
        let text = std::format!(
            "{ONE}-x {TWO}{ONE} abc{TWO}xyz {}o {}",
            &ONE[1..],
            &TWO[..31]
        );
        let expected = [0, 35, 67, 103];
        for step in 1..=text.len() {
            assert_eq!(scan(&references, text.as_bytes(), step), expected, "{step}");
        }
    }

    /// A simple scanner agrees, on bytes of which most are digits.
    #[test]
    fn a_simple_search_finds_the_same() {
        let references = References::new([ONE, TWO]).unwrap();
        let mut state = 1_u32;
        let mut text = vec![];
        for _ in 0..2000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match state >> 28 {
                0 => text.extend_from_slice(ONE.as_bytes()),
                1 => text.extend_from_slice(TWO.as_bytes()),
                2 => text.push(b'-'),
                _ => text.push(nix_base32::ALPHABET[(state >> 8) as usize % 32]),
            }
        }
        let (mut plain, mut at) = (vec![], 0);
        while at + HASH_PART <= text.len() {
            let here = &text[at..at + HASH_PART];
            if here == ONE.as_bytes() || here == TWO.as_bytes() {
                plain.push(at);
                at += HASH_PART;
            } else {
                at += 1;
            }
        }
        assert!(plain.len() > 200);
        for step in [1, 7, 31, 32, 33, 1000, text.len()] {
            assert_eq!(scan(&references, &text, step), plain, "{step}");
        }
    }

    #[test]
    fn malformed_hash_parts_are_errors() {
        let of = |text: &str| References::new([ONE, text]);
        assert_eq!(of("short"), Err(ReferenceError::HashPart { index: 1 }));
        let with_e: String = TWO.replace('0', "e");
        assert_eq!(of(&with_e), Err(ReferenceError::HashPart { index: 1 }));
        let many = core::iter::repeat_n(ONE, MAX_HASHES + 1);
        assert_eq!(References::new(many), Err(ReferenceError::TooMany));
        assert_eq!(
            References::default().find(ONE.as_bytes(), 0),
            ReferenceMatch::NoneBefore(32)
        );
    }
}
