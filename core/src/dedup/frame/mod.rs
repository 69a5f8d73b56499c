//! The single zstd frame made of pieces that are compressed alone.
//!
//! ```text
//! frame  := header piece* tail
//! header := 28 b5 2f fd 00 68       magic; no content size, checksum or dictionary; window 2^23
//! piece  := block+                  whole blocks, none of them the last
//! block  := head body
//! head   := 3 bytes, little-endian: last (1 bit), type (2 bits), size (21 bits)
//! tail   := 01 00 00                the last block: raw and empty
//! ```
//! A piece must not depend on what precedes it in the frame: neither on bytes, nor on tables, nor
//! on the offsets that a decoder remembers (repeat offsets). A stand-alone frame starts with fresh
//! repeat offsets and may use them. [`strip`] turns a stand-alone frame into a piece.
//! [`is_independent`] checks that the piece can be anywhere in a frame. Source: RFC 8878, 3.1.1.
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
use disturbance::{DISTURBANCE, DISTURBANCE_LENGTH};

/// The bytes at the start of the frame.
pub const HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68];
/// The bytes at the end of the frame.
pub const TAIL: [u8; 3] = [1, 0, 0];
/// The window that the header names, in bytes.
pub const WINDOW: u64 = 1 << 23;
/// Longest body of a block, and most bytes that a block decodes to (RFC 8878, 3.1.1.2.3).
pub const MAX_BLOCK: usize = 128 << 10;

/// Why bytes are not a piece, or a frame can't become one. Offsets count bytes of the input.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The piece has no block.
    #[error("the piece is empty, but a piece has at least one block")]
    Empty,
    /// The bytes end inside a block or a frame header.
    #[error("byte {at}: the block or header is truncated")]
    Truncated {
        /// Offset at which the block or header starts.
        at: usize,
    },
    /// A block has the reserved type.
    #[error("byte {at}: the block has a reserved type")]
    Reserved {
        /// Offset at which the block starts.
        at: usize,
    },
    /// A block is longer than [`MAX_BLOCK`].
    #[error("byte {at}: the block is longer than {MAX_BLOCK} bytes")]
    TooLong {
        /// Offset at which the block starts.
        at: usize,
    },
    /// A block inside a piece is marked as the last of its frame.
    #[error("byte {at}: the block is marked as the last of its frame")]
    Last {
        /// Offset at which the block starts.
        at: usize,
    },
    /// The bytes are not a zstd frame, or the frame has a dictionary or a larger window.
    #[error(
        "expected a zstd frame without a dictionary and with a window of at most {WINDOW} bytes"
    )]
    Header,
    /// Bytes follow the last block and the checksum.
    #[error("byte {at}: bytes follow the frame")]
    Trailing {
        /// Offset at which they start.
        at: usize,
    },
    /// The blocks can't be decoded.
    #[error("the piece can't be decoded: {0}")]
    Decode(#[from] DecompressError),
    /// The decoded bytes have another hash than the chunk index says.
    #[error("the piece has another hash than the chunk index says")]
    Hash,
    /// The piece decodes to fewer bytes than expected.
    #[error("the piece decodes to {0} bytes, fewer than expected")]
    Length(usize),
}

/// The head of a block.
struct BlockHead {
    last: bool,
    /// Bytes of head and body.
    length: usize,
}

fn block_head(bytes: &[u8], at: usize) -> Result<BlockHead, FrameError> {
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
    Ok(BlockHead {
        last: number & 1 == 1,
        length,
    })
}

/// Checks that bytes are whole blocks and that none is the last. Doesn't check the content of the
/// blocks.
///
/// # Errors
/// [`FrameError`] for the first malformed block.
pub fn check(piece: &[u8]) -> Result<(), FrameError> {
    if piece.is_empty() {
        return Err(FrameError::Empty);
    }
    let mut at = 0_usize;
    while at < piece.len() {
        let head = block_head(piece, at)?;
        if head.last {
            return Err(FrameError::Last { at });
        }
        at = at.saturating_add(head.length);
    }
    Ok(())
}

/// Decodes a piece to `length` bytes.
///
/// # Errors
/// [`FrameError`] if the bytes are not a piece, or decode to another length.
pub fn decode(piece: &[u8], length: u32) -> Result<Vec<u8>, FrameError> {
    decode_after(&[], piece, u64::from(length))
}

/// Decodes a piece that follows another one.
fn decode_after(before: &[u8], piece: &[u8], length: u64) -> Result<Vec<u8>, FrameError> {
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

/// Returns whether a piece decodes to the same bytes at any position of a frame. To find out, it
/// decodes the piece after another one that changes the decoder's tables and offsets.
///
/// # Errors
/// [`FrameError`] if the bytes are not a piece even alone.
pub fn is_independent(piece: &[u8], length: u32) -> Result<bool, FrameError> {
    let alone = decode(piece, length)?;
    let length = u64::from(length).saturating_add(DISTURBANCE_LENGTH as u64);
    Ok(decode_after(&DISTURBANCE, piece, length)
        .is_ok_and(|decoded| decoded.get(DISTURBANCE_LENGTH..) == Some(alone.as_slice())))
}

/// Removes header, last-block flag and checksum from a stand-alone frame. The result is usable as a
/// piece if it [is independent](is_independent).
///
/// # Errors
/// [`FrameError`] if the input is not exactly one frame.
pub fn strip(frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let (start, checksum) = first_block(frame)?;
    let mut piece = Vec::new();
    let mut at = start;
    loop {
        let head = block_head(frame, at)?;
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

/// Returns the offset of a frame's first block, and whether a checksum follows the blocks.
fn first_block(frame: &[u8]) -> Result<(usize, bool), FrameError> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = frame else {
        return Err(FrameError::Header);
    };
    let single = descriptor & 0x20 != 0;
    // The reserved bit, or a dictionary.
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
        // The window is 2^(10 + exponent) plus eighths of it.
        fields.first().is_some_and(|window| *window <= 0x68)
    };
    if within {
        Ok((start.saturating_add(5), descriptor & 4 != 0))
    } else {
        Err(FrameError::Header)
    }
}
