//! The scanner for references: finds the hashes of store paths in any bytes.
//!
//! ```text
//! reference := 32 digits of Nix base-32 that are the hash part of a known store path
//! ```
//! Whatever stands around the digits doesn't matter, as in Nix's and Guix's own scanners. References don't overlap: after one, the search goes
//! on behind it. Source: libstore's references.cc of Nix.
//!
//! ```
//! use interplanar_core::dedup::{Found, References};
//! let references = References::new(["zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r"]).unwrap();
//! let text = b"#!/gnu/store/zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r-bash/bin/sh";
//! assert_eq!(references.find(text, 0), Found::At(13));
//! assert_eq!(references.find(text, 14), Found::NoneBefore(46));
//! ```

use crate::nix_base32;
use crate::store_path::HASH_PART;
use alloc::vec::Vec;

/// Hash parts that a scanner looks for at most: the references that a narinfo may have, and the item itself.
pub const MAX_HASHES: usize = 65_537;

/// Why texts are no hash parts.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not 32 digits of Nix base-32; its place among the hash parts, from 0.
    #[error("hash part {index} is not 32 digits of Nix base-32")]
    HashPart {
        /// Which one.
        index: usize,
    },
    /// More than [`MAX_HASHES`].
    #[error("more than {MAX_HASHES} hash parts")]
    TooMany,
}

/// What a search led to. Offsets count from the start of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The first reference starts here.
    At(usize),
    /// No reference starts before this; behind it one may start of which the rest has not come.
    NoneBefore(usize),
}

/// The hash parts to look for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Sorted, each once.
    hashes: Vec<[u8; HASH_PART]>,
}

impl References {
    /// Takes the hash parts of an item's references and of the item itself, in any order.
    ///
    /// # Errors
    /// [`ReferenceError`] for what is no hash part, or too many.
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

    /// Searches a window from an offset on. The same bytes give the same references however they are split into windows, as long as
    /// the next search begins where this one says.
    #[must_use]
    pub fn find(&self, window: &[u8], from: usize) -> Found {
        if self.hashes.is_empty() {
            return Found::NoneBefore(window.len());
        }
        let mut at = from;
        // Backwards, so that one byte that is no digit rules out all places before it at once: most bytes are never looked at.
        while let Some(candidate) = at
            .checked_add(HASH_PART)
            .and_then(|end| window.get(at..end))
        {
            if let Some(other) = candidate.iter().rposition(|byte| !is_digit(*byte)) {
                at = at.saturating_add(other).saturating_add(1);
                continue;
            }
            match self.in_digits(window, at) {
                Found::At(at) => return Found::At(at),
                Found::NoneBefore(next) => at = next,
            }
        }
        Found::NoneBefore(at)
    }

    /// Searches a run of digits, of which the first [`HASH_PART`] are known to be digits.
    fn in_digits(&self, window: &[u8], from: usize) -> Found {
        let mut at = from;
        while let Some(candidate) = at
            .checked_add(HASH_PART)
            .and_then(|end| window.get(at..end))
        {
            match candidate.last() {
                Some(last) if is_digit(*last) => {}
                _ => return Found::NoneBefore(at.saturating_add(HASH_PART)),
            }
            if self
                .hashes
                .binary_search_by(|hash| hash.as_slice().cmp(candidate))
                .is_ok()
            {
                return Found::At(at);
            }
            at = at.saturating_add(1);
        }
        Found::NoneBefore(at)
    }
}

/// For each byte whether it is a digit.
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

    /// All references, with the window growing by `step` bytes.
    fn scan(references: &References, bytes: &[u8], step: usize) -> Vec<usize> {
        let (mut found, mut from, mut end) = (vec![], 0, 0);
        while end < bytes.len() {
            end = bytes.len().min(end + step);
            loop {
                match references.find(&bytes[..end], from) {
                    Found::At(at) => {
                        found.push(at);
                        from = at + HASH_PART;
                    }
                    Found::NoneBefore(next) => {
                        from = next;
                        break;
                    }
                }
            }
        }
        found
    }

    #[test]
    fn references_are_found_wherever_they_stand_and_however_the_window_grows() {
        let references = References::new([TWO, ONE]).unwrap();
        // Alone, side by side, inside a longer run of digits, and almost.
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

    /// A straightforward scanner agrees, over bytes of which most are digits.
    #[test]
    fn a_plain_search_finds_the_same() {
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
    fn what_is_no_hash_part_is_an_error() {
        let of = |text: &str| References::new([ONE, text]);
        assert_eq!(of("short"), Err(ReferenceError::HashPart { index: 1 }));
        let with_e: String = TWO.replace('0', "e");
        assert_eq!(of(&with_e), Err(ReferenceError::HashPart { index: 1 }));
        let many = core::iter::repeat_n(ONE, MAX_HASHES + 1);
        assert_eq!(References::new(many), Err(ReferenceError::TooMany));
        assert_eq!(
            References::default().find(ONE.as_bytes(), 0),
            Found::NoneBefore(32)
        );
    }
}
