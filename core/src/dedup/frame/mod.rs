//! The single zstd frame that is made of pieces compressed on their own.
//!
//! ```text
//! frame  := header piece* tail
//! header := 28 b5 2f fd 00 68       magic; no content size, checksum or dictionary; window 2^23
//! piece  := block+                  whole blocks, none of them the last
//! block  := head body               head: 3 bytes, little-endian: last (1 bit), type (2 bits), size (21 bits)
//! tail   := 01 00 00                the last block: raw and empty
//! ```
//! A piece may not depend on what comes before it in the frame: neither on bytes, nor on tables, nor on the offsets that a decoder remembers (repeat
//! offsets). In a frame of its own all three are fresh, so a stand-alone frame may use the fresh offsets: [`strip`] turns one into a piece, and
//! [`is_independent`] finds out whether it is one that can stand anywhere. Source: RFC 8878, 3.1.1.
//!
//! ```
//! use interplanar_core::dedup::frame;
//! // "hello" as a raw block, and in a frame of its own.
//! let piece = b"\x28\0\0hello";
//! frame::check(piece).unwrap();
//! assert_eq!(frame::decode(piece, 5).unwrap(), b"hello");
//! assert_eq!(frame::strip(b"\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello").unwrap(), piece);
//! ```

mod disturbance;
#[cfg(test)]
pub(super) mod tests;

use crate::decompress::{Decoder, DecompressError, Limits};
use crate::narinfo::Compression;
use alloc::vec::Vec;
use disturbance::{DISTURBANCE, DISTURBED};

/// What the file starts with.
pub const HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68];
/// What it ends with.
pub const TAIL: [u8; 3] = [1, 0, 0];
/// The window that the header names, in bytes.
pub const WINDOW: u64 = 1 << 23;
/// Longest body of a block, and most bytes that one stands for (RFC 8878, 3.1.1.2.3).
pub const MAX_BLOCK: usize = 128 << 10;

/// Why bytes are no piece, or a frame can't become one. Offsets count bytes of what was given.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A piece without a block.
    #[error("a piece has at least one block")]
    Empty,
    /// The bytes end inside of a block or a frame's header.
    #[error("byte {at}: the block or header is cut off")]
    Truncated {
        /// Where the block or header starts.
        at: usize,
    },
    /// A block of the reserved type.
    #[error("byte {at}: a block of a reserved type")]
    Reserved {
        /// Where it starts.
        at: usize,
    },
    /// A block longer than [`MAX_BLOCK`].
    #[error("byte {at}: a block is longer than {MAX_BLOCK} bytes")]
    TooLong {
        /// Where it starts.
        at: usize,
    },
    /// The last block of a frame, inside of it.
    #[error("byte {at}: a block says that it is the last")]
    Last {
        /// Where it starts.
        at: usize,
    },
    /// No zstd frame, or one with a dictionary or a larger window.
    #[error(
        "expected a zstd frame without a dictionary and with a window of at most {WINDOW} bytes"
    )]
    Header,
    /// Bytes behind the last block and the checksum.
    #[error("byte {at}: bytes behind the frame")]
    Trailing {
        /// Where they start.
        at: usize,
    },
    /// The blocks can't be decoded.
    #[error("the piece can't be decoded: {0}")]
    Decode(#[from] DecompressError),
    /// They are decoded to other bytes than the chunk index means.
    #[error("the piece has another hash than the index says")]
    Hash,
    /// They are decoded to fewer bytes than expected.
    #[error("the piece has {0} bytes and not those expected")]
    Length(usize),
}

/// A block's head.
struct Head {
    last: bool,
    /// Head and body.
    length: usize,
}

fn head(bytes: &[u8], at: usize) -> Result<Head, FrameError> {
    let [a, b, c, ..] = *bytes.get(at..).unwrap_or_default() else {
        return Err(FrameError::Truncated { at });
    };
    let number = u32::from_le_bytes([a, b, c, 0]);
    let size = usize::try_from(number >> 3).unwrap_or(usize::MAX);
    if size > MAX_BLOCK {
        return Err(FrameError::TooLong { at });
    }
    let body = match number >> 1 & 3 {
        0 | 2 => size,
        1 => 1,
        _ => return Err(FrameError::Reserved { at }),
    };
    let length = body.saturating_add(3);
    if bytes.len().saturating_sub(at) < length {
        return Err(FrameError::Truncated { at });
    }
    Ok(Head {
        last: number & 1 == 1,
        length,
    })
}

/// Checks that bytes are whole blocks of which none is the last. Their content isn't looked at.
///
/// # Errors
/// [`FrameError`] with the first block that is wrong.
pub fn check(piece: &[u8]) -> Result<(), FrameError> {
    if piece.is_empty() {
        return Err(FrameError::Empty);
    }
    let mut at = 0_usize;
    while at < piece.len() {
        let head = head(piece, at)?;
        if head.last {
            return Err(FrameError::Last { at });
        }
        at = at.saturating_add(head.length);
    }
    Ok(())
}

/// Decodes a piece that stands for `length` bytes.
///
/// # Errors
/// [`FrameError`] for what is no piece, or one of another length.
pub fn decode(piece: &[u8], length: u32) -> Result<Vec<u8>, FrameError> {
    decode_behind(&[], piece, u64::from(length))
}

/// Decodes a piece behind another one.
fn decode_behind(before: &[u8], piece: &[u8], length: u64) -> Result<Vec<u8>, FrameError> {
    check(piece)?;
    let limits = Limits {
        max_output: length,
        max_window: WINDOW,
    };
    let mut decoder = Decoder::new(Compression::Zstd, limits)?;
    let mut decoded = Vec::new();
    for mut bytes in [&HEADER, before, piece, &TAIL] {
        while !bytes.is_empty() {
            decoder.push(&mut bytes, &mut decoded)?;
        }
    }
    while !decoder.finish(&mut decoded)? {}
    if decoded.len() as u64 == length {
        Ok(decoded)
    } else {
        Err(FrameError::Length(decoded.len()))
    }
}

/// Whether a piece means the same wherever it stands: it is decoded behind one that leaves other tables and offsets than a fresh decoder has.
///
/// # Errors
/// [`FrameError`] for what is no piece, even alone.
pub fn is_independent(piece: &[u8], length: u32) -> Result<bool, FrameError> {
    let alone = decode(piece, length)?;
    let length = u64::from(length).saturating_add(DISTURBED as u64);
    Ok(decode_behind(&DISTURBANCE, piece, length)
        .is_ok_and(|decoded| decoded.get(DISTURBED..) == Some(alone.as_slice())))
}

/// Takes header, last-block flag and checksum off a stand-alone frame. What is left can be a piece if it [is independent](is_independent).
///
/// # Errors
/// [`FrameError`] for anything but exactly one frame.
pub fn strip(frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let (start, checksum) = blocks_of(frame)?;
    let mut piece = Vec::new();
    let mut at = start;
    loop {
        let head = head(frame, at)?;
        let end = at.saturating_add(head.length);
        let from = piece.len();
        piece.extend_from_slice(frame.get(at..end).unwrap_or_default());
        if let Some(first) = piece.get_mut(from) {
            *first &= !1;
        }
        at = end;
        if head.last {
            break;
        }
    }
    let end = at.saturating_add(if checksum { 4 } else { 0 });
    match frame.len() {
        length if length < end => Err(FrameError::Truncated { at }),
        length if length > end => Err(FrameError::Trailing { at: end }),
        _ => Ok(piece),
    }
}

/// Where a frame's blocks start, and whether a checksum follows them.
fn blocks_of(frame: &[u8]) -> Result<(usize, bool), FrameError> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = frame else {
        return Err(FrameError::Header);
    };
    let single = descriptor & 0x20 != 0;
    // A reserved bit, or a dictionary.
    if descriptor & 0x0b != 0 {
        return Err(FrameError::Header);
    }
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let start = content.saturating_add(usize::from(!single));
    let fields = rest.get(..start).ok_or(FrameError::Truncated { at: 0 })?;
    let within = if single {
        let size = fields
            .iter()
            .rev()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        size.saturating_add(if content == 2 { 256 } else { 0 }) <= WINDOW
    } else {
        // 2^(10 + exponent) and eighths of it.
        fields.first().is_some_and(|window| *window <= 0x68)
    };
    if within {
        Ok((start.saturating_add(5), descriptor & 4 != 0))
    } else {
        Err(FrameError::Header)
    }
}
