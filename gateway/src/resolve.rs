//! From a path to the block that it ends in: through directories, sharded ones, plain dag-pb links, and documents.
//!
//! Symlinks aren't followed. A path may end inside a document; then a remainder is left.

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::Kind;

use crate::dag::{Dag, Node, PbNode, decode};
use crate::hamt;
use crate::path::ContentPath;
use crate::refusal::Refusal;
use crate::stop::Stop;
use crate::tree::Tree;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The last block.
    pub(crate) cid: Cid,
    /// The block of each segment of the path, the root first and `cid` last.
    pub(crate) roots: Vec<Cid>,
    /// Segments that lead into `cid`, a document.
    pub(crate) remainder: Vec<Bytes>,
    /// The blocks that were read to get there, in order; `cid` only if a remainder is left.
    pub(crate) visited: Vec<Cid>,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The blocks visited prove that there is no such thing.
    NoLink { visited: Vec<Cid> },
    /// A block isn't here (yet), or cannot be read.
    Stopped(Stop),
}

impl From<Stop> for Lost {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NoLink { .. } => Refusal::not_found("the path leads nowhere").into(),
            Lost::Stopped(stop) => stop,
        }
    }
}

/// Resolves a path without reading the block that it ends in.
pub(crate) fn resolve(dag: &Dag, path: &ContentPath) -> Result<Resolved, Lost> {
    let mut at = Resolved {
        cid: path.cid,
        roots: vec![path.cid],
        remainder: Vec::new(),
        visited: Vec::new(),
    };
    // The value in a document where the path stands; `None` at the top of a block.
    let mut inside: Option<Tree> = None;
    for segment in &path.segments {
        let (document, name) = match inside.take() {
            Some(tree) => (Some(tree), segment),
            None => match step(dag, &mut at.visited, &at.cid, segment)? {
                Step::Link(cid) => {
                    at.roots.push(cid);
                    at.cid = cid;
                    continue;
                }
                Step::Document(tree) => (Some(tree), segment),
                Step::Nowhere => (None, segment),
            },
        };
        match document.as_ref().and_then(|tree| tree.get(name)) {
            Some(Tree::Link(cid)) => {
                at.cid = **cid;
                at.remainder.clear();
            }
            Some(tree) => {
                inside = Some(tree.clone());
                at.remainder.push(segment.clone());
            }
            None => {
                let visited = at.visited;
                return Err(Lost::NoLink { visited });
            }
        }
        at.roots.push(at.cid);
    }
    Ok(at)
}

/// The CID under a name in a directory (or other dag-pb node); `None` if there is none of that name.
pub(crate) fn child(dag: &Dag, cid: &Cid, name: &[u8]) -> Result<Option<Cid>, Stop> {
    match step(dag, &mut Vec::new(), cid, name)? {
        Step::Link(cid) => Ok(Some(cid)),
        Step::Document(_) | Step::Nowhere => Ok(None),
    }
}

enum Step {
    Link(Cid),
    Document(Tree),
    Nowhere,
}

/// Reads a block and looks a name up in it.
fn step(dag: &Dag, visited: &mut Vec<Cid>, cid: &Cid, name: &[u8]) -> Result<Step, Stop> {
    let data = dag.load(cid)?;
    visited.push(*cid);
    let node = match decode(cid, &data)? {
        Node::Raw => return Ok(Step::Nowhere),
        Node::Tree(tree) => return Ok(Step::Document(tree)),
        Node::Pb(node) => node,
    };
    let found = match node.unixfs.as_ref().map(|unixfs| unixfs.kind) {
        Some(Kind::File | Kind::Raw) => None,
        Some(Kind::HamtShard) => hamt::find(dag, visited, cid, name)?,
        Some(Kind::Directory | Kind::Symlink | Kind::Metadata) | None => named(&node, name),
    };
    Ok(found.map_or(Step::Nowhere, Step::Link))
}

/// The first link of a name.
fn named(node: &PbNode, name: &[u8]) -> Option<Cid> {
    let link = node.links.iter().find(|link| link.name == name);
    link.map(|link| link.cid)
}
