//! The file of an index.
//!
//! ```text
//! file  := "interplanar pieces 1\n" *piece sha256-of-all-before
//! piece := SHA-256 of the bytes, offset in the NAR (u64), length (u32)      little-endian
//! ```

use super::Piece;
use interplanar_core::hash::Sha256;
use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

const HEADER: &[u8] = b"interplanar pieces 1\n";
/// Bytes of a piece.
const PIECE: usize = 44;
const DIGEST: usize = 32;

pub(super) fn encode(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER.len() + pieces.len() * PIECE + DIGEST);
    bytes.extend_from_slice(HEADER);
    for piece in pieces {
        bytes.extend_from_slice(piece.plain.as_bytes());
        bytes.extend_from_slice(&piece.offset.to_le_bytes());
        bytes.extend_from_slice(&piece.length.to_le_bytes());
    }
    let digest = Sha256::of(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Piece>> {
    let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Sha256::of(body).as_bytes() != digest {
        return None;
    }
    let pieces = body.strip_prefix(HEADER)?.chunks_exact(PIECE);
    let whole = pieces.remainder().is_empty();
    let piece = |bytes: &[u8]| {
        let (plain, rest) = bytes.split_first_chunk::<DIGEST>()?;
        let (offset, length) = rest.split_first_chunk::<8>()?;
        Some(Piece {
            plain: Sha256::from_bytes(*plain),
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(length.try_into().ok()?),
        })
    };
    pieces
        .map(piece)
        .collect::<Option<Vec<_>>>()
        .filter(|_| whole)
}

/// Reads an index and notes that it was used; `None` for what is none.
pub(super) fn read(path: &Path) -> Option<Vec<Piece>> {
    let pieces = decode(&fs::read(path).ok()?)?;
    let used = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = used {
        tracing::debug!(%error, "the use of an index can't be noted");
    }
    Some(pieces)
}
