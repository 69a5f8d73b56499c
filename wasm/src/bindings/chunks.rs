//! Parts of a deduplicating NAR, by its chunk index and without the rest of it. Fetching the blocks is the caller's.

use super::error::{js, make};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid;
use interplanar_core::dedup::{Body, Entry, Index, Part, covering, parts_covering};
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

/// The chunk index that a narinfo names (`ChunkIndex:`). No signature covers it: what comes by it is what it says, and which NAR that is only the
/// NarHash of the whole tells.
#[wasm_bindgen]
pub struct ChunkIndex {
    nar_size: u64,
    /// Blocks of pieces, if the root has none itself.
    parts: Vec<Part>,
    /// Pieces that were read, by where the first one starts.
    read: BTreeMap<u64, Vec<Entry>>,
}

#[derive(Serialize)]
struct Line {
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
    /// Throws `CID_…` for wrong bytes and `CHUNK_INDEX` for what is no index.
    pub fn parse(cid: &str, block: Vec<u8>) -> Result<ChunkIndex, JsValue> {
        let block = verified(cid, block)?;
        let index = Index::decode(block.data()).map_err(malformed)?;
        let (parts, read) = match index.body {
            Body::Pieces(pieces) => (Vec::new(), BTreeMap::from([(0, pieces)])),
            Body::Parts(parts) => (parts, BTreeMap::new()),
        };
        Ok(Self {
            nar_size: index.nar_size,
            parts,
            read,
        })
    }

    /// Bytes of the NAR.
    #[wasm_bindgen(getter, js_name = narSize)]
    pub fn nar_size(&self) -> f64 {
        self.nar_size as f64
    }

    /// The blocks to `add` before the pieces of these bytes of the NAR (`to` is behind the last one) are known.
    pub fn missing(&self, from: f64, to: f64) -> Vec<String> {
        let parts = parts_covering(&self.parts, from as u64..to as u64).iter();
        parts
            .filter(|part| !self.read.contains_key(&part.offset))
            .map(|part| cid::text(&part.cid))
            .collect()
    }

    /// Reads such a block.
    ///
    /// Throws as `parse` does.
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

    /// The pieces that have these bytes of the NAR.
    pub fn pieces(&self, from: f64, to: f64) -> Result<Chunks, JsValue> {
        let range = from as u64..to as u64;
        let pieces = self.read.values();
        let pieces = pieces.flat_map(|pieces| covering(pieces, range.clone()));
        let lines = pieces.map(|piece| Line {
            offset: piece.offset,
            length: piece.length,
            leaves: piece.cids().map(|leaf| cid::text(&leaf)).collect(),
        });
        let lines: Vec<Line> = lines.collect();
        Ok(serde_wasm_bindgen::to_value(&lines)?.unchecked_into())
    }

    /// The bytes of the piece that starts at `offset`, out of those of its leaves in their order.
    ///
    /// Throws `CHUNK_INDEX` for what isn't the piece that the index means.
    pub fn decode(&self, offset: f64, leaves: &[u8]) -> Result<Uint8Array, JsValue> {
        let offset = offset as u64;
        let mut pieces = self.read.values().flatten();
        let piece = pieces.find(|piece| piece.offset == offset);
        let piece = piece.ok_or_else(|| malformed("no piece starts there"))?;
        let plain = piece.open(leaves).map_err(malformed)?;
        Ok(Uint8Array::from(plain.as_slice()))
    }
}
