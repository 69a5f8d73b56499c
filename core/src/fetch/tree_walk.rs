//! A directory and everything below it, as one walk: entries and contents in the order of the DAG.
//!
//! ```text
//! root ─► Entry "" Directory
//!           ├─► Entry "a" File, size ─► its bytes …
//!           ├─► Entry "b" Directory ─► Entry "b/c" …
//!           └─► Entry "d" Symlink, target
//! ```
//! A CAR of the whole DAG contains the blocks in this order, so one request fetches everything.
//! Blocks that the CAR left out are requested one by one, within the read-ahead window.

use super::FetchError;
use super::target::TreeWalk;
use crate::block::Block;
use crate::cid::{self, Cid, prefix};
use crate::unixfs::{Budget, Content, Entries, UnixFsError, Walker};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Maximum length in bytes of a block that is kept for its next use. A CAR contains each block
/// once, and trees contain many equal files.
const SMALL: usize = 4 << 10;
/// Maximum total length of the kept blocks, in bytes.
const MAX_SMALL: usize = 1 << 20;
/// Number of pieces that are made ahead of the reader. A small DAG can have any number of them.
pub(super) const MAX_READY: usize = 4096;
/// The following entries that are looked at, for each one in the read-ahead window.
const ENTRIES_PER_BLOCK: usize = 4;
/// Maximum length of an entry's path, in bytes (Linux's limit for paths).
pub const MAX_TREE_PATH: usize = 4096;

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Names from the root on, separated by `/`; empty for the root. No name is empty, `.` or `..`,
    /// or contains a NUL.
    pub path: Bytes,
    /// CID of the entry's root block.
    pub cid: Cid,
    /// Type of the entry.
    pub kind: TreeKind,
}

/// Type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeKind {
    /// A directory. Its entries follow.
    Directory,
    /// A file. Its content follows, up to the next entry.
    File {
        /// Bytes of its content.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Target of the link; not checked.
        target: Bytes,
    },
}

impl TreeKind {
    fn held(&self) -> usize {
        match self {
            Self::Symlink { target } => target.len(),
            Self::Directory | Self::File { .. } => 0,
        }
    }
}

/// One item of a tree, in order.
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
            Self::Entry(entry) => entry.path.len().saturating_add(entry.kind.held()) as u64,
        }
    }
}

/// A directory whose entries are being read.
#[derive(Debug)]
struct OpenDirectory {
    entries: Entries,
    /// Length of its path in bytes.
    path: usize,
}

#[derive(Debug)]
enum TreePosition {
    /// The next entry's root block, which was not read yet.
    Node(Cid),
    File(Walker),
    /// The next entry of the innermost directory.
    Directory,
}

#[derive(Debug)]
pub(super) struct TreeWalker {
    at: TreePosition,
    open_directories: Vec<OpenDirectory>,
    path: Vec<u8>,
    budget: Budget,
    /// Number of entries that are read ahead in each directory.
    window: usize,
    /// Blocks of the entries that follow.
    ahead: BTreeMap<Cid, Block>,
    ahead_bytes: u64,
    /// Small blocks, by [`prefix`] of their CIDs. They are looked up for each following entry
    /// whenever a block arrives.
    small: BTreeMap<u64, Block>,
    small_bytes: usize,
    out: VecDeque<TreePiece>,
    out_bytes: u64,
}

impl TreeWalker {
    pub(super) fn new(root: Cid, budget: Budget, window: usize) -> Self {
        Self {
            at: TreePosition::Node(root),
            open_directories: Vec::new(),
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

    /// CIDs of the following entries in the open directories, the innermost directory first.
    fn upcoming(&self) -> impl Iterator<Item = &Cid> {
        let open_directories = self.open_directories.iter().rev();
        let upcoming =
            open_directories.flat_map(|directory| directory.entries.upcoming().take(self.window));
        upcoming.take(self.window.saturating_mul(ENTRIES_PER_BLOCK))
    }

    /// Continues the walk as far as blocks are available, up to [`MAX_READY`] pieces.
    fn advance(&mut self) -> Result<(), UnixFsError> {
        while self.out.len() < MAX_READY && self.step()? {}
        Ok(())
    }

    /// Returns false if a block is missing, or the walk is complete.
    fn step(&mut self) -> Result<bool, UnixFsError> {
        match &self.at {
            TreePosition::Node(cid) => {
                let cid = *cid;
                match self.take(&cid)? {
                    Some(block) => self.open(block).map(|()| true),
                    None => Ok(false),
                }
            }
            TreePosition::File(_) => self.read(),
            TreePosition::Directory => self.next_entry(),
        }
    }

    /// Returns a block that was read ahead, was kept, or is inside its CID.
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

    /// Returns a small block that was kept.
    fn kept(&self, cid: &Cid, key: u64) -> Option<&Block> {
        self.small.get(&key).filter(|kept| kept.cid() == cid)
    }

    fn take_first(&mut self, wanted: &[Cid]) -> Result<Option<Block>, UnixFsError> {
        wanted.first().map_or(Ok(None), |cid| self.take(cid))
    }

    /// Whether [`Self::take`] would return this block.
    fn has(&self, cid: &Cid, key: u64) -> bool {
        self.ahead.contains_key(cid)
            || self.kept(cid, key).is_some()
            || cid::identity_data(cid).is_some()
    }

    /// Starts the entry whose root block this is.
    fn open(&mut self, block: Block) -> Result<(), UnixFsError> {
        let cid = *block.cid();
        let kind = match Content::decode(&block)? {
            Content::Directory(_) | Content::Shard { .. } => {
                let depth = u32::try_from(self.open_directories.len()).unwrap_or(u32::MAX);
                if depth >= self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                let mut entries = Entries::new(cid, self.budget);
                entries.push(&block)?;
                self.budget = entries.budget;
                let path = self.path.len();
                self.open_directories.push(OpenDirectory { entries, path });
                self.at = TreePosition::Directory;
                TreeKind::Directory
            }
            Content::Raw(_) | Content::File { .. } => {
                let mut walker = Walker::new(cid, self.budget);
                walker.push(block)?;
                let size = walker.size().unwrap_or_default();
                self.at = TreePosition::File(walker);
                TreeKind::File { size }
            }
            Content::Symlink(target) => {
                self.budget.spend_blocks(1)?;
                self.budget.spend_names(target.len())?;
                self.at = TreePosition::Directory;
                TreeKind::Symlink { target }
            }
        };
        let path = Bytes::copy_from_slice(&self.path);
        self.emit(TreePiece::Entry(TreeEntry { path, cid, kind }));
        Ok(())
    }

    /// Continues with the open file. Returns false if a block is missing.
    fn read(&mut self) -> Result<bool, UnixFsError> {
        let TreePosition::File(walker) = &mut self.at else {
            return Ok(false);
        };
        if let Some(bytes) = walker.next() {
            self.emit(TreePiece::Content(bytes));
            return Ok(true);
        }
        if walker.is_done() {
            self.budget = walker.budget();
            self.at = TreePosition::Directory;
            return Ok(true);
        }
        let wanted = walker.wants(1)?;
        let Some(block) = self.take_first(&wanted)? else {
            return Ok(false);
        };
        match &mut self.at {
            TreePosition::File(walker) => walker.push(block).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Moves to the next entry of the innermost directory. Returns false if a shard is missing or
    /// the walk is complete.
    fn next_entry(&mut self) -> Result<bool, UnixFsError> {
        let Some(directory) = self.open_directories.last_mut() else {
            return Ok(false);
        };
        if let Some(entry) = directory.entries.next() {
            check(&entry.name)?;
            self.path.truncate(directory.path);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            if self.path.len() > MAX_TREE_PATH {
                return Err(UnixFsError::Name);
            }
            self.budget.spend_names(self.path.len())?;
            self.at = TreePosition::Node(entry.cid);
            return Ok(true);
        }
        if directory.entries.is_done() {
            self.open_directories.pop();
            return Ok(true);
        }
        let wanted = directory.entries.wants(1);
        let Some(block) = self.take_first(&wanted)? else {
            return Ok(false);
        };
        let Some(OpenDirectory { entries, .. }) = self.open_directories.last_mut() else {
            return Ok(false);
        };
        entries.budget = self.budget;
        entries.push(&block)?;
        self.budget = entries.budget;
        Ok(true)
    }

    fn keep(&mut self, block: &Block) {
        let bytes = self.small_bytes.saturating_add(block.data().len());
        let key = prefix(block.cid());
        if block.data().len() <= SMALL && bytes <= MAX_SMALL && !self.small.contains_key(&key) {
            self.small_bytes = bytes;
            self.small.insert(key, block.clone());
        }
    }

    fn emit(&mut self, piece: TreePiece) {
        self.out_bytes = self.out_bytes.saturating_add(piece.held());
        self.out.push_back(piece);
    }
}

impl TreeWalk for TreeWalker {
    fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError> {
        self.advance()?;
        let now = match &mut self.at {
            TreePosition::Node(cid) => Vec::from([*cid]),
            TreePosition::File(walker) => walker.wants(max)?,
            TreePosition::Directory => Vec::new(),
        };
        let (mut wanted, mut keys) = (Vec::new(), Vec::new());
        for cid in now.iter().chain(self.upcoming()) {
            if wanted.len() >= max {
                break;
            }
            let key = prefix(cid);
            let twice = keys.contains(&key) && wanted.contains(cid);
            if !twice && !self.has(cid, key) {
                keys.push(key);
                wanted.push(*cid);
            }
        }
        Ok(wanted)
    }

    fn is_wanted(&self, cid: &Cid) -> bool {
        let now = match &self.at {
            TreePosition::Node(wanted) => wanted == cid,
            TreePosition::File(walker) => walker.is_wanted(cid),
            TreePosition::Directory => false,
        };
        !self.ahead.contains_key(cid) && (now || self.upcoming().any(|one| one == cid))
    }

    fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        if !self.is_wanted(block.cid()) {
            return Err(UnixFsError::Unexpected);
        }
        self.keep(&block);
        match &mut self.at {
            TreePosition::Node(wanted) if wanted == block.cid() => self.open(block)?,
            TreePosition::File(walker) if walker.is_wanted(block.cid()) => walker.push(block)?,
            _ => {
                let bytes = block.data().len() as u64;
                self.ahead_bytes = self.ahead_bytes.saturating_add(bytes);
                self.ahead.insert(*block.cid(), block);
            }
        }
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
        self.out.is_empty()
            && self.open_directories.is_empty()
            && matches!(self.at, TreePosition::Directory)
    }

    fn buffered(&self) -> u64 {
        let file = match &self.at {
            TreePosition::File(walker) => walker.buffered(),
            TreePosition::Node(_) | TreePosition::Directory => 0,
        };
        file.saturating_add(self.ahead_bytes)
            .saturating_add(self.out_bytes)
    }
}

/// Checks that a name can't lead out of its directory.
pub(super) fn check(name: &[u8]) -> Result<(), UnixFsError> {
    let odd = name.is_empty() || name == b"." || name == b"..";
    if odd || name.contains(&b'/') || name.contains(&0) {
        return Err(UnixFsError::Name);
    }
    Ok(())
}
