//! Fetches one block as a `ReadableStream`.

use super::fetch::{CONTENT, output_stream, start};
use super::gateways::Gateways;
use super::options::FetchOptions;
use super::stream::ReadableStream;
use crate::driver::fetch_block;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// Fetches the block with this CID, of any codec. Use it for blocks that aren't files. The block is
/// verified against the CID before the stream yields its bytes.
///
/// Throws `CID_…` for an invalid or unsupported CID; the stream fails with `FETCH_…` or with the
/// signal's reason.
#[wasm_bindgen(js_name = fetchBlock)]
pub fn block(
    cid: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
) -> Result<ReadableStream, JsValue> {
    let url = format!("ipfs://{cid}");
    start(
        &url,
        gateways,
        options,
        CONTENT,
        |url, settings, pool, report| {
            let (client, cid) = (&settings.client, url.cid);
            let block = fetch_block(client, cid, settings.options, pool, settings.blocks, report);
            let value = |bytes: Result<bytes::Bytes, _>| {
                bytes.map(|bytes| Uint8Array::from(&*bytes).into())
            };
            output_stream(block, |block| block.summary(), value)
        },
    )
}
