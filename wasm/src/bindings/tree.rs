//! A directory with all that is below it, as a `ReadableStream` of entries and of pieces of files.

use super::event::{number, object};
use super::fetch::{Flow, Kind, flow, start};
use super::gateways::Gateways;
use super::options::FetchOptions;
use crate::driver::{TreeStream as Tree, fetch_outline, fetch_tree};
use interplanar_core::cid;
use interplanar_core::fetch::{TreeEntry, TreeKind, TreePiece};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// Entries, and pieces of at most a block.
const PIECES: Kind = Kind {
    bytes: false,
    high_water: 4.0,
};

/// Entries alone.
const ENTRIES: Kind = Kind {
    bytes: false,
    high_water: 256.0,
};

#[wasm_bindgen]
extern "C" {
    /// The runtime's own.
    #[wasm_bindgen(typescript_type = "ReadableStream<TreeEntry | Uint8Array>")]
    pub type TreeStream;

    /// The runtime's own.
    #[wasm_bindgen(typescript_type = "ReadableStream<TreeEntry>")]
    pub type OutlineStream;
}

/// Fetches the directory at an `ipfs:` URL with all that is below it, in one request where a gateway can. The stream gives entries; each file is followed
/// by pieces of its content. Everything was verified against the CID before it is handed out. A file is a tree of one entry.
///
/// Throws `CID_…` for a URL that can't be fetched; the stream fails with `FETCH_…` or `UNIXFS_…`, or with the signal's reason.
#[wasm_bindgen(js_name = fetchTree)]
pub fn tree(
    url: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
) -> Result<TreeStream, JsValue> {
    let stream = start(url, gateways, options, PIECES, |url, read, pool, report| {
        let tree = fetch_tree(&read.client, url, read.options, pool, read.blocks, report);
        values(tree)
    })?;
    Ok(JsValue::from(stream).unchecked_into())
}

/// Fetches what is in the directory at an `ipfs:` URL and below it, without the content of files: the stream gives entries in no particular order. Blocks of
/// directories are fetched, those of links and the first one of files that are more than one, and all were verified.
///
/// Throws and fails as `fetchTree` does.
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
        |url, read, pool, report| {
            let tree = fetch_outline(&read.client, url, read.options, pool, read.blocks, report);
            values(tree)
        },
    )?;
    Ok(JsValue::from(stream).unchecked_into())
}

fn values(tree: Tree) -> Flow {
    let value = |piece: Result<TreePiece, _>| {
        piece.map(|piece| match piece {
            TreePiece::Content(bytes) => Uint8Array::from(&*bytes).into(),
            TreePiece::Entry(entry) => value(&entry),
        })
    };
    flow(tree, |tree| tree.summary(), value)
}

/// The entry as `TreeEntry` of tree.d.ts.
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
