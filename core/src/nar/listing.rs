//! The listing of an archive: its tree, with the offset of each file. Reads and writes Nix's `.ls`
//! files, version 1.
//!
//! ```text
//! {"version":1,"root":NODE}
//! NODE := {"type":"regular","size":N,"narOffset":N[,"executable":true]}
//!       | {"type":"symlink","target":T}
//!       | {"type":"directory","entries":{NAME:NODE,…}}
//! ```
//! An entry may have one more field than Nix's: `"cid"`, if the item is on IPFS as a tree. Readers
//! that don't know the field ignore it. JSON has no bytes, so names that are not UTF-8 are written
//! with replacement characters. Source: Nix 2.34 (`nix copy` with `write-nar-listing`).

use super::{Event, MAX_DEPTH, NarError};
use crate::cid::Cid;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Most entries of a listing.
pub const MAX_ENTRIES: usize = 4 << 20;

/// The file, directory or symlink at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory. Its entries follow in the listing, one level deeper.
    Directory,
    /// A file.
    File {
        /// Whether the file is executable.
        executable: bool,
        /// Bytes of its content.
        size: u64,
        /// Offset of its content in the archive.
        nar_offset: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Target of the link.
        target: Vec<u8>,
    },
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Number of directories above it; 0 for the root.
    pub depth: usize,
    /// Its name; empty for the root.
    pub name: Vec<u8>,
    /// The file, directory or symlink itself.
    pub node: Node,
}

/// The tree of an archive, depth first, in the order of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    entries: Vec<ListEntry>,
    /// Name of the entry that is being read.
    name: Vec<u8>,
    depth: usize,
}

impl Listing {
    /// Creates an empty listing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the parser's next event.
    ///
    /// # Errors
    /// [`NarError::TooMany`] after [`MAX_ENTRIES`] entries.
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

    /// Returns all entries, depth first, the root first.
    #[must_use]
    pub fn entries(&self) -> &[ListEntry] {
        &self.entries
    }

    /// Finds the entry at a path of names separated by slashes. The empty path is the root.
    /// Symlinks are not followed.
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
            // Search only below this entry: up to the next entry of a higher level.
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

    /// Returns the `.ls` text.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_json_with(&[])
    }

    /// Returns the `.ls` text with the CIDs of the entries, in their order, in the field `cid`.
    #[must_use]
    pub fn to_json_with(&self, cids: &[Cid]) -> String {
        let mut open: Vec<OpenDirectory> = Vec::new();
        let mut root = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let cid = cids.get(index).map(ToString::to_string);
            while open.len() > entry.depth {
                close_directory(&mut open, &mut root);
            }
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            match &entry.node {
                Node::Directory => open.push(OpenDirectory {
                    name,
                    cid,
                    entries: BTreeMap::new(),
                }),
                Node::File {
                    executable,
                    size,
                    nar_offset,
                } => {
                    let file = JsonNode::Regular {
                        executable: *executable,
                        nar_offset: *nar_offset,
                        size: *size,
                        cid,
                    };
                    insert(&mut open, &mut root, name, file);
                }
                Node::Symlink { target } => {
                    let target = String::from_utf8_lossy(target).into_owned();
                    insert(
                        &mut open,
                        &mut root,
                        name,
                        JsonNode::Symlink { target, cid },
                    );
                }
            }
        }
        while !open.is_empty() {
            close_directory(&mut open, &mut root);
        }
        let file = LsFile {
            version: 1,
            root: root.unwrap_or(JsonNode::Directory {
                entries: BTreeMap::new(),
                cid: None,
            }),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// Reads a `.ls` text. Returns `None` if it is malformed, has another version, or is nested
    /// deeper than an archive may be.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        // serde_json refuses more than 128 levels, which bounds its recursion.
        let file: LsFile = serde_json::from_str(text)
            .ok()
            .filter(|file: &LsFile| file.version == 1)?;
        let mut listing = Self::new();
        let mut open = Vec::from([(0_usize, String::new(), file.root)]);
        while let Some((depth, name, json)) = open.pop() {
            if depth > MAX_DEPTH {
                return None;
            }
            let (node, entries) = match json {
                JsonNode::Regular {
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
                JsonNode::Symlink { target, .. } => (
                    Node::Symlink {
                        target: target.into_bytes(),
                    },
                    BTreeMap::new(),
                ),
                JsonNode::Directory { entries, .. } => (Node::Directory, entries),
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

/// A directory whose entries are still being added.
struct OpenDirectory {
    name: String,
    cid: Option<String>,
    entries: BTreeMap<String, JsonNode>,
}

fn insert(open: &mut [OpenDirectory], root: &mut Option<JsonNode>, name: String, json: JsonNode) {
    match open.last_mut() {
        Some(parent) => drop(parent.entries.insert(name, json)),
        None => *root = Some(json),
    }
}

fn close_directory(open: &mut Vec<OpenDirectory>, root: &mut Option<JsonNode>) {
    if let Some(OpenDirectory { name, cid, entries }) = open.pop() {
        insert(open, root, name, JsonNode::Directory { entries, cid });
    }
}

#[derive(Serialize, Deserialize)]
struct LsFile {
    root: JsonNode,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum JsonNode {
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
        entries: BTreeMap<String, JsonNode>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cid: Option<String>,
    },
}
