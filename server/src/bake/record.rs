//! Records: what `publish` stores about a baked item, in `items/<hash part>.json`. A record is
//! written last, so its blocks exist when it does.
//!
//! ```json
//! { "version": 1, "storePath": "/gnu/store/…-hello", "narHash": "sha256:…", "narSize": 1272,
//!   "references": [], "deriver": null, "system": null, "ca": null, "signatures": [],
//!   "narinfo": null,
//!   "representations": [
//!     { "compression": "zstd", "level": 3, "fileSize": 276, "fileHash": "sha256:…",
//!       "cid": "bafy…", "index": "bafy…", "small": "bafy…", "tree": null, "published": false } ] }
//! ```
//! `index` is the root of the chunk index; null or absent, the form is one stream. `small` is the
//! root of the file with the small pieces; old records lack it. `tree` is the directory of the
//! item's files; they share their blocks with this form of the NAR. `narinfo` is the text of a
//! binary cache's narinfo, which keeps its signatures. `published` says that Kubo has pinned the
//! roots.

use interplanar_core::cid::{self, Cid};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::Compression;
use interplanar_core::store_path::StorePath;
use serde::{Deserialize, Serialize};

use super::Compressor;
use crate::store::Item;

/// The version of the file format.
const VERSION: u32 = 1;

/// A baked item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The item as its store describes it.
    pub item: Item,
    /// The text of a binary cache's narinfo for it.
    pub narinfo: Option<String>,
    /// The forms of its NAR.
    pub representations: Vec<Representation>,
}

/// One form of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation {
    /// The compression method.
    pub compression: Compression,
    /// The compression level; 0 without compression, and for files that a binary cache had
    /// compressed.
    pub level: u32,
    /// Bytes of the file.
    pub file_size: u64,
    /// SHA-256 of the file.
    pub file_hash: Sha256,
    /// Root of the UnixFS file.
    pub cid: Cid,
    /// Root of the chunk index, if the form consists of pieces.
    pub index: Option<Cid>,
    /// Root of the file with the small pieces, if there are any.
    pub small: Option<Cid>,
    /// Root of the directory of the item's files, if the form shares their blocks.
    pub tree: Option<Cid>,
    /// Whether Kubo has pinned the roots.
    pub published: bool,
}

impl Representation {
    /// The roots of its DAGs: the file, chunk index, small pieces and tree.
    pub(super) fn roots(&self) -> impl Iterator<Item = Cid> + use<> {
        [Some(self.cid), self.index, self.small, self.tree]
            .into_iter()
            .flatten()
    }
}

impl Record {
    /// Returns the form with a method; of two, the one with a chunk index.
    pub fn representation(&self, method: Compression) -> Option<&Representation> {
        let mut all = self
            .representations
            .iter()
            .filter(|one| one.compression == method);
        let first = all.next()?;
        if first.index.is_some() {
            return Some(first);
        }
        Some(all.find(|one| one.index.is_some()).unwrap_or(first))
    }

    /// Returns the form with a method that is one stream.
    pub fn whole(&self, method: Compression) -> Option<&Representation> {
        let mut all = self.representations.iter();
        all.find(|one| one.compression == method && one.index.is_none())
    }

    /// Returns the form that a compressor makes, at any level.
    pub fn of(&self, compressor: Compressor) -> Option<&Representation> {
        let method = compressor.method();
        if compressor.is_tree() {
            let mut all = self.representations.iter();
            all.find(|one| one.compression == method && one.tree.is_some())
        } else if compressor.is_pieces() {
            let one = self.representation(method);
            one.filter(|one| one.index.is_some())
        } else {
            self.whole(method)
        }
    }

    /// Returns the roots of all its DAGs, each once.
    pub(super) fn roots(&self) -> Vec<Cid> {
        distinct(self.representations.iter())
    }

    /// Returns those roots that Kubo has pinned.
    pub(super) fn pins(&self) -> Vec<Cid> {
        let pinned = self.representations.iter().filter(|one| one.published);
        distinct(pinned)
    }

    /// Marks all forms as not pinned in Kubo.
    pub(super) fn unpublish(&mut self) {
        for one in &mut self.representations {
            one.published = false;
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(&StoredRecord::from(self))
    }

    /// Parses a record; returns `None` if it is malformed or of another version.
    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        let stored: StoredRecord = serde_json::from_slice(json).ok()?;
        stored.read()
    }
}

/// Returns the roots of some forms, each once. A short NAR can be the same block in two forms.
fn distinct<'a>(forms: impl Iterator<Item = &'a Representation>) -> Vec<Cid> {
    let mut roots = Vec::new();
    for root in forms.flat_map(Representation::roots) {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRecord {
    version: u32,
    store_path: String,
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
    deriver: Option<String>,
    system: Option<String>,
    ca: Option<String>,
    signatures: Vec<String>,
    narinfo: Option<String>,
    representations: Vec<StoredRepresentation>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRepresentation {
    compression: String,
    level: u32,
    file_size: u64,
    file_hash: String,
    cid: String,
    #[serde(default)]
    index: Option<String>,
    #[serde(default)]
    small: Option<String>,
    #[serde(default)]
    tree: Option<String>,
    published: bool,
}

impl From<&Record> for StoredRecord {
    fn from(record: &Record) -> Self {
        let item = &record.item;
        let stored = |one: &Representation| StoredRepresentation {
            compression: one.compression.as_str().to_owned(),
            level: one.level,
            file_size: one.file_size,
            file_hash: one.file_hash.to_string(),
            cid: one.cid.to_string(),
            index: one.index.map(|cid| cid.to_string()),
            small: one.small.map(|cid| cid.to_string()),
            tree: one.tree.map(|cid| cid.to_string()),
            published: one.published,
        };
        Self {
            version: VERSION,
            store_path: item.store_path.as_str().to_owned(),
            nar_hash: item.nar_hash.to_string(),
            nar_size: item.nar_size,
            references: item.references.clone(),
            deriver: item.deriver.clone(),
            system: item.system.clone(),
            ca: item.ca.clone(),
            signatures: item.signatures.clone(),
            narinfo: record.narinfo.clone(),
            representations: record.representations.iter().map(stored).collect(),
        }
    }
}

impl StoredRecord {
    fn read(self) -> Option<Record> {
        if self.version != VERSION || self.representations.is_empty() {
            return None;
        }
        let read = |one: StoredRepresentation| {
            let parse = |cid: Option<&str>| cid.map(cid::parse).transpose().ok();
            Some(Representation {
                compression: Compression::parse(&one.compression)?,
                level: one.level,
                file_size: one.file_size,
                file_hash: Sha256::parse(&one.file_hash).ok()?,
                cid: cid::parse(&one.cid).ok()?,
                index: parse(one.index.as_deref())?,
                small: parse(one.small.as_deref())?,
                tree: parse(one.tree.as_deref())?,
                published: one.published,
            })
        };
        Some(Record {
            item: Item {
                store_path: StorePath::parse(&self.store_path).ok()?,
                nar_hash: Sha256::parse(&self.nar_hash).ok()?,
                nar_size: self.nar_size,
                references: self.references,
                deriver: self.deriver,
                system: self.system,
                ca: self.ca,
                signatures: self.signatures,
            },
            narinfo: self.narinfo,
            representations: self
                .representations
                .into_iter()
                .map(read)
                .collect::<Option<_>>()?,
        })
    }
}
