//! Resolves a path to the block at its end: through directories, sharded directories, dag-pb links
//! and documents.
//!
//! Symlinks are not followed. A path may end inside a document; the remainder is then not empty.

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::NodeType;

use crate::dag::{Dag, Node, PbNode, decode};
use crate::document::Document;
use crate::hamt;
use crate::path::ContentPath;
use crate::refusal::Refusal;
use crate::stop::Stop;

/// The result of resolving a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The block at the end of the path.
    pub(crate) cid: Cid,
    /// The block of each path segment: the root first, `cid` last.
    pub(crate) roots: Vec<Cid>,
    /// Segments inside `cid`, which is a document.
    pub(crate) remainder: Vec<Bytes>,
    /// The blocks that were read, in order. Contains `cid` only if there is a remainder.
    pub(crate) visited: Vec<Cid>,
}

/// Why a path can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResolveError {
    /// The visited blocks prove that the path doesn't exist.
    NoLink { visited: Vec<Cid> },
    /// A block is pending, missing or unreadable.
    Stopped(Stop),
}

impl From<Stop> for ResolveError {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<ResolveError> for Stop {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NoLink { .. } => Refusal::not_found("the path doesn't exist").into(),
            ResolveError::Stopped(stop) => stop,
        }
    }
}

/// Resolves a path without reading the block at its end.
pub(crate) fn resolve(dag: &Dag, path: &ContentPath) -> Result<Resolved, ResolveError> {
    let mut resolved = Resolved {
        cid: path.cid,
        roots: vec![path.cid],
        remainder: Vec::new(),
        visited: Vec::new(),
    };
    // The value inside a document that the path has reached; `None` at the start of a block.
    let mut inside: Option<Document> = None;
    for segment in &path.segments {
        let (document, name) = match inside.take() {
            Some(value) => (Some(value), segment),
            None => match look_up(dag, &mut resolved.visited, &resolved.cid, segment)? {
                NameLookup::Link(cid) => {
                    resolved.roots.push(cid);
                    resolved.cid = cid;
                    continue;
                }
                NameLookup::Document(value) => (Some(value), segment),
                NameLookup::Missing => (None, segment),
            },
        };
        match document.as_ref().and_then(|value| value.get(name)) {
            Some(Document::Link(cid)) => {
                resolved.cid = **cid;
                resolved.remainder.clear();
            }
            Some(value) => {
                inside = Some(value.clone());
                resolved.remainder.push(segment.clone());
            }
            None => {
                let visited = resolved.visited;
                return Err(ResolveError::NoLink { visited });
            }
        }
        resolved.roots.push(resolved.cid);
    }
    Ok(resolved)
}

/// Returns the CID of a name in a directory or another dag-pb node. `None` if there is no such
/// name.
pub(crate) fn child(dag: &Dag, cid: &Cid, name: &[u8]) -> Result<Option<Cid>, Stop> {
    match look_up(dag, &mut Vec::new(), cid, name)? {
        NameLookup::Link(cid) => Ok(Some(cid)),
        NameLookup::Document(_) | NameLookup::Missing => Ok(None),
    }
}

enum NameLookup {
    Link(Cid),
    Document(Document),
    Missing,
}

/// Reads a block and looks up a name in it.
fn look_up(dag: &Dag, visited: &mut Vec<Cid>, cid: &Cid, name: &[u8]) -> Result<NameLookup, Stop> {
    let data = dag.load(cid)?;
    visited.push(*cid);
    let node = match decode(cid, &data)? {
        Node::Raw => return Ok(NameLookup::Missing),
        Node::Document(value) => return Ok(NameLookup::Document(value)),
        Node::Pb(node) => node,
    };
    let found = match node.unixfs.as_ref().map(|unixfs| unixfs.kind) {
        Some(NodeType::File | NodeType::Raw) => None,
        Some(NodeType::HamtShard) => hamt::find(dag, visited, cid, name)?,
        Some(NodeType::Directory | NodeType::Symlink | NodeType::Metadata) | None => {
            link_named(&node, name)
        }
    };
    Ok(found.map_or(NameLookup::Missing, NameLookup::Link))
}

/// Returns the first link with a name.
fn link_named(node: &PbNode, name: &[u8]) -> Option<Cid> {
    let link = node.links.iter().find(|link| link.name == name);
    link.map(|link| link.cid)
}
