//! One block as a `ReadableStream`.

use super::fetch::{CONTENT, flow, start};
use super::gateways::Gateways;
use super::options::FetchOptions;
use super::stream::ReadableStream;
use crate::driver::fetch_block;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// Fetches the one block of a CID, whatever its codec, as gateways have it: the way to blocks that are no files. Its bytes were verified against the CID
/// before any of them is handed out.
///
/// Throws `CID_…` for a CID that can't be fetched; the stream fails with `FETCH_…`, or with the signal's reason.
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
        |url, read, pool, report| {
            let (client, cid) = (&read.client, url.cid);
            let block = fetch_block(client, cid, read.options, pool, read.blocks, report);
            let piece = |piece: Result<bytes::Bytes, _>| {
                piece.map(|bytes| Uint8Array::from(&*bytes).into())
            };
            flow(block, |block| block.summary(), piece)
        },
    )
}
