//! Nix's base-32 encoding.
//!
//! The digits are `0-9a-z` without `e`, `o`, `t` and `u`. The bits of the bytes are written from
//! the last to the first.
//!
//! ```text
//! number of digits := ⌈bytes × 8 / 5⌉
//! ```
//! The first digit holds the highest bits of the last byte; its unused bits are zero. Source:
//! base-nix-32 in Nix's libutil.
//!
//! ```
//! use interplanar_core::nix_base32::{decode, encode};
//! assert_eq!(encode(&[31]), "0z");
//! assert_eq!(decode("0z").unwrap(), [31]);
//! ```

use alloc::string::String;
use alloc::vec::Vec;

/// The digits, ordered by value.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Why a text is not Nix base-32.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base32Error {
    /// No number of bytes encodes to this many digits.
    #[error("{0} base-32 digits don't encode a whole number of bytes")]
    Length(usize),
    /// A character that is not a digit, at this byte.
    #[error("character at byte {0} is not a Nix base-32 digit")]
    Digit(usize),
    /// Bits beyond the last byte are set.
    #[error("the first base-32 digit has bits that belong to no byte")]
    Padding,
}

/// Encodes bytes as base-32 digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let digits = bytes.len().saturating_mul(8).div_ceil(5);
    (0..digits)
        .rev()
        .map(|digit| char::from(digit_at(bytes, digit)))
        .collect()
}

fn digit_at(bytes: &[u8], digit: usize) -> u8 {
    let bit = digit.saturating_mul(5);
    let (index, shift) = (bit / 8, bit % 8);
    let byte = |index: usize| u16::from(bytes.get(index).copied().unwrap_or_default());
    let pair = byte(index) | byte(index.saturating_add(1)) << 8;
    let value = usize::from(pair >> shift & 0x1f);
    ALPHABET.get(value).copied().unwrap_or(b'0')
}

/// Decodes base-32 digits to bytes.
///
/// # Errors
/// [`Base32Error`] with the position of the first fault.
pub fn decode(text: &str) -> Result<Vec<u8>, Base32Error> {
    let length = text.len().saturating_mul(5) / 8;
    if length.saturating_mul(8).div_ceil(5) != text.len() {
        return Err(Base32Error::Length(text.len()));
    }
    let mut bytes = alloc::vec![0_u8; length];
    for (digit, (at, character)) in text.bytes().enumerate().rev().enumerate() {
        let value = ALPHABET.iter().position(|other| *other == character);
        let value = value
            .and_then(|value| u16::try_from(value).ok())
            .ok_or(Base32Error::Digit(at))?;
        let bit = digit.saturating_mul(5);
        let (index, shift) = (bit / 8, bit % 8);
        let [low, high] = (value << shift).to_le_bytes();
        if let Some(byte) = bytes.get_mut(index) {
            *byte |= low;
        }
        match bytes.get_mut(index.saturating_add(1)) {
            Some(byte) => *byte |= high,
            None if high != 0 => return Err(Base32Error::Padding),
            None => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn bytes_of_every_length_read_back() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ 0xa5).collect();
            assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }
    }

    #[test]
    fn malformed_texts_give_exact_errors() {
        assert_eq!(decode("0"), Err(Base32Error::Length(1)));
        assert_eq!(decode("0e"), Err(Base32Error::Digit(1)));
        assert_eq!(decode("z0"), Err(Base32Error::Padding));
    }
}
