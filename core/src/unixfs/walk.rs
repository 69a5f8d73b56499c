//! The verifying walker: from a root CID to the content of a file, in order, for every shape of
//! DAG.
//!
//! Blocks may arrive in any order, among those that [`Walker::wants`] returned. Each is a
//! [`Block`], so its hash is correct. The walker compares the size that the root claims with the
//! budget first. Then it checks that the sizes that a node claims equal those of its children.
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

use super::{Budget, Content, UnixFsError};
use crate::block::Block;
use crate::cid::{self, Cid};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// Most positions that one block adds to the known content. A repeated node fills the other
/// positions when it is pushed again. A DAG of eight blocks, each with 174 links to the next, has
/// more positions than any memory.
const MAX_GROWTH: usize = 1 << 12;
/// Most positions of the content that are known at once, about 40 MiB of memory. Blocks in the
/// order of the content need at most levels × links: 522 for 5 million chunks as Kubo adds them.
const MAX_SLOTS: usize = 1 << 17;
/// [`Walker::wants`] looks at so many positions for each block that it may return. A file can repeat
/// a few blocks any number of times.
const POSITIONS_PER_BLOCK: usize = 16;
/// Bytes that the nodes may have beyond those of the content. Each of Kubo's nodes has 8 KiB.
const NODES_EXTRA: u64 = 8 << 20;

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
enum SlotContent {
    Pending(PendingNode),
    Data(Bytes),
}

/// A position of the content, in a list.
#[derive(Debug, Clone)]
struct Slot {
    content: SlotContent,
    /// Index of the next position; [`NONE`] for the last.
    next: usize,
}

const NONE: usize = usize::MAX;

/// A decoded block of a file.
struct FileNode {
    data: Bytes,
    /// The children that have content.
    children: Vec<(Cid, u64)>,
    size: u64,
}

impl FileNode {
    fn decode(codec: u64, block: &Bytes) -> Result<Self, UnixFsError> {
        match Content::decode_as(codec, block)? {
            Content::Raw(data) => Ok(Self {
                size: data.len() as u64,
                data,
                children: Vec::new(),
            }),
            Content::File {
                data,
                mut children,
                size,
            } => {
                children.retain(|(_, size)| *size > 0);
                Ok(Self {
                    data,
                    children,
                    size,
                })
            }
            other => Err(UnixFsError::NotAFile { kind: other.kind() }),
        }
    }
}

/// Walks one file. A block costs time in its bytes and in the number of positions that it fills.
#[derive(Debug, Clone)]
pub struct Walker {
    /// The known content from the position on is a list that starts at `head`. Only nodes on the
    /// path are expanded. `free` starts the list of the unused slots.
    slots: Vec<Slot>,
    head: usize,
    free: usize,
    /// Number of slots in use.
    used: usize,
    /// The first slot that was not pushed yet, or [`NONE`].
    first_pending: usize,
    /// The slot of each pending position, by CID and offset.
    pending: BTreeMap<(Cid, u64), usize>,
    from: u64,
    /// Offset of the first byte that is not wanted.
    end: u64,
    budget: Budget,
    /// Bytes that blocks may still have beside content.
    nodes_left: u64,
    size: Option<u64>,
    position: u64,
    buffered: u64,
    /// Positions that were looked at or filled.
    #[cfg(test)]
    pub(super) steps: u64,
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
        let node = PendingNode {
            cid: root,
            offset: 0,
            size: None,
            depth: 0,
        };
        let slot = Slot {
            content: SlotContent::Pending(node),
            next: NONE,
        };
        let mut pending = BTreeMap::new();
        pending.insert((root, 0), 0);
        Self {
            slots: Vec::from([slot]),
            head: 0,
            free: NONE,
            used: 1,
            first_pending: 0,
            pending,
            from,
            end,
            budget,
            nodes_left: budget.output.saturating_add(NODES_EXTRA),
            size: None,
            position: from,
            buffered: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Returns the next blocks that are needed, at most `max`, in the order of the content, each
    /// once. If blocks repeat, it may return fewer, but always the first.
    ///
    /// # Errors
    /// [`UnixFsError`] if the DAG has an identity CID whose data is not a valid node.
    pub fn wants(&mut self, max: usize) -> Result<Vec<Cid>, UnixFsError> {
        self.fill_identity_root()?;
        let (mut wanted, mut keys) = (Vec::new(), Vec::new());
        let mut at = self.first_pending;
        for _ in 0..max.saturating_mul(POSITIONS_PER_BLOCK) {
            let Some(slot) = self.slots.get(at).filter(|_| wanted.len() < max) else {
                break;
            };
            at = slot.next;
            if let SlotContent::Pending(PendingNode { cid, .. }) = &slot.content {
                let key = cid::prefix(cid);
                if !keys.contains(&key) || !wanted.contains(cid) {
                    keys.push(key);
                    wanted.push(*cid);
                }
            }
            self.count_step();
        }
        Ok(wanted)
    }

    /// Returns whether the known part of the DAG needs this block anywhere.
    #[must_use]
    pub fn is_wanted(&self, cid: &Cid) -> bool {
        self.first_position(cid).is_some()
    }

    /// Returns the first position that needs this block: its offset and its slot.
    fn first_position(&self, cid: &Cid) -> Option<(u64, usize)> {
        let ((found, offset), slot) = self.pending.range((*cid, 0)..).next()?;
        (found == cid).then_some((*offset, *slot))
    }

    /// Adds a block and fills every position that needs it. If a node would add too many positions,
    /// it doesn't fill all, and is wanted again.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] if the block is not wanted; the walker is unchanged. After any
    /// other error the content can't be read.
    pub fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        let (cid, data) = block.into_parts();
        if !self.is_wanted(&cid) {
            return Err(UnixFsError::Unexpected);
        }
        let node = FileNode::decode(cid.codec(), &data)?;
        let beside = data.len().saturating_sub(node.data.len()) as u64;
        let left = self.nodes_left.checked_sub(beside);
        self.nodes_left = left.ok_or(UnixFsError::BudgetNodes)?;
        let limit = self.used.saturating_add(MAX_GROWTH);
        // A node can't contain itself, because its hash would have to be in it.
        while self.used <= limit
            && let Some((offset, slot)) = self.first_position(&cid)
        {
            self.pending.remove(&(cid, offset));
            self.fill(slot, &node)?;
        }
        self.skip_data();
        Ok(())
    }

    /// Moves `first_pending` over the slots that were filled. It never moves back.
    fn skip_data(&mut self) {
        while let Some(Slot {
            content: SlotContent::Data(_),
            next,
        }) = self.slots.get(self.first_pending)
        {
            self.first_pending = *next;
        }
    }

    /// Whether [`Walker::next`] has a piece of the content.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.head != self.first_pending
    }

    /// Returns the next piece of the content, if it was pushed.
    // Not an iterator, because `None` may mean "not yet".
    #[expect(
        clippy::should_implement_trait,
        reason = "None doesn't mean the end; see is_done"
    )]
    pub fn next(&mut self) -> Option<Bytes> {
        let free = self.free;
        let slot = self.slots.get_mut(self.head)?;
        let SlotContent::Data(data) = &mut slot.content else {
            return None;
        };
        let data = core::mem::take(data);
        self.free = self.head;
        self.head = core::mem::replace(&mut slot.next, free);
        self.used = self.used.saturating_sub(1);
        let length = data.len() as u64;
        self.position = self.position.saturating_add(length);
        self.buffered = self.buffered.saturating_sub(length);
        Some(data)
    }

    /// Returns whether all content was returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.head == NONE
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
        match &self.slots.get(self.first_pending)?.content {
            SlotContent::Pending(leaf) if leaf.cid.codec() == cid::RAW => {
                leaf.size.map(|size| (leaf.offset, size))
            }
            _ => None,
        }
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
        let mut index = self.head;
        while let Some(slot) = self.slots.get(index).filter(|_| spans.len() < max) {
            index = slot.next;
            match &slot.content {
                SlotContent::Data(data) => {
                    cursor = cursor.saturating_add(data.len() as u64);
                    skip(&mut spans, cursor, &mut at);
                }
                SlotContent::Pending(pending) => {
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

    /// Fills in a root that is an identity CID: its data is in the CID and not in a block.
    fn fill_identity_root(&mut self) -> Result<(), UnixFsError> {
        let Some(Slot {
            content: SlotContent::Pending(PendingNode { cid, .. }),
            ..
        }) = self.slots.get(self.first_pending)
        else {
            return Ok(());
        };
        let cid = *cid;
        if let Some(data) = cid::identity_data(&cid) {
            let node = FileNode::decode(cid.codec(), &Bytes::copy_from_slice(data))?;
            self.pending.remove(&(cid, 0));
            self.fill(self.first_pending, &node)?;
            self.skip_data();
        }
        Ok(())
    }

    /// Replaces a pending node by its content and children. Returns the last of their slots.
    fn fill(&mut self, index: usize, node: &FileNode) -> Result<usize, UnixFsError> {
        let slot = self.slots.get(index).ok_or(UnixFsError::Unexpected)?;
        let after = slot.next;
        let SlotContent::Pending(pending) = &slot.content else {
            return Err(UnixFsError::Unexpected);
        };
        let (mut offset, claimed) = (pending.offset, pending.size);
        let depth = pending.depth.saturating_add(1);
        match claimed {
            None => self.begin(node.size)?,
            Some(claimed) if claimed == node.size => {}
            Some(_) => return Err(UnixFsError::Sizes),
        }
        let mut last = NONE;
        if let Some(part) = self.clip(offset, &node.data) {
            self.buffered = self.buffered.saturating_add(part.len() as u64);
            last = self.place(index, last, after, SlotContent::Data(part))?;
        }
        offset = offset.saturating_add(node.data.len() as u64);
        for (cid, size) in &node.children {
            let end = offset.checked_add(*size).ok_or(UnixFsError::Sizes)?;
            if offset < self.end && end > self.from {
                if depth > self.budget.depth {
                    return Err(UnixFsError::BudgetDepth);
                }
                self.budget.spend_blocks(1)?;
                let child = PendingNode {
                    cid: *cid,
                    offset,
                    size: Some(*size),
                    depth,
                };
                last = self.place(index, last, after, SlotContent::Pending(child))?;
                if let Some(data) = cid::identity_data(cid) {
                    // The data of an identity CID is shorter than that of the CID around it, so
                    // this recursion is shallow.
                    let inline = FileNode::decode(cid.codec(), &Bytes::copy_from_slice(data))?;
                    last = self.fill(last, &inline)?;
                } else {
                    self.pending.insert((*cid, offset), last);
                }
            }
            offset = end;
        }
        if last == NONE {
            // Only the root can have no wanted content.
            (self.head, self.first_pending) = (NONE, NONE);
        }
        Ok(last)
    }

    /// Starts with the root: compares the size that it claims with the budget, before any other
    /// block is wanted. All other sizes must agree with it.
    fn begin(&mut self, size: u64) -> Result<(), UnixFsError> {
        self.size = Some(size);
        self.budget.spend_blocks(1)?;
        let wanted = size.min(self.end).saturating_sub(self.from);
        self.budget.spend_output(wanted)
    }

    /// Puts content between the slots `last` and `after`, or into the slot `index` if it is the
    /// first. Returns its slot.
    fn place(
        &mut self,
        index: usize,
        last: usize,
        after: usize,
        content: SlotContent,
    ) -> Result<usize, UnixFsError> {
        self.count_step();
        if last == NONE {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.content = content;
            }
            return Ok(index);
        }
        if self.used >= MAX_SLOTS {
            return Err(UnixFsError::BudgetBlocks);
        }
        self.used = self.used.saturating_add(1);
        let slot = Slot {
            content,
            next: after,
        };
        let new = match self.slots.get_mut(self.free) {
            Some(unused) => {
                let next_free = core::mem::replace(unused, slot).next;
                core::mem::replace(&mut self.free, next_free)
            }
            None => {
                self.slots.push(slot);
                self.slots.len().saturating_sub(1)
            }
        };
        if let Some(before) = self.slots.get_mut(last) {
            before.next = new;
        }
        Ok(new)
    }

    /// Counts a position that was looked at or filled, for the tests.
    fn count_step(&mut self) {
        #[cfg(test)]
        {
            self.steps = self.steps.saturating_add(1);
        }
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
