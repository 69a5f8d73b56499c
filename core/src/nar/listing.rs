//! The listing of an archive: its tree with the offset of each file, as in Nix's `.ls` files, version 1.
//!
//! ```text
//! {"version":1,"root":NODE}
//! NODE := {"type":"regular","size":N,"narOffset":N[,"executable":true]} | {"type":"symlink","target":T}
//!       | {"type":"directory","entries":{NAME:NODE,…}}
//! ```
//! Beside Nix's fields an entry may have its `"cid"`, where the item is on IPFS as a tree; whoever doesn't know the field ignores it.
//! Names that are not UTF-8 are written with replacement characters, since JSON has no bytes. Source: Nix 2.34 (`nix copy` with `write-nar-listing`).

use super::{Event, MAX_DEPTH, NarError};
use crate::cid::Cid;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Most entries of a listing.
pub const MAX_ENTRIES: usize = 4 << 20;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory; its entries follow in the listing, one level deeper.
    Directory,
    /// A file.
    File {
        /// Whether it may be run.
        executable: bool,
        /// Bytes of its content.
        size: u64,
        /// Where its content starts in the archive.
        nar_offset: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: Vec<u8>,
    },
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Directories above it; 0 is the root.
    pub depth: usize,
    /// Its name; the root's is empty.
    pub name: Vec<u8>,
    /// What it is.
    pub node: Node,
}

/// The tree of an archive, depth first, in the archive's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    entries: Vec<ListEntry>,
    /// Of the entry that is open.
    name: Vec<u8>,
    depth: usize,
}

impl Listing {
    /// Starts without anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the parser's next event.
    ///
    /// # Errors
    /// [`NarError::TooMany`].
    pub fn push(&mut self, event: Event<'_>) -> Result<(), NarError> {
        match event {
            Event::EntryStart { name } => {
                self.name = name.to_vec();
                self.depth = self.depth.saturating_add(1);
                Ok(())
            }
            Event::EntryEnd => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Event::DirectoryStart => self.add(Node::Directory),
            Event::Symlink { target } => self.add(Node::Symlink {
                target: target.to_vec(),
            }),
            Event::FileStart {
                executable,
                size,
                offset,
            } => self.add(Node::File {
                executable,
                size,
                nar_offset: offset,
            }),
            Event::DirectoryEnd | Event::FileData(_) | Event::FileEnd | Event::End => Ok(()),
        }
    }

    fn add(&mut self, node: Node) -> Result<(), NarError> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(NarError::TooMany { at: 0 });
        }
        let name = core::mem::take(&mut self.name);
        self.entries.push(ListEntry {
            depth: self.depth,
            name,
            node,
        });
        Ok(())
    }

    /// Everything, depth first; the root is the first.
    #[must_use]
    pub fn entries(&self) -> &[ListEntry] {
        &self.entries
    }

    /// What stands at a path of names with slashes between; the empty path is the root. Links are not followed.
    #[must_use]
    pub fn lookup(&self, path: &[u8]) -> Option<&ListEntry> {
        let mut rest = self.entries.as_slice();
        let mut found = rest.first()?;
        for (index, name) in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .enumerate()
        {
            let depth = index.saturating_add(1);
            rest = rest.get(1..)?;
            // Only what is below: up to the next entry on the level above.
            let below = rest
                .iter()
                .position(|entry| entry.depth < depth)
                .unwrap_or(rest.len());
            rest = rest.get(..below)?;
            let at = rest
                .iter()
                .position(|entry| entry.depth == depth && entry.name == name)?;
            rest = rest.get(at..)?;
            found = rest.first()?;
        }
        Some(found)
    }

    /// The `.ls` text.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_json_with(&[])
    }

    /// The `.ls` text with the CIDs of the entries, in their order, as further fields.
    #[must_use]
    pub fn to_json_with(&self, cids: &[Cid]) -> String {
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let cid = cids.get(index).map(ToString::to_string);
            while open.len() > entry.depth {
                close(&mut open, &mut root);
            }
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            match &entry.node {
                Node::Directory => open.push(Open {
                    name,
                    cid,
                    entries: BTreeMap::new(),
                }),
                Node::File {
                    executable,
                    size,
                    nar_offset,
                } => {
                    let file = Json::Regular {
                        executable: *executable,
                        nar_offset: *nar_offset,
                        size: *size,
                        cid,
                    };
                    place(&mut open, &mut root, name, file);
                }
                Node::Symlink { target } => {
                    let target = String::from_utf8_lossy(target).into_owned();
                    place(&mut open, &mut root, name, Json::Symlink { target, cid });
                }
            }
        }
        while !open.is_empty() {
            close(&mut open, &mut root);
        }
        let file = Ls {
            version: 1,
            root: root.unwrap_or(Json::Directory {
                entries: BTreeMap::new(),
                cid: None,
            }),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// Reads a `.ls` text; `None` for what is none, is of another version, or is deeper than an archive may be.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        // serde_json refuses more than 128 levels, so this recursion of its own is bounded.
        let file: Ls = serde_json::from_str(text)
            .ok()
            .filter(|file: &Ls| file.version == 1)?;
        let mut listing = Self::new();
        let mut open = Vec::from([(0_usize, String::new(), file.root)]);
        while let Some((depth, name, json)) = open.pop() {
            if depth > MAX_DEPTH {
                return None;
            }
            let (node, entries) = match json {
                Json::Regular {
                    executable,
                    nar_offset,
                    size,
                    ..
                } => (
                    Node::File {
                        executable,
                        size,
                        nar_offset,
                    },
                    BTreeMap::new(),
                ),
                Json::Symlink { target, .. } => (
                    Node::Symlink {
                        target: target.into_bytes(),
                    },
                    BTreeMap::new(),
                ),
                Json::Directory { entries, .. } => (Node::Directory, entries),
            };
            listing.depth = depth;
            listing.name = name.into_bytes();
            listing.add(node).ok()?;
            open.extend(
                entries
                    .into_iter()
                    .rev()
                    .map(|(name, json)| (depth.saturating_add(1), name, json)),
            );
        }
        listing.depth = 0;
        Some(listing)
    }
}

/// A directory whose entries have not all come.
struct Open {
    name: String,
    cid: Option<String>,
    entries: BTreeMap<String, Json>,
}

fn place(open: &mut [Open], root: &mut Option<Json>, name: String, json: Json) {
    match open.last_mut() {
        Some(parent) => drop(parent.entries.insert(name, json)),
        None => *root = Some(json),
    }
}

fn close(open: &mut Vec<Open>, root: &mut Option<Json>) {
    if let Some(Open { name, cid, entries }) = open.pop() {
        place(open, root, name, Json::Directory { entries, cid });
    }
}

#[derive(Serialize, Deserialize)]
struct Ls {
    root: Json,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Json {
    Regular {
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        executable: bool,
        #[serde(rename = "narOffset", default)]
        nar_offset: u64,
        #[serde(default)]
        size: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cid: Option<String>,
    },
    Symlink {
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cid: Option<String>,
    },
    Directory {
        entries: BTreeMap<String, Json>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cid: Option<String>,
    },
}
