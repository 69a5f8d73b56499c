//! Fetches a directory and everything below it, as a `ReadableStream` of entries and file contents.

use super::event::{number, object};
use super::fetch::{OutputStream, StreamKind, output_stream, start};
use super::gateways::Gateways;
use super::options::FetchOptions;
use crate::driver::{TreeStream as Tree, fetch_outline, fetch_tree};
use interplanar_core::cid;
use interplanar_core::fetch::{TreeEntry, TreeKind, TreePiece};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// A stream of entries and contents; a value of content is at most one block.
const WITH_CONTENT: StreamKind = StreamKind {
    bytes: false,
    high_water: 4.0,
};

/// A stream of entries.
const ENTRIES: StreamKind = StreamKind {
    bytes: false,
    high_water: 256.0,
};

#[wasm_bindgen]
extern "C" {
    /// The runtime's `ReadableStream`.
    #[wasm_bindgen(typescript_type = "ReadableStream<TreeEntry | Uint8Array>")]
    pub type TreeStream;

    /// The runtime's `ReadableStream`.
    #[wasm_bindgen(typescript_type = "ReadableStream<TreeEntry>")]
    pub type OutlineStream;
}

/// Fetches the directory at an `ipfs:` URL and everything below it, in one request if the gateway
/// can do that. The stream yields entries, and after each file its content. Everything is verified
/// against the CID first. A URL of a file yields one entry.
///
/// Throws `CID_…` for an invalid URL; the stream fails with `FETCH_…` or `UNIXFS_…`, or with the
/// signal's reason.
#[wasm_bindgen(js_name = fetchTree)]
pub fn tree(
    url: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
) -> Result<TreeStream, JsValue> {
    let stream = start(
        url,
        gateways,
        options,
        WITH_CONTENT,
        |url, settings, pool, report| {
            let tree = fetch_tree(
                &settings.client,
                url,
                settings.options,
                pool,
                settings.blocks,
                report,
            );
            values(tree)
        },
    )?;
    Ok(JsValue::from(stream).unchecked_into())
}

/// Lists the directory at an `ipfs:` URL and everything below it, without the content of files. The
/// stream yields entries in no particular order. It fetches and verifies the blocks of directories
/// and symlinks, and the first block of files that have several.
///
/// Throws and fails like `fetchTree`.
#[wasm_bindgen(js_name = fetchOutline)]
pub fn outline(
    url: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
) -> Result<OutlineStream, JsValue> {
    let stream = start(
        url,
        gateways,
        options,
        ENTRIES,
        |url, settings, pool, report| {
            let tree = fetch_outline(
                &settings.client,
                url,
                settings.options,
                pool,
                settings.blocks,
                report,
            );
            values(tree)
        },
    )?;
    Ok(JsValue::from(stream).unchecked_into())
}

fn values(tree: Tree) -> OutputStream {
    let value = |piece: Result<TreePiece, _>| {
        piece.map(|piece| match piece {
            TreePiece::Content(bytes) => Uint8Array::from(&*bytes).into(),
            TreePiece::Entry(entry) => value(&entry),
        })
    };
    output_stream(tree, |tree| tree.summary(), value)
}

/// Converts an entry to `TreeEntry` of tree.d.ts.
fn value(entry: &TreeEntry) -> JsValue {
    let text = |bytes: &[u8]| JsValue::from_str(&String::from_utf8_lossy(bytes));
    let mut fields = vec![
        ("path", text(&entry.path)),
        ("cid", JsValue::from_str(&cid::text(&entry.cid))),
    ];
    let kind = match &entry.kind {
        TreeKind::Directory => "directory",
        TreeKind::File { size } => {
            fields.push(("size", number(*size)));
            "file"
        }
        TreeKind::Symlink { target } => {
            fields.push(("target", text(target)));
            "symlink"
        }
    };
    object(kind, &fields)
}
