//! The links of a block, to list the blocks of a file without fetching all of them.

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
struct JsLink {
    cid: String,
    size: u64,
    leaf: bool,
}

/// Checks a block against its CID, and returns its links in order. A raw block has none.
///
/// Throws `CID_…` if the bytes don't match the CID, and `DAG_PB` if the block isn't a node.
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
    let links = links.iter().map(|link| JsLink {
        cid: cid::text(&link.cid),
        size: link.tsize,
        leaf: link.cid.codec() == RAW,
    });
    let links: Vec<JsLink> = links.collect();
    Ok(serde_wasm_bindgen::to_value(&links)?.unchecked_into())
}
