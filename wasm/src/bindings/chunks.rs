//! Reads parts of a NAR by its chunk index. The caller fetches the blocks.

use super::error::{js, make};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid;
use interplanar_core::dedup::{Index, IndexBody, IndexPart, PieceEntry, covering, parts_covering};
use js_sys::Uint8Array;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `Chunk[]`.
    #[wasm_bindgen(typescript_type = "Chunk[]")]
    pub type Chunks;
}

/// The chunk index that a narinfo names (`ChunkIndex:`). No signature covers it. Its pieces are
/// verified against the index, but only the NarHash of the whole NAR shows that this is the signed
/// NAR.
#[wasm_bindgen]
pub struct ChunkIndex {
    nar_size: u64,
    /// Blocks that list pieces; empty if the root block lists them itself.
    parts: Vec<IndexPart>,
    /// Pieces that were read, by the offset of the first piece of their block.
    read: BTreeMap<u64, Vec<PieceEntry>>,
}

#[derive(Serialize)]
struct JsChunk {
    offset: u64,
    length: u32,
    leaves: Vec<String>,
}

fn malformed(error: impl Display) -> JsValue {
    make(&error.to_string(), "CHUNK_INDEX", None, None)
}

fn verified(cid: &str, bytes: Vec<u8>) -> Result<Block, JsValue> {
    let cid = cid::parse(cid).map_err(js)?;
    Block::verify(cid, Bytes::from(bytes)).map_err(js)
}

#[wasm_bindgen]
impl ChunkIndex {
    /// Reads the root block of an index.
    ///
    /// Throws `CID_…` if the bytes don't match the CID, and `CHUNK_INDEX` if they aren't an index.
    pub fn parse(cid: &str, block: Vec<u8>) -> Result<ChunkIndex, JsValue> {
        let block = verified(cid, block)?;
        let index = Index::decode(block.data()).map_err(malformed)?;
        let (parts, read) = match index.body {
            IndexBody::Pieces(pieces) => (Vec::new(), BTreeMap::from([(0, pieces)])),
            IndexBody::Parts(parts) => (parts, BTreeMap::new()),
        };
        Ok(Self {
            nar_size: index.nar_size,
            parts,
            read,
        })
    }

    /// Size of the NAR in bytes.
    #[wasm_bindgen(getter, js_name = narSize)]
    pub fn nar_size(&self) -> f64 {
        self.nar_size as f64
    }

    /// Returns the CIDs of the blocks to `add` before `pieces` knows all pieces of this range of
    /// the NAR. The range ends before `to`.
    pub fn missing(&self, from: f64, to: f64) -> Vec<String> {
        let parts = parts_covering(&self.parts, from as u64..to as u64).iter();
        parts
            .filter(|part| !self.read.contains_key(&part.offset))
            .map(|part| cid::text(&part.cid))
            .collect()
    }

    /// Reads a block that `missing` named.
    ///
    /// Throws the same errors as `parse`.
    pub fn add(&mut self, cid: &str, block: Vec<u8>) -> Result<(), JsValue> {
        let block = verified(cid, block)?;
        for part in &self.parts {
            if part.cid == *block.cid() && !self.read.contains_key(&part.offset) {
                let pieces = part.decode(block.data()).map_err(malformed)?;
                self.read.insert(part.offset, pieces);
            }
        }
        Ok(())
    }

    /// Returns the pieces that contain this range of the NAR. The range ends before `to`.
    pub fn pieces(&self, from: f64, to: f64) -> Result<Chunks, JsValue> {
        let range = from as u64..to as u64;
        let pieces = self.read.values();
        let pieces = pieces.flat_map(|pieces| covering(pieces, range.clone()));
        let chunks = pieces.map(|piece| JsChunk {
            offset: piece.offset,
            length: piece.length,
            leaves: piece.cids().map(|leaf| cid::text(&leaf)).collect(),
        });
        let chunks: Vec<JsChunk> = chunks.collect();
        Ok(serde_wasm_bindgen::to_value(&chunks)?.unchecked_into())
    }

    /// Decompresses the piece that starts at `offset`. `leaves` are the bytes of its leaves, one
    /// after the other.
    ///
    /// Throws `CHUNK_INDEX` if the bytes aren't the piece in the index.
    pub fn decode(&self, offset: f64, leaves: &[u8]) -> Result<Uint8Array, JsValue> {
        let offset = offset as u64;
        let mut pieces = self.read.values().flatten();
        let piece = pieces.find(|piece| piece.offset == offset);
        let piece = piece.ok_or_else(|| malformed("no piece starts at this offset"))?;
        let plain = piece.open(leaves).map_err(malformed)?;
        Ok(Uint8Array::from(plain.as_slice()))
    }
}
