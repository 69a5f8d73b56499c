//! Lists the entries of a plain or sharded directory as its blocks arrive.

use super::resolve::is_directory;
use super::{Budget, Content, UnixFsError, hamt};
use crate::block::Block;
use crate::cid::{self, Cid};
use alloc::collections::VecDeque;
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

#[derive(Debug, Clone)]
enum ListingSlot {
    /// A node of the directory, and its level of shards.
    Pending(Cid, u32),
    Entry(DirEntry),
}

/// Lists one directory in the order of its links. A sharded directory is listed in the order of its
/// slots.
#[derive(Debug, Clone)]
pub struct Entries {
    slots: VecDeque<ListingSlot>,
    budget: Budget,
}

impl Entries {
    /// Starts with the root of the directory.
    #[must_use]
    pub fn new(root: Cid, budget: Budget) -> Self {
        Self {
            slots: VecDeque::from([ListingSlot::Pending(root, 0)]),
            budget,
        }
    }

    /// Returns the next blocks that are needed, at most `max`, in order.
    #[must_use]
    pub fn wants(&self, max: usize) -> Vec<Cid> {
        let pending = self.slots.iter().filter_map(|slot| match slot {
            ListingSlot::Pending(cid, _) => Some(*cid),
            ListingSlot::Entry(_) => None,
        });
        pending.take(max).collect()
    }

    /// Returns the next CIDs in order: roots of entries, and shards that were not pushed yet.
    pub fn upcoming(&self) -> impl Iterator<Item = &Cid> {
        self.slots.iter().map(|slot| match slot {
            ListingSlot::Pending(cid, _) => cid,
            ListingSlot::Entry(entry) => &entry.cid,
        })
    }

    /// Adds a wanted block.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] if the block is not wanted; other errors if the DAG is faulty.
    pub fn push(&mut self, block: &Block) -> Result<(), UnixFsError> {
        let found = self
            .slots
            .iter()
            .enumerate()
            .find_map(|(index, slot)| match slot {
                ListingSlot::Pending(cid, level) if cid == block.cid() => Some((index, *level)),
                _ => None,
            });
        let (index, level) = found.ok_or(UnixFsError::Unexpected)?;
        self.fill(index, level, Content::decode(block)?)?;
        self.fill_identity_nodes()
    }

    /// Returns the next entry, if its block was pushed.
    // Not an iterator, because `None` may mean "not yet".
    #[expect(
        clippy::should_implement_trait,
        reason = "None doesn't mean the end; see is_done"
    )]
    pub fn next(&mut self) -> Option<DirEntry> {
        match self.slots.pop_front()? {
            ListingSlot::Entry(entry) => Some(entry),
            pending @ ListingSlot::Pending(..) => {
                self.slots.push_front(pending);
                None
            }
        }
    }

    /// Returns whether all entries were returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slots.is_empty()
    }

    fn fill_identity_nodes(&mut self) -> Result<(), UnixFsError> {
        let mut index = 0_usize;
        while let Some(slot) = self.slots.get(index) {
            let inline = match slot {
                ListingSlot::Pending(cid, level) => cid::identity_data(cid)
                    .map(|data| (cid.codec(), *level, Bytes::copy_from_slice(data))),
                ListingSlot::Entry(_) => None,
            };
            match inline {
                Some((codec, level, data)) => {
                    self.fill(index, level, Content::decode_as(codec, &data)?)?
                }
                None => index = index.saturating_add(1),
            }
        }
        Ok(())
    }

    fn fill(&mut self, index: usize, level: u32, content: Content) -> Result<(), UnixFsError> {
        self.budget.blocks = self
            .budget
            .blocks
            .checked_sub(1)
            .ok_or(UnixFsError::BudgetBlocks)?;
        if !is_directory(content.kind()) {
            return Err(UnixFsError::NotADirectory {
                kind: content.kind(),
            });
        }
        let slots = expand(content, level, self.budget.depth)?;
        let tail = self.slots.split_off(index);
        self.slots.extend(slots);
        self.slots.extend(tail.into_iter().skip(1));
        Ok(())
    }
}

fn expand(content: Content, level: u32, depth: u32) -> Result<Vec<ListingSlot>, UnixFsError> {
    let (links, fanout) = match content {
        Content::Directory(links) => (links, None),
        Content::Shard { fanout, links } => (links, Some(fanout)),
        other => return Err(UnixFsError::NotADirectory { kind: other.kind() }),
    };
    let mut slots = Vec::with_capacity(links.len());
    for link in links {
        let name = match fanout {
            None => Some(link.name.clone()),
            Some(fanout) => hamt::split(fanout, &link)?.1,
        };
        slots.push(match name {
            Some(name) => ListingSlot::Entry(DirEntry {
                name,
                cid: link.cid,
                tsize: link.tsize,
            }),
            None if level < depth => ListingSlot::Pending(link.cid, level.saturating_add(1)),
            None => return Err(UnixFsError::BudgetDepth),
        });
    }
    Ok(slots)
}
