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
use super::tree_walk::{MAX_READY, MAX_TREE_PATH, TreeEntry, TreeKind, TreePiece, check};
use crate::block::Block;
use crate::cid::{self, Cid, RAW};
use crate::unixfs::{Budget, Content, Listed, UnixFsError, list};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// What a block is used for.
#[derive(Debug, Clone)]
enum BlockUse {
    /// The root block of the entry at this path.
    Node(Bytes),
    /// A shard of the directory at this path, on this level of shards.
    Shard(Bytes, u32),
}

#[derive(Debug)]
pub(super) struct OutlineWalker {
    /// Wanted blocks with all their uses: trees contain many equal directories.
    uses: BTreeMap<Cid, Vec<BlockUse>>,
    /// The wanted blocks in the order in which they were found.
    order: VecDeque<Cid>,
    /// Blocks that have arrived, with the uses that were not processed yet.
    open: Vec<(Cid, Content, Vec<BlockUse>)>,
    budget: Budget,
    out: VecDeque<TreePiece>,
    out_bytes: u64,
}

impl OutlineWalker {
    pub(super) fn new(root: Cid, budget: Budget) -> Self {
        Self {
            uses: BTreeMap::from([(root, Vec::from([BlockUse::Node(Bytes::new())]))]),
            order: VecDeque::from([root]),
            open: Vec::new(),
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

    /// Processes the blocks that have arrived, until [`MAX_READY`] entries are ready. One block adds
    /// no more than its links.
    fn advance(&mut self) -> Result<(), UnixFsError> {
        while self.out.len() < MAX_READY
            && let Some((cid, content, mut uses)) = self.open.pop()
        {
            let Some(block_use) = uses.pop() else {
                continue;
            };
            if uses.is_empty() {
                self.process(block_use, cid, content)?;
            } else {
                self.process(block_use, cid, content.clone())?;
                self.open.push((cid, content, uses));
            }
        }
        Ok(())
    }

    fn process(
        &mut self,
        block_use: BlockUse,
        cid: Cid,
        content: Content,
    ) -> Result<(), UnixFsError> {
        match block_use {
            BlockUse::Node(path) => self.open(path, cid, content),
            BlockUse::Shard(path, level) => self.list(path, level, content),
        }
    }

    /// Processes the root block of the entry at `path`.
    fn open(&mut self, path: Bytes, cid: Cid, content: Content) -> Result<(), UnixFsError> {
        let kind = match content {
            Content::Directory(_) | Content::Shard { .. } => {
                let above = path.iter().filter(|byte| **byte == b'/').count();
                if u32::try_from(above).unwrap_or(u32::MAX) >= self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                self.emit(path.clone(), cid, TreeKind::Directory);
                return self.list(path, 0, content);
            }
            Content::Raw(data) => TreeKind::File {
                size: data.len() as u64,
            },
            Content::File { size, .. } => TreeKind::File { size },
            Content::Symlink(target) => {
                self.budget.spend_names(target.len())?;
                TreeKind::Symlink { target }
            }
        };
        self.emit(path, cid, kind);
        Ok(())
    }

    /// Processes the links of a directory's node.
    fn list(&mut self, path: Bytes, level: u32, content: Content) -> Result<(), UnixFsError> {
        let mut listed = Vec::new();
        list(content, level, &mut self.budget, &mut listed)?;
        for one in listed {
            let entry = match one {
                Listed::Entry(entry) => entry,
                Listed::Shard(cid, level) => {
                    self.want(cid, BlockUse::Shard(path.clone(), level));
                    continue;
                }
            };
            check(&entry.name)?;
            let path = join(&path, &entry.name)?;
            self.budget.spend_names(path.len())?;
            if let Some(data) = cid::identity_data(&entry.cid) {
                let block = Block::verify(entry.cid, Bytes::copy_from_slice(data));
                let content = Content::decode(&block.map_err(|_| UnixFsError::Unexpected)?)?;
                // A block inside a CID is shorter than the block with that CID, so this recursion
                // is shallow.
                self.open(path, entry.cid, content)?;
            } else if entry.cid.codec() == RAW {
                let size = entry.tsize;
                self.emit(path, entry.cid, TreeKind::File { size });
            } else {
                self.want(entry.cid, BlockUse::Node(path));
            }
        }
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
        self.budget.spend_blocks(1)?;
        self.open.push((cid, Content::decode(&block)?, uses));
        self.advance()
    }

    fn next(&mut self) -> Result<Option<TreePiece>, UnixFsError> {
        if self.out.is_empty() {
            self.advance()?;
        }
        let piece = self.out.pop_front();
        let held = piece.as_ref().map_or(0, TreePiece::held);
        self.out_bytes = self.out_bytes.saturating_sub(held);
        Ok(piece)
    }

    fn has_next(&self) -> bool {
        !self.out.is_empty()
    }

    fn is_done(&self) -> bool {
        self.out.is_empty() && self.open.is_empty() && self.uses.is_empty()
    }

    fn buffered(&self) -> u64 {
        self.out_bytes
    }
}
