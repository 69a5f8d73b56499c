//! Lists the entries of a plain or sharded directory as its blocks arrive.

use super::{Budget, Content, UnixFsError, hamt};
use crate::block::Block;
use crate::cid::{self, Cid};
use alloc::vec::Vec;
use bytes::Bytes;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Name of the entry; not necessarily UTF-8.
    pub name: Bytes,
    /// CID that the entry names.
    pub cid: Cid,
    /// Bytes of the entry's DAG, according to the directory.
    pub tsize: u64,
}

/// A link of a directory's node.
#[derive(Debug, Clone)]
pub(crate) enum Listed {
    /// A part of the directory, and its level of shards.
    Shard(Cid, u32),
    Entry(DirEntry),
}

/// Lists one directory in the order of its links. A sharded directory is listed in the order of its
/// slots.
#[derive(Debug, Clone)]
pub struct Entries {
    /// What was not returned yet, the last first.
    rest: Vec<Listed>,
    pub(crate) budget: Budget,
}

impl Entries {
    /// Starts with the root of the directory.
    #[must_use]
    pub fn new(root: Cid, budget: Budget) -> Self {
        Self {
            rest: Vec::from([Listed::Shard(root, 0)]),
            budget,
        }
    }

    /// Returns the next blocks that are needed, at most `max`, in order.
    #[must_use]
    pub fn wants(&self, max: usize) -> Vec<Cid> {
        let pending = self.rest.iter().rev().filter_map(|listed| match listed {
            Listed::Shard(cid, _) => Some(*cid),
            Listed::Entry(_) => None,
        });
        pending.take(max).collect()
    }

    /// Returns the next CIDs in order: roots of entries, and shards that were not pushed yet.
    pub fn upcoming(&self) -> impl Iterator<Item = &Cid> {
        self.rest.iter().rev().map(|listed| match listed {
            Listed::Shard(cid, _) => cid,
            Listed::Entry(entry) => &entry.cid,
        })
    }

    /// Adds a wanted block. The first wanted one, after [`Entries::next`] has returned all that
    /// precedes it, costs time in its own length only.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] if the block is not wanted; other errors if the DAG is faulty or
    /// over the budget.
    pub fn push(&mut self, block: &Block) -> Result<(), UnixFsError> {
        let rest = self.rest.iter().enumerate().rev();
        let mut shards = rest.filter_map(|(index, listed)| match listed {
            Listed::Shard(cid, level) if cid == block.cid() => Some((index, *level)),
            _ => None,
        });
        let (index, level) = shards.next().ok_or(UnixFsError::Unexpected)?;
        self.budget.spend_blocks(1)?;
        let (content, mut listed) = (Content::decode(block)?, Vec::new());
        list(content, level, &mut self.budget, &mut listed)?;
        listed.reverse();
        self.rest.splice(index..=index, listed);
        Ok(())
    }

    /// Returns the next entry, if its block was pushed.
    // Not an iterator, because `None` may mean "not yet".
    #[expect(
        clippy::should_implement_trait,
        reason = "None doesn't mean the end; see is_done"
    )]
    pub fn next(&mut self) -> Option<DirEntry> {
        match self.rest.pop()? {
            Listed::Entry(entry) => Some(entry),
            shard @ Listed::Shard(..) => {
                self.rest.push(shard);
                None
            }
        }
    }

    /// Returns whether all entries were returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Adds the links of a directory's node to `listed`, in order. Shards inside identity CIDs are
/// replaced by their links.
pub(crate) fn list(
    content: Content,
    level: u32,
    budget: &mut Budget,
    listed: &mut Vec<Listed>,
) -> Result<(), UnixFsError> {
    let (links, fanout) = match content {
        Content::Directory(links) => (links, None),
        Content::Shard { fanout, links } => (links, Some(fanout)),
        other => return Err(UnixFsError::NotADirectory { kind: other.kind() }),
    };
    budget.spend_entries(links.len())?;
    for link in links {
        let name = match fanout {
            None => Some(link.name.clone()),
            Some(fanout) => hamt::split(fanout, &link)?.1,
        };
        let below = level.saturating_add(1);
        match name {
            Some(name) => listed.push(Listed::Entry(DirEntry {
                name,
                cid: link.cid,
                tsize: link.tsize,
            })),
            None if level >= budget.depth => return Err(UnixFsError::BudgetDepth),
            None => match cid::identity_data(&link.cid) {
                // The data of an identity CID is shorter than that of the CID around it, so this
                // recursion is shallow.
                Some(data) => {
                    let data = Bytes::copy_from_slice(data);
                    let content = Content::decode_as(link.cid.codec(), &data)?;
                    list(content, below, budget, listed)?;
                }
                None => listed.push(Listed::Shard(link.cid, below)),
            },
        }
    }
    Ok(())
}
