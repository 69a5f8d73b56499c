//! A directory and all that is below it, as one walk: entries and contents in the order of its DAG.
//!
//! ```text
//! root ─► Entry "" Directory
//!           ├─► Entry "a" File, size ─► its bytes …
//!           ├─► Entry "b" Directory ─► Entry "b/c" …
//!           └─► Entry "d" Symlink, target
//! ```
//! A CAR of the whole DAG has the blocks in this order, so one request brings all. What it left out is asked for block by block, as far ahead as the
//! engine looks.

use super::FetchError;
use super::early::prefix;
use super::target::Walk;
use crate::block::Block;
use crate::cid::{self, Cid};
use crate::unixfs::{Budget, Content, Entries, UnixFsError, Walker};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Blocks up to this are kept for the next place where they stand: a CAR has each block once, and trees have many equal files.
const SMALL: usize = 4 << 10;
/// Bytes of blocks that are kept so.
const MAX_SMALL: usize = 1 << 20;
/// Bytes of the names that lead to an entry, as Linux has it for paths.
pub const MAX_TREE_PATH: usize = 4096;

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Names from the root on, with a `/` between them; the root's is empty. No name is empty, `.` or `..`, or has a NUL.
    pub path: Bytes,
    /// Its root.
    pub cid: Cid,
    /// What it is.
    pub kind: TreeKind,
}

/// What stands at a place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeKind {
    /// A directory; what is in it follows.
    Directory,
    /// A file; its content follows, up to the next entry.
    File {
        /// Bytes of its content.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads; not checked.
        target: Bytes,
    },
}

/// What a tree is made of, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreePiece {
    /// An entry.
    Entry(TreeEntry),
    /// Bytes of the file that was the last entry.
    Content(Bytes),
}

impl TreePiece {
    pub(super) fn held(&self) -> u64 {
        match self {
            Self::Content(bytes) => bytes.len() as u64,
            Self::Entry(entry) => entry.path.len() as u64,
        }
    }
}

/// A directory that is open.
#[derive(Debug)]
struct Level {
    entries: Entries,
    /// Bytes of its own path.
    path: usize,
}

#[derive(Debug)]
enum At {
    /// The next node, of which nothing is known yet.
    Node(Cid),
    File(Walker),
    /// What comes next stands in the innermost directory.
    Directory,
}

#[derive(Debug)]
pub(super) struct Tree {
    at: At,
    levels: Vec<Level>,
    path: Vec<u8>,
    budget: Budget,
    /// How many entries are looked at ahead in each directory.
    window: usize,
    /// Blocks of the entries that come next.
    ahead: BTreeMap<Cid, Block>,
    ahead_bytes: u64,
    /// By [`prefix`]: they are looked up for each entry that comes next, each time that a block comes.
    small: BTreeMap<u64, Block>,
    small_bytes: usize,
    out: VecDeque<TreePiece>,
    out_bytes: u64,
}

impl Tree {
    pub(super) fn new(root: Cid, budget: Budget, window: usize) -> Self {
        Self {
            at: At::Node(root),
            levels: Vec::new(),
            path: Vec::new(),
            budget,
            window,
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
            small: BTreeMap::new(),
            small_bytes: 0,
            out: VecDeque::new(),
            out_bytes: 0,
        }
    }

    /// Roots of what stands next in the open directories, the innermost first.
    fn upcoming(&self) -> impl Iterator<Item = &Cid> {
        let levels = self.levels.iter().rev();
        levels.flat_map(|level| level.entries.upcoming().take(self.window))
    }

    /// Goes on as far as blocks are here.
    fn advance(&mut self) -> Result<(), UnixFsError> {
        loop {
            let gone_on = match &self.at {
                At::Node(cid) => {
                    let cid = *cid;
                    match self.take(&cid)? {
                        Some(block) => self.open(block).map(|()| true)?,
                        None => false,
                    }
                }
                At::File(_) => self.read()?,
                At::Directory => self.next_entry()?,
            };
            if !gone_on {
                return Ok(());
            }
        }
    }

    /// A block that came early, or before, or that its CID holds.
    fn take(&mut self, cid: &Cid) -> Result<Option<Block>, UnixFsError> {
        if let Some(data) = cid::identity_data(cid) {
            let block = Block::verify(*cid, Bytes::copy_from_slice(data));
            return block.map(Some).map_err(|_| UnixFsError::Unexpected);
        }
        if let Some(block) = self.ahead.remove(cid) {
            let bytes = block.data().len() as u64;
            self.ahead_bytes = self.ahead_bytes.saturating_sub(bytes);
            return Ok(Some(block));
        }
        Ok(self.kept(cid, prefix(cid)).cloned())
    }

    /// A small block that came before.
    fn kept(&self, cid: &Cid, key: u64) -> Option<&Block> {
        self.small.get(&key).filter(|kept| kept.cid() == cid)
    }

    fn take_first(&mut self, wanted: &[Cid]) -> Result<Option<Block>, UnixFsError> {
        wanted.first().map_or(Ok(None), |cid| self.take(cid))
    }

    /// The node at the path is here.
    fn open(&mut self, block: Block) -> Result<(), UnixFsError> {
        self.spend(1)?;
        let cid = *block.cid();
        let kind = match Content::decode(&block)? {
            Content::Directory(_) | Content::Shard { .. } => {
                let depth = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
                if depth >= self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                let mut entries = Entries::new(cid, self.budget);
                entries.push(&block)?;
                let path = self.path.len();
                self.levels.push(Level { entries, path });
                self.at = At::Directory;
                TreeKind::Directory
            }
            Content::Raw(_) | Content::File { .. } => {
                let mut walker = Walker::new(cid, self.budget);
                walker.push(block)?;
                let size = walker.size().unwrap_or_default();
                self.at = At::File(walker);
                TreeKind::File { size }
            }
            Content::Symlink(target) => {
                self.at = At::Directory;
                TreeKind::Symlink { target }
            }
        };
        let path = Bytes::copy_from_slice(&self.path);
        self.give(TreePiece::Entry(TreeEntry { path, cid, kind }));
        Ok(())
    }

    /// Reads on in the open file; false if a block is missing.
    fn read(&mut self) -> Result<bool, UnixFsError> {
        let At::File(walker) = &mut self.at else {
            return Ok(false);
        };
        while let Some(bytes) = walker.next() {
            self.out_bytes = self.out_bytes.saturating_add(bytes.len() as u64);
            self.out.push_back(TreePiece::Content(bytes));
        }
        if walker.is_done() {
            self.budget = walker.budget();
            self.at = At::Directory;
            return Ok(true);
        }
        let wanted = walker.wants(1)?;
        let Some(block) = self.take_first(&wanted)? else {
            return Ok(false);
        };
        match &mut self.at {
            At::File(walker) => walker.push(block).map(|()| true),
            _ => Ok(false),
        }
    }

    /// The next entry of the innermost directory; false if a shard of it is missing, or all is done.
    fn next_entry(&mut self) -> Result<bool, UnixFsError> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        if let Some(entry) = level.entries.next() {
            check(&entry.name)?;
            self.path.truncate(level.path);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            if self.path.len() > MAX_TREE_PATH {
                return Err(UnixFsError::Name);
            }
            self.at = At::Node(entry.cid);
            return Ok(true);
        }
        if level.entries.is_done() {
            self.levels.pop();
            return Ok(true);
        }
        let wanted = level.entries.wants(1);
        let Some(block) = self.take_first(&wanted)? else {
            return Ok(false);
        };
        self.spend(1)?;
        match self.levels.last_mut() {
            Some(level) => level.entries.push(&block).map(|()| true),
            None => Ok(false),
        }
    }

    fn spend(&mut self, blocks: u64) -> Result<(), UnixFsError> {
        let left = self.budget.blocks.checked_sub(blocks);
        self.budget.blocks = left.ok_or(UnixFsError::BudgetBlocks)?;
        Ok(())
    }

    fn keep(&mut self, block: &Block) {
        let bytes = self.small_bytes.saturating_add(block.data().len());
        let key = prefix(block.cid());
        if block.data().len() <= SMALL && bytes <= MAX_SMALL && !self.small.contains_key(&key) {
            self.small_bytes = bytes;
            self.small.insert(key, block.clone());
        }
    }

    fn give(&mut self, piece: TreePiece) {
        self.out_bytes = self.out_bytes.saturating_add(piece.held());
        self.out.push_back(piece);
    }
}

impl Walk for Tree {
    fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError> {
        self.advance()?;
        let mut wanted = match &mut self.at {
            At::Node(cid) => Vec::from([*cid]),
            At::File(walker) => walker.wants(max)?,
            At::Directory => Vec::new(),
        };
        let mut keys: Vec<u64> = wanted.iter().map(prefix).collect();
        for cid in self.upcoming() {
            if wanted.len() >= max {
                break;
            }
            let key = prefix(cid);
            let twice = keys.contains(&key) && wanted.contains(cid);
            let here = self.ahead.contains_key(cid) || self.kept(cid, key).is_some();
            if !twice && !here && cid::identity_data(cid).is_none() {
                keys.push(key);
                wanted.push(*cid);
            }
        }
        Ok(wanted)
    }

    fn is_wanted(&self, cid: &Cid) -> bool {
        let now = match &self.at {
            At::Node(wanted) => wanted == cid,
            At::File(walker) => walker.is_wanted(cid),
            At::Directory => false,
        };
        now || (!self.ahead.contains_key(cid) && self.upcoming().any(|one| one == cid))
    }

    fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        if !self.is_wanted(block.cid()) {
            return Err(UnixFsError::Unexpected);
        }
        self.keep(&block);
        match &mut self.at {
            At::Node(wanted) if wanted == block.cid() => self.open(block)?,
            At::File(walker) if walker.is_wanted(block.cid()) => walker.push(block)?,
            _ => {
                let bytes = block.data().len() as u64;
                self.ahead_bytes = self.ahead_bytes.saturating_add(bytes);
                self.ahead.insert(*block.cid(), block);
            }
        }
        self.advance()
    }

    fn next(&mut self) -> Option<TreePiece> {
        let piece = self.out.pop_front()?;
        self.out_bytes = self.out_bytes.saturating_sub(piece.held());
        Some(piece)
    }

    fn is_done(&self) -> bool {
        self.out.is_empty() && self.levels.is_empty() && matches!(self.at, At::Directory)
    }

    fn buffered(&self) -> u64 {
        let file = match &self.at {
            At::File(walker) => walker.buffered(),
            At::Node(_) | At::Directory => 0,
        };
        file.saturating_add(self.ahead_bytes)
            .saturating_add(self.out_bytes)
    }
}

/// Names lead nowhere but down.
pub(super) fn check(name: &[u8]) -> Result<(), UnixFsError> {
    let odd = name.is_empty() || name == b"." || name == b"..";
    if odd || name.contains(&b'/') || name.contains(&0) {
        return Err(UnixFsError::Name);
    }
    Ok(())
}
