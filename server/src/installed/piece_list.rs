//! The pieces of an item, as stored in the index.
//!
//! ```text
//! pieces := "interplanar pieces 1\n" *piece sha256-of-all-before
//! piece  := SHA-256 of the bytes, offset in the NAR (u64), length (u32)      little-endian
//! ```
//! If the digest at the end doesn't match, the list is damaged and the item is cut again. The
//! digest doesn't prove that the pieces are still right, so each piece is hashed after reading.

use interplanar_core::dedup::MAX_PIECE;
use interplanar_core::hash::Sha256;

const HEADER: &[u8] = b"interplanar pieces 1\n";
/// Bytes of an encoded piece.
pub(super) const PIECE: usize = 44;
const DIGEST: usize = 32;

/// A piece of an installed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexedPiece {
    pub(super) plain: Sha256,
    pub(super) offset: u64,
    pub(super) length: u32,
}

pub(super) fn encode(pieces: &[IndexedPiece]) -> Vec<u8> {
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

/// Decodes a list of pieces. Returns `None` if it is damaged, or has a piece longer than a cutter
/// makes.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<IndexedPiece>> {
    let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Sha256::of(body).as_bytes() != digest {
        return None;
    }
    let pieces = body.strip_prefix(HEADER)?.chunks_exact(PIECE);
    let whole = pieces.remainder().is_empty();
    let piece = |bytes: &[u8]| {
        let (plain, rest) = bytes.split_first_chunk::<DIGEST>()?;
        let (offset, length) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        (length <= MAX_PIECE).then_some(IndexedPiece {
            plain: Sha256::from_bytes(*plain),
            offset: u64::from_le_bytes(*offset),
            length,
        })
    };
    pieces
        .map(piece)
        .collect::<Option<Vec<_>>>()
        .filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u8, length: u32) -> IndexedPiece {
        IndexedPiece {
            plain: Sha256::of(&[number]),
            offset: u64::from(number) << 33,
            length,
        }
    }

    #[test]
    fn truncated_altered_and_too_long_lists_are_rejected() {
        let pieces = [piece(0, 1), piece(1, MAX_PIECE), piece(2, 0)];
        let bytes = encode(&pieces);
        assert_eq!(decode(&bytes).as_deref(), Some(&pieces[..]));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None);
            let mut altered = bytes.clone();
            altered[end] ^= 1;
            assert_eq!(decode(&altered), None);
        }
        assert_eq!(decode(&encode(&[piece(0, MAX_PIECE + 1)])), None);
        assert_eq!(decode(&encode(&[])), Some(vec![]));
    }
}
