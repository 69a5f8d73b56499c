//! The entries of a directory, plain or sharded, as their blocks come.

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
    /// Its name; not necessarily UTF-8.
    pub name: Bytes,
    /// What it is the name of.
    pub cid: Cid,
    /// What the directory says of the bytes of its DAG.
    pub tsize: u64,
}

#[derive(Debug, Clone)]
enum Slot {
    /// A node of the directory, on this level of shards.
    Pending(Cid, u32),
    Entry(DirEntry),
}

/// Lists one directory, in the order of its links (of a sharded one: by place).
#[derive(Debug, Clone)]
pub struct Entries {
    slots: VecDeque<Slot>,
    budget: Budget,
}

impl Entries {
    /// Starts with the directory's root.
    #[must_use]
    pub fn new(root: Cid, budget: Budget) -> Self {
        Self {
            slots: VecDeque::from([Slot::Pending(root, 0)]),
            budget,
        }
    }

    /// The next blocks that are needed, at most `max`, in order.
    #[must_use]
    pub fn wants(&self, max: usize) -> Vec<Cid> {
        let pending = self.slots.iter().filter_map(|slot| match slot {
            Slot::Pending(cid, _) => Some(*cid),
            Slot::Entry(_) => None,
        });
        pending.take(max).collect()
    }

    /// What stands next: roots of entries, and shards that aren't here.
    pub fn upcoming(&self) -> impl Iterator<Item = &Cid> {
        self.slots.iter().map(|slot| match slot {
            Slot::Pending(cid, _) => cid,
            Slot::Entry(entry) => &entry.cid,
        })
    }

    /// Takes a wanted block.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] for another one, and faults of the DAG.
    pub fn push(&mut self, block: &Block) -> Result<(), UnixFsError> {
        let found = self
            .slots
            .iter()
            .enumerate()
            .find_map(|(index, slot)| match slot {
                Slot::Pending(cid, level) if cid == block.cid() => Some((index, *level)),
                _ => None,
            });
        let (index, level) = found.ok_or(UnixFsError::Unexpected)?;
        self.fill(index, level, Content::decode(block)?)?;
        self.settle()
    }

    /// The next entry, if it is there.
    // Not an iterator: `None` may mean "not yet".
    #[expect(
        clippy::should_implement_trait,
        reason = "None is not the end; see is_done"
    )]
    pub fn next(&mut self) -> Option<DirEntry> {
        match self.slots.pop_front()? {
            Slot::Entry(entry) => Some(entry),
            pending @ Slot::Pending(..) => {
                self.slots.push_front(pending);
                None
            }
        }
    }

    /// All entries were given out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slots.is_empty()
    }

    fn settle(&mut self) -> Result<(), UnixFsError> {
        let mut index = 0_usize;
        while let Some(slot) = self.slots.get(index) {
            let own = match slot {
                Slot::Pending(cid, level) => cid::identity_data(cid)
                    .map(|data| (cid.codec(), *level, Bytes::copy_from_slice(data))),
                Slot::Entry(_) => None,
            };
            match own {
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

fn expand(content: Content, level: u32, depth: u32) -> Result<Vec<Slot>, UnixFsError> {
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
            Some(name) => Slot::Entry(DirEntry {
                name,
                cid: link.cid,
                tsize: link.tsize,
            }),
            None if level < depth => Slot::Pending(link.cid, level.saturating_add(1)),
            None => return Err(UnixFsError::BudgetDepth),
        });
    }
    Ok(slots)
}
