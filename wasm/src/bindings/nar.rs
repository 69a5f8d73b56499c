//! Reads a NAR in parts: its entries, one file, and whether it is the NAR of a narinfo.

use super::error::{js, make};
use super::narinfo::NarInfo;
use interplanar_core::hash::Sha256Hasher;
use interplanar_core::nar::{Event, Listing, Node, Parser};
use js_sys::Uint8Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `NarEntry[]`.
    #[wasm_bindgen(typescript_type = "NarEntry[]")]
    pub type NarEntries;
}

/// Reads one uncompressed NAR in parts.
#[wasm_bindgen]
pub struct NarReader {
    parser: Parser,
    listing: Listing,
    hasher: Sha256Hasher,
    /// Path of the file whose content `push` returns.
    wanted: Option<Vec<u8>>,
    /// Path of the entry that is being read.
    path: Vec<u8>,
    found: bool,
}

#[wasm_bindgen]
impl NarReader {
    /// Creates a reader. It returns the content of the file at `path`, if that is given. The empty
    /// path means a NAR that consists of one file.
    #[wasm_bindgen(constructor)]
    pub fn new(path: Option<String>) -> Self {
        Self {
            parser: Parser::new(),
            listing: Listing::new(),
            hasher: Sha256Hasher::new(),
            wanted: path.map(String::into_bytes),
            path: Vec::new(),
            found: false,
        }
    }

    /// Reads the next bytes of the NAR, and returns those that belong to the wanted file.
    ///
    /// Throws `NAR_…`; `at` is the byte. The reader can't be used afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Uint8Array, JsValue> {
        self.hasher.update(bytes);
        let (mut input, mut content) = (bytes, Vec::new());
        while let Some(event) = self.parser.push(&mut input).map_err(js)? {
            let is_wanted = self.wanted.as_ref() == Some(&self.path);
            match event {
                Event::EntryStart { name } => {
                    if !self.path.is_empty() {
                        self.path.push(b'/');
                    }
                    self.path.extend_from_slice(name);
                }
                Event::EntryEnd => {
                    let parent = self.path.iter().rposition(|byte| *byte == b'/');
                    self.path.truncate(parent.unwrap_or(0));
                }
                Event::FileStart { .. } => self.found |= is_wanted,
                Event::FileData(data) if is_wanted => content.extend_from_slice(data),
                _ => {}
            }
            self.listing.push(event).map_err(js)?;
        }
        Ok(Uint8Array::from(content.as_slice()))
    }

    /// Ends the NAR.
    ///
    /// Throws `NAR_TRUNCATED` if it is incomplete, or `NAR_NO_FILE` if it has no file at the wanted
    /// path.
    pub fn finish(&self) -> Result<(), JsValue> {
        self.parser.finish().map_err(js)?;
        if self.wanted.is_some() && !self.found {
            let message = "no file at this path";
            return Err(make(message, "NAR_NO_FILE", None, None));
        }
        Ok(())
    }

    /// Checks that the bytes are one whole NAR, and the NAR of a narinfo. Verify the narinfo first.
    ///
    /// Throws `NAR_SIZE`, `NAR_HASH` or `NAR_TRUNCATED`.
    pub fn verify(&self, info: &NarInfo) -> Result<(), JsValue> {
        let (info, at) = (&info.info, self.parser.position());
        if at != info.nar_size() {
            let message = format!("expected a NAR of {} bytes", info.nar_size());
            return Err(make(&message, "NAR_SIZE", Some(at), None));
        }
        if self.hasher.clone().finish() != info.nar_hash() {
            let message = format!("expected a NAR with hash {}", info.nar_hash());
            return Err(make(&message, "NAR_HASH", None, None));
        }
        // Equal hashes don't make it a NAR: somebody may have signed the hash of half a NAR.
        self.parser.finish().map_err(js)
    }

    /// Returns all entries read so far, depth first.
    pub fn entries(&self) -> Result<NarEntries, JsValue> {
        entries(&self.listing)
    }

    /// Returns the entries as JSON in the format of Nix's `.ls` files.
    pub fn listing(&self) -> String {
        self.listing.to_json()
    }
}

/// Converts the entries of a listing to JavaScript.
pub(super) fn entries(listing: &Listing) -> Result<NarEntries, JsValue> {
    let mut open: Vec<String> = Vec::new();
    let mut entries = Vec::new();
    for entry in listing.entries() {
        open.truncate(entry.depth.saturating_sub(1));
        if entry.depth > 0 {
            open.push(text(&entry.name));
        }
        let mut line = JsEntry {
            path: open.join("/"),
            ..JsEntry::default()
        };
        match &entry.node {
            Node::Directory => line.kind = "directory",
            Node::File {
                executable,
                size,
                nar_offset,
            } => {
                line.kind = "regular";
                line.executable = Some(*executable);
                line.size = Some(*size);
                line.nar_offset = Some(*nar_offset);
            }
            Node::Symlink { target } => {
                line.kind = "symlink";
                line.target = Some(text(target));
            }
        }
        entries.push(line);
    }
    Ok(serde_wasm_bindgen::to_value(&entries)?.unchecked_into())
}

/// Converts a name to text. Bytes that aren't UTF-8 become replacement characters.
fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsEntry {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nar_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}
