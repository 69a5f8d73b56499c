//! The decoder of chunk indexes.

use super::{
    Index, IndexBody, IndexError, IndexPart, MAX_COMPRESSED, MAX_PARTS, MAX_PIECE, MAX_PIECES,
    PieceEntry, VERSION, leaves,
};
use crate::dag_cbor::{Reader, Unexpected};
use crate::dedup::cut::{Parameters, Sizes};
use crate::hash::Sha256;
use alloc::vec::Vec;

impl Index {
    /// Decodes a root block.
    ///
    /// # Errors
    /// [`IndexError`] unless the block is the canonical form of an index whose numbers agree.
    pub fn decode(block: &[u8]) -> Result<Self, IndexError> {
        const SHAPE: &str = "a map of cut, size, pieces or parts, and version";
        let mut cbor = Reader::new(block);
        let shape = cbor.wrong(SHAPE);
        if cbor.map(SHAPE)? != 4 {
            return Err(shape.into());
        }
        cbor.key(b"cut", "the key \"cut\"")?;
        let parameters = parameters(&mut cbor)?;
        cbor.key(b"size", "the key \"size\"")?;
        let nar_size = cbor.uint("a number of bytes")?;
        let wrong = cbor.wrong("the key \"parts\" or \"pieces\"");
        let (body, size) = match cbor.text(wrong.expected)? {
            b"pieces" => {
                let (pieces, size) = pieces(&mut cbor, 0)?;
                (IndexBody::Pieces(pieces), size)
            }
            b"parts" => {
                let (parts, size) = parts(&mut cbor)?;
                (IndexBody::Parts(parts), size)
            }
            _ => return Err(wrong.into()),
        };
        cbor.key(b"version", "the key \"version\"")?;
        match cbor.uint("a version")? {
            VERSION => {}
            version => return Err(IndexError::Version { version }),
        }
        cbor.end("the end of the block")?;
        check_size(size, nar_size)?;
        Ok(Self {
            parameters,
            nar_size,
            body,
        })
    }
}

impl Index {
    /// Decodes the root block of the index of a NAR with this signed size.
    ///
    /// # Errors
    /// As [`Self::decode`]; [`IndexError::Size`] if the index is of a NAR of another size.
    pub fn of_nar(block: &[u8], nar_size: u64) -> Result<Self, IndexError> {
        let index = Self::decode(block)?;
        check_size(index.nar_size, nar_size)?;
        Ok(index)
    }
}

impl IndexPart {
    /// Decodes the block of this part.
    ///
    /// # Errors
    /// [`IndexError`] unless the block is the canonical form of pieces with the number and length
    /// of this part.
    pub fn decode(&self, block: &[u8]) -> Result<Vec<PieceEntry>, IndexError> {
        let mut cbor = Reader::new(block);
        let (pieces, end) = pieces(&mut cbor, self.offset)?;
        cbor.end("the end of the block")?;
        check_size(end.saturating_sub(self.offset), self.length)?;
        let count = pieces.len() as u64;
        if count == u64::from(self.pieces) {
            Ok(pieces)
        } else {
            Err(IndexError::Count { count })
        }
    }
}

fn check_size(pieces: u64, expected: u64) -> Result<(), IndexError> {
    if pieces == expected {
        Ok(())
    } else {
        Err(IndexError::Size { pieces, expected })
    }
}

fn parameters(cbor: &mut Reader<'_>) -> Result<Parameters, IndexError> {
    const SHAPE: &str = "a list of 8 lengths";
    let shape = cbor.wrong(SHAPE);
    if cbor.array(SHAPE)? != 8 {
        return Err(shape.into());
    }
    let mut number = || -> Result<u32, IndexError> {
        let number = cbor.uint("a length")?;
        u32::try_from(number).map_err(|_| IndexError::Parameters)
    };
    let (threshold, join) = (number()?, number()?);
    let mut sizes = || -> Result<Sizes, IndexError> {
        let (min, average, max) = (number()?, number()?, number()?);
        Ok(Sizes { min, average, max })
    };
    let (file, group) = (sizes()?, sizes()?);
    Parameters::new(threshold, join, file, group).ok_or(IndexError::Parameters)
}

/// Reads pieces that start at `offset` in the NAR. Returns them and the offset of their end.
fn pieces(cbor: &mut Reader<'_>, offset: u64) -> Result<(Vec<PieceEntry>, u64), IndexError> {
    let count = cbor.array("a list of pieces")?;
    if count > MAX_PIECES as u64 {
        return Err(IndexError::Count { count });
    }
    let (mut pieces, mut offset) = (Vec::new(), offset);
    for _ in 0..count {
        let index = pieces.len();
        let piece = piece(cbor, offset, index)?;
        offset = offset
            .checked_add(u64::from(piece.length))
            .ok_or(IndexError::Piece { index })?;
        pieces.push(piece);
    }
    Ok((pieces, offset))
}

fn piece(cbor: &mut Reader<'_>, offset: u64, index: usize) -> Result<PieceEntry, IndexError> {
    const SHAPE: &str = "a list of two lengths, a digest and leaves";
    let shape = cbor.wrong(SHAPE);
    if cbor.array(SHAPE)? != 4 {
        return Err(shape.into());
    }
    let mut within = |most: u32| -> Result<u32, IndexError> {
        let number = cbor.uint("a length")?;
        let number = u32::try_from(number).ok();
        number
            .filter(|number| (1..=most).contains(number))
            .ok_or(IndexError::Piece { index })
    };
    let (length, compressed) = (within(MAX_PIECE)?, within(MAX_COMPRESSED)?);
    let wrong = cbor.wrong("a SHA-256 of 32 bytes");
    let plain = digest(cbor.bytes(wrong.expected)?, wrong)?;
    let wrong = cbor.wrong("the SHA-256 of leaves");
    let all = cbor.bytes(wrong.expected)?;
    let digests = all.chunks(32).map(|bytes| digest(bytes, wrong));
    let digests = digests.collect::<Result<Vec<_>, _>>()?;
    if digests.len() != leaves(compressed) {
        return Err(IndexError::Piece { index });
    }
    Ok(PieceEntry {
        offset,
        length,
        compressed,
        plain,
        leaves: digests,
    })
}

fn digest(bytes: &[u8], wrong: Unexpected) -> Result<Sha256, Unexpected> {
    let bytes = bytes.try_into().map_err(|_| wrong)?;
    Ok(Sha256::from_bytes(bytes))
}

/// Reads all parts. Returns them and the number of their bytes in the NAR.
fn parts(cbor: &mut Reader<'_>) -> Result<(Vec<IndexPart>, u64), IndexError> {
    const SHAPE: &str = "a list of a link and two numbers";
    let count = cbor.array("a list of parts")?;
    if count > MAX_PARTS as u64 {
        return Err(IndexError::Count { count });
    }
    let (mut parts, mut offset) = (Vec::new(), 0_u64);
    for index in 0..usize::try_from(count).unwrap_or(MAX_PARTS) {
        let shape = cbor.wrong(SHAPE);
        if cbor.array(SHAPE)? != 3 {
            return Err(shape.into());
        }
        let cid = cbor.link()?;
        let length = cbor.uint("a number of bytes")?;
        let count = cbor.uint("a number of pieces")?;
        let pieces = u32::try_from(count)
            .ok()
            .filter(|_| (1..=MAX_PIECES as u64).contains(&count))
            .ok_or(IndexError::Count { count })?;
        parts.push(IndexPart {
            cid,
            offset,
            length,
            pieces,
        });
        offset = offset
            .checked_add(length)
            .ok_or(IndexError::Piece { index })?;
    }
    Ok((parts, offset))
}
