//! From a root and a path to the CID at its end, through plain and sharded directories.

use super::{Budget, Content, Kind, UnixFsError, hamt};
use crate::block::Block;
use crate::cid::{self, Cid};
use crate::dag_pb::Link;
use crate::murmur3;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// The end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What is there.
    pub cid: Cid,
    /// The roots of the directories on the way, and at last `cid` itself: one for each part of the path and one more.
    pub roots: Vec<Cid>,
}

/// Follows one path. Symlinks are not followed.
#[derive(Debug, Clone)]
pub struct Resolver {
    path: Vec<String>,
    /// The part of the path that is looked for.
    index: usize,
    /// The block that is wanted.
    at: Cid,
    /// Level in a sharded directory.
    level: u32,
    roots: Vec<Cid>,
    budget: Budget,
}

impl Resolver {
    /// Starts at a root.
    #[must_use]
    pub fn new(root: Cid, path: Vec<String>, budget: Budget) -> Self {
        Self {
            path,
            index: 0,
            at: root,
            level: 0,
            roots: Vec::from([root]),
            budget,
        }
    }

    /// The block that is needed next; `None` when the path is resolved.
    #[must_use]
    pub fn wants(&self) -> Option<Cid> {
        (self.index < self.path.len()).then_some(self.at)
    }

    /// The end of the path, once it is reached.
    #[must_use]
    pub fn resolved(&self) -> Option<Resolved> {
        self.wants().is_none().then(|| Resolved {
            cid: self.at,
            roots: self.roots.clone(),
        })
    }

    /// Takes the wanted block.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] for another one; [`UnixFsError::NotFound`]; faults of the DAG.
    pub fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        if self.wants() != Some(*block.cid()) {
            return Err(UnixFsError::Unexpected);
        }
        self.step(Content::decode(&block)?)?;
        // Identity CIDs have their data in them.
        while let Some(wanted) = self.wants()
            && let Some(data) = cid::identity_data(&wanted)
        {
            let content = Content::decode_as(wanted.codec(), &Bytes::copy_from_slice(data))?;
            self.step(content)?;
        }
        Ok(())
    }

    fn step(&mut self, content: Content) -> Result<(), UnixFsError> {
        self.budget.blocks = self
            .budget
            .blocks
            .checked_sub(1)
            .ok_or(UnixFsError::BudgetBlocks)?;
        let not_found = UnixFsError::NotFound { index: self.index };
        let name = self
            .path
            .get(self.index)
            .ok_or(UnixFsError::Unexpected)?
            .as_bytes();
        match content {
            Content::Directory(links) => {
                let link = links
                    .into_iter()
                    .find(|link| link.name == name)
                    .ok_or(not_found)?;
                self.enter(link.cid);
            }
            Content::Shard { fanout, links } => {
                match find_in_shard(fanout, &links, name, self.level)? {
                    Some(InShard::Entry(cid)) => self.enter(cid),
                    Some(InShard::Below(cid)) => {
                        self.at = cid;
                        self.level = self.level.saturating_add(1);
                    }
                    None => return Err(not_found),
                }
            }
            other => return Err(UnixFsError::NotADirectory { kind: other.kind() }),
        }
        Ok(())
    }

    fn enter(&mut self, cid: Cid) {
        self.at = cid;
        self.level = 0;
        self.index = self.index.saturating_add(1);
        self.roots.push(cid);
    }
}

enum InShard {
    Entry(Cid),
    Below(Cid),
}

fn find_in_shard(
    fanout: u32,
    links: &[Link],
    name: &[u8],
    level: u32,
) -> Result<Option<InShard>, UnixFsError> {
    let place = hamt::place(murmur3::hash(name), fanout, level).ok_or(UnixFsError::Shard)?;
    for link in links {
        match hamt::split(fanout, link)? {
            (at, None) if at == place => return Ok(Some(InShard::Below(link.cid))),
            (at, Some(entry)) if at == place && entry == name => {
                return Ok(Some(InShard::Entry(link.cid)));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Whether a kind has entries.
pub(super) fn is_directory(kind: Kind) -> bool {
    matches!(kind, Kind::Directory | Kind::HamtShard)
}
