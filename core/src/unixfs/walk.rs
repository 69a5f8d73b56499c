//! The verifying walker: from a root CID to the content of a file, in order, for every shape of
//! DAG.
//!
//! Blocks may arrive in any order, among those that [`Walker::wants`] returned. Each is a
//! [`Block`], so its hash is correct. The walker checks that the sizes that a node claims equal
//! those of its children.
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

/// Most positions of the content that are known at once. Above it, a repeated node is filled in
/// only once and wanted again later. A DAG of eight blocks, each with 174 links to the next, has
/// more positions than any memory.
const MAX_SLOTS: usize = 1 << 12;

/// Limits on what a walk may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Blocks that may be pushed.
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

/// A part of a file, as [`Walker::spans`] returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The wanted leaf, or `None` for content that was already pushed.
    pub cid: Option<Cid>,
    /// Bytes of the part.
    pub size: u64,
}

/// A part of the content that was not pushed yet.
#[derive(Debug, Clone)]
struct PendingNode {
    cid: Cid,
    /// Offset of its content in the file.
    offset: u64,
    /// Size according to its parent; unknown for the root.
    size: Option<u64>,
    depth: u32,
}

#[derive(Debug, Clone)]
enum ContentSlot {
    Pending(PendingNode),
    Data(Bytes),
}

/// Walks one file.
#[derive(Debug, Clone)]
pub struct Walker {
    /// The content from the position on, in order. Only nodes on the path are expanded, so its
    /// length is at most depth × links.
    slots: VecDeque<ContentSlot>,
    from: u64,
    /// Offset of the first byte that is not wanted.
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

    /// Walks the bytes `from..=to` of the file, or to its end if `to` is `None`. Never wants
    /// subtrees outside of them.
    #[must_use]
    pub fn with_range(root: Cid, from: u64, to: Option<u64>, budget: Budget) -> Self {
        let end = to.map_or(u64::MAX, |to| to.saturating_add(1));
        let root = ContentSlot::Pending(PendingNode {
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

    /// Returns the next blocks that are needed, at most `max`, in the order of the content, each
    /// once.
    ///
    /// # Errors
    /// [`UnixFsError`] if the DAG has an identity CID whose data is not a valid node.
    pub fn wants(&mut self, max: usize) -> Result<Vec<Cid>, UnixFsError> {
        self.fill_identity_nodes()?;
        let mut wanted: Vec<Cid> = Vec::new();
        for slot in &self.slots {
            if wanted.len() >= max {
                break;
            }
            if let ContentSlot::Pending(pending) = slot
                && !wanted.contains(&pending.cid)
            {
                wanted.push(pending.cid);
            }
        }
        Ok(wanted)
    }

    /// Returns whether the known part of the DAG needs this block anywhere.
    #[must_use]
    pub fn is_wanted(&self, cid: &Cid) -> bool {
        self.slots
            .iter()
            .any(|slot| matches!(slot, ContentSlot::Pending(pending) if pending.cid == *cid))
    }

    /// Adds a block and fills every position that needs it. If a node would add too many positions,
    /// it fills only the first.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] if the block is not wanted; the walker is unchanged. After any
    /// other error the content can't be read.
    pub fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        let (cid, data) = block.into_parts();
        let mut index = 0_usize;
        let (mut taken, mut grows) = (false, false);
        while let Some(slot) = self.slots.get(index) {
            match slot {
                ContentSlot::Pending(pending) if pending.cid == cid => {
                    if grows && self.slots.len() >= MAX_SLOTS {
                        break;
                    }
                    taken = true;
                    // A node can't contain itself, because its hash would have to be in it. So
                    // scanning on is safe.
                    let added = self.fill(index, cid.codec(), &data)?;
                    grows = added > 1;
                    index = index.saturating_add(added);
                }
                _ => index = index.saturating_add(1),
            }
        }
        if taken {
            self.fill_identity_nodes()
        } else {
            Err(UnixFsError::Unexpected)
        }
    }

    /// Returns the next piece of the content, if it was pushed.
    // Not an iterator, because `None` may mean "not yet".
    #[expect(
        clippy::should_implement_trait,
        reason = "None doesn't mean the end; see is_done"
    )]
    pub fn next(&mut self) -> Option<Bytes> {
        match self.slots.pop_front()? {
            ContentSlot::Data(data) => {
                let length = data.len() as u64;
                self.position = self.position.saturating_add(length);
                self.buffered = self.buffered.saturating_sub(length);
                Some(data)
            }
            pending @ ContentSlot::Pending(_) => {
                self.slots.push_front(pending);
                None
            }
        }
    }

    /// Returns whether all content was returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the offset in the file of the bytes that [`Walker::next`] returns next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the size of the whole file in bytes, once the root was pushed.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the offset in the file and the size of the next needed block, if it is a raw leaf
    /// whose parent has its size.
    #[must_use]
    pub fn next_leaf(&self) -> Option<(u64, u64)> {
        let mut pending = self.slots.iter().filter_map(|slot| match slot {
            ContentSlot::Pending(pending) => Some(pending),
            ContentSlot::Data(_) => None,
        });
        let leaf = pending.next().filter(|leaf| leaf.cid.codec() == cid::RAW)?;
        leaf.size.map(|size| (leaf.offset, size))
    }

    /// Returns the spans from `from` on, without a gap, up to the first node that was not pushed
    /// yet: at most `max` spans. `from` must be 0, the offset of a leaf, or the end of a leaf.
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
                ContentSlot::Data(data) => {
                    cursor = cursor.saturating_add(data.len() as u64);
                    skip(&mut spans, cursor, &mut at);
                }
                ContentSlot::Pending(pending) => {
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

    /// Returns the part of the budget that is left.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Returns the bytes that were pushed but not returned yet.
    #[must_use]
    pub fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Fills in identity CIDs, because their data is in the CID and not in a block.
    fn fill_identity_nodes(&mut self) -> Result<(), UnixFsError> {
        let mut index = 0_usize;
        while let Some(slot) = self.slots.get(index) {
            let inline = match slot {
                ContentSlot::Pending(pending) => cid::identity_data(&pending.cid)
                    .map(|data| (pending.cid.codec(), Bytes::copy_from_slice(data))),
                ContentSlot::Data(_) => None,
            };
            match inline {
                // Continue at the same index: the replacement may be an identity CID too.
                Some((codec, data)) => drop(self.fill(index, codec, &data)?),
                None => index = index.saturating_add(1),
            }
        }
        Ok(())
    }

    /// Replaces a pending node by its content and children. Returns the number of slots that they
    /// take.
    fn fill(&mut self, index: usize, codec: u64, bytes: &Bytes) -> Result<usize, UnixFsError> {
        let Some(ContentSlot::Pending(pending)) = self.slots.get(index).cloned() else {
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

    fn replace(&mut self, index: usize, slots: Vec<ContentSlot>) {
        // A leaf replaces its pending slot. This is the usual case, and it moves no other slots.
        if let (1, Some(pending)) = (slots.len(), self.slots.get_mut(index)) {
            if let Some(slot) = slots.into_iter().next() {
                *pending = slot;
            }
            return;
        }
        let tail = self.slots.split_off(index);
        self.slots.extend(slots);
        self.slots.extend(tail.into_iter().skip(1));
    }

    fn expand(
        &mut self,
        pending: &PendingNode,
        content: Content,
    ) -> Result<Vec<ContentSlot>, UnixFsError> {
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
            slots.push(ContentSlot::Data(part));
        }
        offset = offset.saturating_add(data.len() as u64);
        let depth = pending.depth.saturating_add(1);
        for (cid, size) in children {
            let end = offset.checked_add(size).ok_or(UnixFsError::Sizes)?;
            if offset < self.end && end > self.from && size > 0 {
                if depth > self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                slots.push(ContentSlot::Pending(PendingNode {
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

    /// Returns the wanted part of `data`, which starts at `offset` in the file.
    fn clip(&self, offset: u64, data: &Bytes) -> Option<Bytes> {
        let length = data.len() as u64;
        let start = self.from.saturating_sub(offset).min(length);
        let end = self.end.saturating_sub(offset).min(length);
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        (start < end).then(|| data.slice(start..end))
    }
}
