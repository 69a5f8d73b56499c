//! The encoder and builder of chunk indexes.

use super::{Index, IndexBody, IndexPart, MAX_PIECES, PieceEntry, VERSION};
use crate::block::Block;
use crate::cid::Cid;
use crate::dag_cbor::{put_array, put_bytes, put_link, put_map, put_text, put_uint};
use crate::dedup::cut::Parameters;
use alloc::vec::Vec;

impl Index {
    /// Encodes the root block.
    #[must_use]
    pub fn encode(&self) -> Block {
        let mut out = Vec::new();
        put_map(4, &mut out);
        put_text(b"cut", &mut out);
        put_parameters(&self.parameters, &mut out);
        put_text(b"size", &mut out);
        put_uint(self.nar_size, &mut out);
        match &self.body {
            IndexBody::Pieces(pieces) => {
                put_text(b"pieces", &mut out);
                put_pieces(pieces, &mut out);
            }
            IndexBody::Parts(parts) => {
                put_text(b"parts", &mut out);
                put_array(parts.len(), &mut out);
                for part in parts {
                    put_array(3, &mut out);
                    put_link(&part.cid, &mut out);
                    put_uint(part.length, &mut out);
                    put_uint(u64::from(part.pieces), &mut out);
                }
            }
        }
        put_text(b"version", &mut out);
        put_uint(VERSION, &mut out);
        Block::dag_cbor(out.into())
    }
}

fn put_parameters(parameters: &Parameters, out: &mut Vec<u8>) {
    let (file, group) = (parameters.file(), parameters.group());
    put_array(8, out);
    for number in [
        parameters.threshold(),
        parameters.join(),
        file.min,
        file.average,
        file.max,
        group.min,
        group.average,
        group.max,
    ] {
        put_uint(u64::from(number), out);
    }
}

fn put_pieces(pieces: &[PieceEntry], out: &mut Vec<u8>) {
    put_array(pieces.len(), out);
    let mut leaves = Vec::new();
    for piece in pieces {
        leaves.clear();
        let digests = piece.leaves.iter().flat_map(|leaf| leaf.as_bytes());
        leaves.extend(digests);
        put_array(4, out);
        put_uint(u64::from(piece.length), out);
        put_uint(u64::from(piece.compressed), out);
        put_bytes(piece.plain.as_bytes(), out);
        put_bytes(&leaves, out);
    }
}

/// Builds an index piece by piece. Keeps one part in memory.
#[derive(Debug, Clone)]
pub struct IndexBuilder {
    parameters: Parameters,
    /// Pieces that are in no part yet.
    pieces: Vec<PieceEntry>,
    parts: Vec<IndexPart>,
    /// Offset at which the next piece starts in the NAR.
    offset: u64,
}

impl IndexBuilder {
    /// Starts the index of a NAR that is cut with these parameters.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            pieces: Vec::new(),
            parts: Vec::new(),
            offset: 0,
        }
    }

    /// Adds the next piece of the NAR. Sets its `offset` from the pieces before it. Sends full
    /// parts to `sink`.
    pub fn add(&mut self, piece: PieceEntry, sink: &mut impl FnMut(Block)) {
        if self.pieces.len() >= MAX_PIECES {
            self.finish_part(sink);
        }
        let offset = self.offset;
        self.offset = offset.saturating_add(u64::from(piece.length));
        self.pieces.push(PieceEntry { offset, ..piece });
    }

    /// Ends the index. Sends the last blocks to `sink`, the root last.
    pub fn finish(mut self, sink: &mut impl FnMut(Block)) -> Cid {
        if !self.parts.is_empty() {
            self.finish_part(sink);
        }
        let body = if self.parts.is_empty() {
            IndexBody::Pieces(self.pieces)
        } else {
            IndexBody::Parts(self.parts)
        };
        let root = Index {
            parameters: self.parameters,
            nar_size: self.offset,
            body,
        };
        let root = root.encode();
        let cid = *root.cid();
        sink(root);
        cid
    }

    fn finish_part(&mut self, sink: &mut impl FnMut(Block)) {
        let pieces = core::mem::take(&mut self.pieces);
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return;
        };
        let mut out = Vec::new();
        put_pieces(&pieces, &mut out);
        let block = Block::dag_cbor(out.into());
        self.parts.push(IndexPart {
            cid: *block.cid(),
            offset: first.offset,
            length: last.end().saturating_sub(first.offset),
            pieces: u32::try_from(pieces.len()).unwrap_or(u32::MAX),
        });
        sink(block);
    }
}
