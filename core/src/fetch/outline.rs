//! What is in a directory and below it, without the content of files: entries as their blocks come, in no particular order.
//!
//! ```text
//! root ─► Entry "" Directory ─► "a" a raw leaf: File, of the size that the directory says   no block is fetched for it
//!                            ─► "b" a node: its block ─► File, Directory or Symlink
//! ```
//! Only blocks of directories are fetched, those of links and the first one of each file that is more than one block. The sizes of raw leaves are their
//! directory's word, as all else here is the word of whoever made the CID; that these are the entries which the CID stands for is verified.

use super::FetchError;
use super::target::Walk;
use super::tree::{MAX_TREE_PATH, TreeEntry, TreeKind, TreePiece, check};
use crate::block::Block;
use crate::cid::{self, Cid, RAW};
use crate::unixfs::{Budget, Content, Entries, UnixFsError};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Bytes of the paths of all entries, whatever the budget says: what such a list takes in memory.
pub const MAX_OUTLINE: u64 = 256 << 20;

/// Where a block belongs.
#[derive(Debug, Clone)]
enum Place {
    /// It is what stands at this path.
    Node(Bytes),
    /// It is a shard of the directory of this number.
    Shard(u64),
}

#[derive(Debug)]
pub(super) struct Outline {
    /// Blocks that are wanted, and all places of each: trees have many equal folders.
    places: BTreeMap<Cid, Vec<Place>>,
    /// The same in the order in which they were found.
    order: VecDeque<Cid>,
    /// Sharded directories of which shards are missing.
    open: BTreeMap<u64, (Bytes, Entries)>,
    opened: u64,
    budget: Budget,
    out: VecDeque<TreePiece>,
    out_bytes: u64,
}

impl Outline {
    pub(super) fn new(root: Cid, mut budget: Budget) -> Self {
        budget.output = budget.output.min(MAX_OUTLINE);
        Self {
            places: BTreeMap::from([(root, Vec::from([Place::Node(Bytes::new())]))]),
            order: VecDeque::from([root]),
            open: BTreeMap::new(),
            opened: 0,
            budget,
            out: VecDeque::new(),
            out_bytes: 0,
        }
    }

    fn want(&mut self, cid: Cid, place: Place) {
        let places = self.places.entry(cid).or_default();
        if places.is_empty() {
            self.order.push_back(cid);
        }
        places.push(place);
    }

    fn give(&mut self, path: Bytes, cid: Cid, kind: TreeKind) {
        let piece = TreePiece::Entry(TreeEntry { path, cid, kind });
        self.out_bytes = self.out_bytes.saturating_add(piece.held());
        self.out.push_back(piece);
    }

    /// The block of what stands at a path.
    fn open(&mut self, path: Bytes, block: &Block) -> Result<(), UnixFsError> {
        let cid = *block.cid();
        match Content::decode(block)? {
            Content::Directory(_) | Content::Shard { .. } => {
                let above = path.iter().filter(|byte| **byte == b'/').count();
                if u32::try_from(above).unwrap_or(u32::MAX) >= self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                let mut entries = Entries::new(cid, self.budget);
                entries.push(block)?;
                self.give(path.clone(), cid, TreeKind::Directory);
                self.list(None, path, entries)
            }
            Content::Raw(data) => {
                let size = data.len() as u64;
                self.give(path, cid, TreeKind::File { size });
                Ok(())
            }
            Content::File { size, .. } => {
                self.give(path, cid, TreeKind::File { size });
                Ok(())
            }
            Content::Symlink(target) => {
                self.give(path, cid, TreeKind::Symlink { target });
                Ok(())
            }
        }
    }

    /// Takes the entries of a directory that are known; asks for its shards that aren't here. `number` is its own, if it has one already.
    fn list(
        &mut self,
        number: Option<u64>,
        path: Bytes,
        mut entries: Entries,
    ) -> Result<(), UnixFsError> {
        while let Some(entry) = entries.next() {
            check(&entry.name)?;
            let path = join(&path, &entry.name)?;
            self.spend(path.len())?;
            if let Some(data) = cid::identity_data(&entry.cid) {
                let block = Block::verify(entry.cid, Bytes::copy_from_slice(data));
                // One that is in another is shorter than that one, so this doesn't go deep.
                self.open(path, &block.map_err(|_| UnixFsError::Unexpected)?)?;
            } else if entry.cid.codec() == RAW {
                let size = entry.tsize;
                self.give(path, entry.cid, TreeKind::File { size });
            } else {
                self.want(entry.cid, Place::Node(path));
            }
        }
        if entries.is_done() {
            return Ok(());
        }
        let number = number.unwrap_or(self.opened);
        self.opened = self.opened.max(number.saturating_add(1));
        for shard in entries.wants(usize::MAX) {
            let asked = self.places.get(&shard).is_some_and(|places| {
                let mut places = places.iter();
                places.any(|place| matches!(place, Place::Shard(of) if *of == number))
            });
            if !asked {
                self.want(shard, Place::Shard(number));
            }
        }
        self.open.insert(number, (path, entries));
        Ok(())
    }

    /// Every entry costs its path.
    fn spend(&mut self, bytes: usize) -> Result<(), UnixFsError> {
        let left = self.budget.output.checked_sub(bytes as u64);
        self.budget.output = left.ok_or(UnixFsError::BudgetOutput)?;
        Ok(())
    }
}

fn join(path: &Bytes, name: &Bytes) -> Result<Bytes, UnixFsError> {
    if path.is_empty() {
        return Ok(name.clone());
    }
    let joined = [path.as_ref(), name.as_ref()].join(&b'/');
    if joined.len() > MAX_TREE_PATH {
        return Err(UnixFsError::Name);
    }
    Ok(joined.into())
}

impl Walk for Outline {
    fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError> {
        Ok(self.order.iter().take(max).copied().collect())
    }

    fn is_wanted(&self, cid: &Cid) -> bool {
        self.places.contains_key(cid)
    }

    fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        let cid = *block.cid();
        let places = self.places.remove(&cid).ok_or(UnixFsError::Unexpected)?;
        // Not far from the front: that is what was asked for.
        if let Some(index) = self.order.iter().position(|other| *other == cid) {
            self.order.remove(index);
        }
        let left = self.budget.blocks.checked_sub(1);
        self.budget.blocks = left.ok_or(UnixFsError::BudgetBlocks)?;
        for place in places {
            match place {
                Place::Node(path) => self.open(path, &block)?,
                Place::Shard(number) => {
                    let Some((path, mut entries)) = self.open.remove(&number) else {
                        continue;
                    };
                    entries.push(&block)?;
                    self.list(Some(number), path, entries)?;
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<TreePiece> {
        let piece = self.out.pop_front()?;
        self.out_bytes = self.out_bytes.saturating_sub(piece.held());
        Some(piece)
    }

    fn is_done(&self) -> bool {
        self.out.is_empty() && self.places.is_empty()
    }

    fn buffered(&self) -> u64 {
        self.out_bytes
    }
}
