//! What a block leads to, for whoever wants to know the blocks of a file without fetching all of them.

use super::error::{js, make};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, RAW};
use interplanar_core::dag_pb::Node;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `BlockLink[]`.
    #[wasm_bindgen(typescript_type = "BlockLink[]")]
    pub type BlockLinks;
}

#[derive(Serialize)]
struct Line {
    cid: String,
    size: u64,
    leaf: bool,
}

/// Checks a block against its CID and gives its links in their order; a raw block has none.
///
/// Throws `CID_…` for wrong bytes and `DAG_PB` for what is no node.
#[wasm_bindgen(js_name = blockLinks)]
pub fn block_links(cid: &str, bytes: Vec<u8>) -> Result<BlockLinks, JsValue> {
    let cid = cid::parse(cid).map_err(js)?;
    let block = Block::verify(cid, Bytes::from(bytes)).map_err(js)?;
    let malformed = |error: interplanar_core::dag_pb::DagPbError| {
        make(&error.to_string(), "DAG_PB", None, None)
    };
    let links = if block.cid().codec() == RAW {
        Vec::new()
    } else {
        Node::decode(block.data()).map_err(malformed)?.links
    };
    let lines = links.iter().map(|link| Line {
        cid: cid::text(&link.cid),
        size: link.tsize,
        leaf: link.cid.codec() == RAW,
    });
    let lines: Vec<Line> = lines.collect();
    Ok(serde_wasm_bindgen::to_value(&lines)?.unchecked_into())
}
