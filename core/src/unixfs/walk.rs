//! The verifying walker: from a root CID to the content of a file, in order, whatever the DAG's shape.
//!
//! Blocks may come in any order among those that [`Walker::wants`] named. Each is a [`Block`], so its hash is right; the walker
//! checks that the sizes that nodes claim are those that their children have.
//!
//! ```
//! use interplanar_core::unixfs::{Budget, Builder, SIZE_262144_V1, Walker};
//! let mut blocks = std::collections::HashMap::new();
//! let mut builder = Builder::new(SIZE_262144_V1);
//! builder.push(&[7; 1_000_000], &mut |block| { blocks.insert(*block.cid(), block); });
//! let built = builder.finish(&mut |block| { blocks.insert(*block.cid(), block); });
//!
//! let mut walker = Walker::new(built.cid, Budget::default());
//! let mut length = 0;
//! while !walker.is_done() {
//!     for cid in walker.wants(4).unwrap() {
//!         walker.push(blocks[&cid].clone()).unwrap();
//!     }
//!     while let Some(piece) = walker.next() {
//!         length += piece.len();
//!     }
//! }
//! assert_eq!(length, 1_000_000);
//! ```

use super::{Content, UnixFsError};
use crate::block::Block;
use crate::cid::{self, Cid};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

/// Places in the content that are known at once, before a node that repeats is left to be asked for again: a DAG of eight blocks, each with
/// 174 links to the next, has more places than any memory.
const MAX_SLOTS: usize = 1 << 12;

/// What a walk may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Blocks that may be taken.
    pub blocks: u64,
    /// Levels of nodes below the root.
    pub depth: u32,
    /// Bytes of content.
    pub output: u64,
}

impl Default for Budget {
    /// 16 Mi blocks, 64 levels, 16 TiB.
    fn default() -> Self {
        Self {
            blocks: 1 << 24,
            depth: 64,
            output: 1 << 44,
        }
    }
}

/// A part of a file, as [`Walker::spans`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The leaf that is wanted; none for content that is here already.
    pub cid: Option<Cid>,
    /// Bytes of it.
    pub size: u64,
}

/// A part of the content that is not there yet.
#[derive(Debug, Clone)]
struct Pending {
    cid: Cid,
    /// Where its content starts in the file.
    offset: u64,
    /// What its parent says of its size; unknown for the root.
    size: Option<u64>,
    depth: u32,
}

#[derive(Debug, Clone)]
enum Slot {
    Pending(Pending),
    Data(Bytes),
}

/// Walks one file.
#[derive(Debug, Clone)]
pub struct Walker {
    /// The content from the position on, in order; only nodes on the way are expanded, so its length is depth × links.
    slots: VecDeque<Slot>,
    from: u64,
    /// First byte that is not wanted.
    end: u64,
    budget: Budget,
    size: Option<u64>,
    position: u64,
    buffered: u64,
}

impl Walker {
    /// Walks the whole file.
    #[must_use]
    pub fn new(root: Cid, budget: Budget) -> Self {
        Self::with_range(root, 0, None, budget)
    }

    /// Walks the bytes `from..=to` of the file, to its end without `to`; subtrees outside are never asked for.
    #[must_use]
    pub fn with_range(root: Cid, from: u64, to: Option<u64>, budget: Budget) -> Self {
        let end = to.map_or(u64::MAX, |to| to.saturating_add(1));
        let root = Slot::Pending(Pending {
            cid: root,
            offset: 0,
            size: None,
            depth: 0,
        });
        let slots = VecDeque::from([root]);
        Self {
            slots,
            from,
            end,
            budget,
            size: None,
            position: from,
            buffered: 0,
        }
    }

    /// The next blocks that are needed, at most `max`, in the order of the content, each once.
    ///
    /// # Errors
    /// An identity CID in the DAG whose data is no valid node.
    pub fn wants(&mut self, max: usize) -> Result<Vec<Cid>, UnixFsError> {
        self.settle()?;
        let mut wanted: Vec<Cid> = Vec::new();
        for slot in &self.slots {
            if wanted.len() >= max {
                break;
            }
            if let Slot::Pending(pending) = slot
                && !wanted.contains(&pending.cid)
            {
                wanted.push(pending.cid);
            }
        }
        Ok(wanted)
    }

    /// Whether this block is needed anywhere in what is known of the DAG.
    #[must_use]
    pub fn is_wanted(&self, cid: &Cid) -> bool {
        self.slots
            .iter()
            .any(|slot| matches!(slot, Slot::Pending(pending) if pending.cid == *cid))
    }

    /// Takes a block; it fills every place where it is needed, or the first one only where a node would make too many.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] leaves the walker as it was; after any other error the content can't be had.
    pub fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        let (cid, data) = block.into_parts();
        let mut index = 0_usize;
        let (mut taken, mut grows) = (false, false);
        while let Some(slot) = self.slots.get(index) {
            match slot {
                Slot::Pending(pending) if pending.cid == cid => {
                    if grows && self.slots.len() >= MAX_SLOTS {
                        break;
                    }
                    taken = true;
                    // Where a node repeats inside itself nothing can be: its own hash would be in it. So going on is safe.
                    let added = self.fill(index, cid.codec(), &data)?;
                    grows = added > 1;
                    index = index.saturating_add(added);
                }
                _ => index = index.saturating_add(1),
            }
        }
        if taken {
            self.settle()
        } else {
            Err(UnixFsError::Unexpected)
        }
    }

    /// The next piece of the content, if it is there.
    // Not an iterator: `None` may mean "not yet".
    #[expect(
        clippy::should_implement_trait,
        reason = "None is not the end; see is_done"
    )]
    pub fn next(&mut self) -> Option<Bytes> {
        match self.slots.pop_front()? {
            Slot::Data(data) => {
                let length = data.len() as u64;
                self.position = self.position.saturating_add(length);
                self.buffered = self.buffered.saturating_sub(length);
                Some(data)
            }
            pending @ Slot::Pending(_) => {
                self.slots.push_front(pending);
                None
            }
        }
    }

    /// All content was given out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slots.is_empty()
    }

    /// The offset in the file of what [`Walker::next`] gives next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Size of the whole file in bytes, once the root is there.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Offset in the file and size of the next block that is needed, where it is a raw leaf whose parent tells its size.
    #[must_use]
    pub fn next_leaf(&self) -> Option<(u64, u64)> {
        let mut pending = self.slots.iter().filter_map(|slot| match slot {
            Slot::Pending(pending) => Some(pending),
            Slot::Data(_) => None,
        });
        let leaf = pending.next().filter(|leaf| leaf.cid.codec() == cid::RAW)?;
        leaf.size.map(|size| (leaf.offset, size))
    }

    /// What lies from `from` on, without a gap, up to the first node that isn't here: at most `max` spans. `from` is 0, the offset of a
    /// leaf or the end of one.
    #[must_use]
    pub fn spans(&self, from: u64, max: usize) -> Vec<Span> {
        let (mut spans, mut at, mut cursor) = (Vec::new(), from, self.position);
        let skip = |spans: &mut Vec<Span>, to: u64, at: &mut u64| {
            if to > *at {
                let size = to.saturating_sub(*at);
                spans.push(Span { cid: None, size });
                *at = to;
            }
        };
        skip(&mut spans, cursor, &mut at);
        for slot in &self.slots {
            if spans.len() >= max {
                break;
            }
            match slot {
                Slot::Data(data) => {
                    cursor = cursor.saturating_add(data.len() as u64);
                    skip(&mut spans, cursor, &mut at);
                }
                Slot::Pending(pending) => {
                    let leaf = pending.size.filter(|size| {
                        pending.cid.codec() == cid::RAW && *size <= cid::MAX_BLOCK as u64
                    });
                    let Some(size) = leaf else { break };
                    cursor = pending.offset.saturating_add(size);
                    if cursor <= at {
                        continue;
                    }
                    if pending.offset != at {
                        break;
                    }
                    let cid = Some(pending.cid);
                    spans.push(Span { cid, size });
                    at = cursor;
                }
            }
        }
        spans
    }

    /// What is left of what the walk may use.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Bytes that were taken and not given out.
    #[must_use]
    pub fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Resolves identity CIDs, which no one else has.
    fn settle(&mut self) -> Result<(), UnixFsError> {
        let mut index = 0_usize;
        while let Some(slot) = self.slots.get(index) {
            let own = match slot {
                Slot::Pending(pending) => cid::identity_data(&pending.cid)
                    .map(|data| (pending.cid.codec(), Bytes::copy_from_slice(data))),
                Slot::Data(_) => None,
            };
            match own {
                // What replaced it is looked at next: it may be an identity CID again.
                Some((codec, data)) => drop(self.fill(index, codec, &data)?),
                None => index = index.saturating_add(1),
            }
        }
        Ok(())
    }

    /// Puts a node's content and children in its place; says how many slots they take.
    fn fill(&mut self, index: usize, codec: u64, bytes: &Bytes) -> Result<usize, UnixFsError> {
        let Some(Slot::Pending(pending)) = self.slots.get(index).cloned() else {
            return Err(UnixFsError::Unexpected);
        };
        self.budget.blocks = self
            .budget
            .blocks
            .checked_sub(1)
            .ok_or(UnixFsError::BudgetBlocks)?;
        let content = Content::decode_as(codec, bytes)?;
        let size = content.file_size().ok_or(UnixFsError::NotAFile {
            kind: content.kind(),
        })?;
        match pending.size {
            None => self.size = Some(size),
            Some(claimed) if claimed == size => {}
            Some(_) => return Err(UnixFsError::Sizes),
        }
        let slots = self.expand(&pending, content)?;
        let added = slots.len();
        self.replace(index, slots);
        Ok(added)
    }

    fn replace(&mut self, index: usize, slots: Vec<Slot>) {
        // A leaf takes the place of its promise: the usual case, without moving its neighbours.
        if let (1, Some(place)) = (slots.len(), self.slots.get_mut(index)) {
            if let Some(slot) = slots.into_iter().next() {
                *place = slot;
            }
            return;
        }
        let tail = self.slots.split_off(index);
        self.slots.extend(slots);
        self.slots.extend(tail.into_iter().skip(1));
    }

    fn expand(&mut self, pending: &Pending, content: Content) -> Result<Vec<Slot>, UnixFsError> {
        let (data, children) = match content {
            Content::Raw(data) => (data, Vec::new()),
            Content::File { data, children, .. } => (data, children),
            other => return Err(UnixFsError::NotAFile { kind: other.kind() }),
        };
        let mut slots = Vec::new();
        let mut offset = pending.offset;
        if let Some(part) = self.clip(offset, &data) {
            let length = part.len() as u64;
            self.budget.output = self
                .budget
                .output
                .checked_sub(length)
                .ok_or(UnixFsError::BudgetOutput)?;
            self.buffered = self.buffered.saturating_add(length);
            slots.push(Slot::Data(part));
        }
        offset = offset.saturating_add(data.len() as u64);
        let depth = pending.depth.saturating_add(1);
        for (cid, size) in children {
            let end = offset.checked_add(size).ok_or(UnixFsError::Sizes)?;
            if offset < self.end && end > self.from && size > 0 {
                if depth > self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                slots.push(Slot::Pending(Pending {
                    cid,
                    offset,
                    size: Some(size),
                    depth,
                }));
            }
            offset = end;
        }
        Ok(slots)
    }

    /// The part of `data`, which stands at `offset`, that is wanted.
    fn clip(&self, offset: u64, data: &Bytes) -> Option<Bytes> {
        let length = data.len() as u64;
        let start = self.from.saturating_sub(offset).min(length);
        let end = self.end.saturating_sub(offset).min(length);
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        (start < end).then(|| data.slice(start..end))
    }
}
