//! The entries of a directory and everything below it, without the contents of files. Entries are
//! returned as their blocks arrive, in no particular order.
//!
//! ```text
//! root ─► Entry "" Directory ─► "a" is a raw leaf: File, size from the directory, no block fetched
//!                            ─► "b" is a node: fetch its block ─► File, Directory or Symlink
//! ```
//! The engine fetches only the blocks of directories and symlinks, and the root block of each file
//! with more than one block. The size of a raw leaf is what its directory claims. The engine
//! verifies that the CID has these entries, but the maker of the CID chose what they claim.

use super::FetchError;
use super::target::TreeWalk;
use super::tree_walk::{MAX_TREE_PATH, TreeEntry, TreeKind, TreePiece, check};
use crate::block::Block;
use crate::cid::{self, Cid, RAW};
use crate::unixfs::{Budget, Content, Entries, UnixFsError};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Maximum total length of all paths in bytes, whatever the budget allows. It bounds the memory for
/// the list.
pub const MAX_OUTLINE: u64 = 256 << 20;

/// What a block is used for.
#[derive(Debug, Clone)]
enum BlockUse {
    /// The root block of the entry at this path.
    Node(Bytes),
    /// A shard of the directory with this number.
    Shard(u64),
}

#[derive(Debug)]
pub(super) struct OutlineWalker {
    /// Wanted blocks with all their uses: trees contain many equal directories.
    uses: BTreeMap<Cid, Vec<BlockUse>>,
    /// The wanted blocks in the order in which they were found.
    order: VecDeque<Cid>,
    /// Sharded directories with missing shards, by number.
    partial: BTreeMap<u64, (Bytes, Entries)>,
    next_number: u64,
    budget: Budget,
    out: VecDeque<TreePiece>,
    out_bytes: u64,
}

impl OutlineWalker {
    pub(super) fn new(root: Cid, mut budget: Budget) -> Self {
        budget.output = budget.output.min(MAX_OUTLINE);
        Self {
            uses: BTreeMap::from([(root, Vec::from([BlockUse::Node(Bytes::new())]))]),
            order: VecDeque::from([root]),
            partial: BTreeMap::new(),
            next_number: 0,
            budget,
            out: VecDeque::new(),
            out_bytes: 0,
        }
    }

    fn want(&mut self, cid: Cid, block_use: BlockUse) {
        let uses = self.uses.entry(cid).or_default();
        if uses.is_empty() {
            self.order.push_back(cid);
        }
        uses.push(block_use);
    }

    fn emit(&mut self, path: Bytes, cid: Cid, kind: TreeKind) {
        let piece = TreePiece::Entry(TreeEntry { path, cid, kind });
        self.out_bytes = self.out_bytes.saturating_add(piece.held());
        self.out.push_back(piece);
    }

    /// Processes the root block of the entry at `path`.
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
                self.emit(path.clone(), cid, TreeKind::Directory);
                self.list(None, path, entries)
            }
            Content::Raw(data) => {
                let size = data.len() as u64;
                self.emit(path, cid, TreeKind::File { size });
                Ok(())
            }
            Content::File { size, .. } => {
                self.emit(path, cid, TreeKind::File { size });
                Ok(())
            }
            Content::Symlink(target) => {
                self.emit(path, cid, TreeKind::Symlink { target });
                Ok(())
            }
        }
    }

    /// Processes the known entries of a directory and requests its missing shards. `number` is the
    /// directory's number, if it already has one.
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
                // A block inside a CID is shorter than the block with that CID, so this recursion
                // is shallow.
                self.open(path, &block.map_err(|_| UnixFsError::Unexpected)?)?;
            } else if entry.cid.codec() == RAW {
                let size = entry.tsize;
                self.emit(path, entry.cid, TreeKind::File { size });
            } else {
                self.want(entry.cid, BlockUse::Node(path));
            }
        }
        if entries.is_done() {
            return Ok(());
        }
        let number = number.unwrap_or(self.next_number);
        self.next_number = self.next_number.max(number.saturating_add(1));
        for shard in entries.wants(usize::MAX) {
            let asked = self.uses.get(&shard).is_some_and(|uses| {
                let mut uses = uses.iter();
                uses.any(|block_use| matches!(block_use, BlockUse::Shard(of) if *of == number))
            });
            if !asked {
                self.want(shard, BlockUse::Shard(number));
            }
        }
        self.partial.insert(number, (path, entries));
        Ok(())
    }

    /// Charges an entry to the budget, by the length of its path.
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

impl TreeWalk for OutlineWalker {
    fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError> {
        Ok(self.order.iter().take(max).copied().collect())
    }

    fn is_wanted(&self, cid: &Cid) -> bool {
        self.uses.contains_key(cid)
    }

    fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        let cid = *block.cid();
        let uses = self.uses.remove(&cid).ok_or(UnixFsError::Unexpected)?;
        // The index is small: blocks are requested from the front of the list.
        if let Some(index) = self.order.iter().position(|other| *other == cid) {
            self.order.remove(index);
        }
        let left = self.budget.blocks.checked_sub(1);
        self.budget.blocks = left.ok_or(UnixFsError::BudgetBlocks)?;
        for block_use in uses {
            match block_use {
                BlockUse::Node(path) => self.open(path, &block)?,
                BlockUse::Shard(number) => {
                    let Some((path, mut entries)) = self.partial.remove(&number) else {
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
        self.out.is_empty() && self.uses.is_empty()
    }

    fn buffered(&self) -> u64 {
        self.out_bytes
    }
}
