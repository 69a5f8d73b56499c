//! Reads a CAR file in parts: its roots, and its blocks after each was checked against its CID.

use super::error::{js, make};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{CarError, Item, Reader};
use interplanar_core::cid;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `[cid: string, bytes: Uint8Array][]`.
    #[wasm_bindgen(typescript_type = "[cid: string, bytes: Uint8Array<ArrayBuffer>][]")]
    pub type CarBlocks;
}

/// Reads one CARv1 in parts.
#[wasm_bindgen]
#[derive(Default)]
pub struct CarReader {
    reader: Reader,
    roots: Vec<String>,
}

fn malformed(error: CarError) -> JsValue {
    make(&error.to_string(), "CAR", None, None)
}

#[wasm_bindgen]
impl CarReader {
    /// Creates a reader for one file.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes, and returns the blocks that are now complete.
    ///
    /// Throws `CAR` if the bytes aren't a CAR, and `CID_…` if a block doesn't match its CID. The
    /// reader can't be used afterwards.
    pub fn push(&mut self, bytes: Vec<u8>) -> Result<CarBlocks, JsValue> {
        let (mut input, blocks) = (Bytes::from(bytes), Array::new());
        while let Some(item) = self.reader.push(&mut input).map_err(malformed)? {
            match item {
                Item::Header { roots } => self.roots = roots.iter().map(cid::text).collect(),
                Item::Block { cid, data } => {
                    let block = Block::verify(cid, data).map_err(js)?;
                    let bytes = Uint8Array::from(&**block.data());
                    let name = JsValue::from_str(&cid::text(block.cid()));
                    blocks.push(&Array::of2(&name, &bytes));
                }
            }
        }
        Ok(JsValue::from(blocks).unchecked_into())
    }

    /// Ends the file.
    ///
    /// Throws `CAR` if the file is incomplete.
    pub fn finish(&self) -> Result<(), JsValue> {
        self.reader.finish().map_err(malformed)
    }

    /// The roots in the file's header. The file may not contain their blocks.
    #[wasm_bindgen(getter)]
    pub fn roots(&self) -> Vec<String> {
        self.roots.clone()
    }
}
