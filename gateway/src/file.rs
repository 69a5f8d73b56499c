//! Walks over the blocks of a UnixFS file that cover a range of it, depth first, and reads their
//! content.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::NodeType;

use crate::dag::{Dag, Node, decode};
use crate::refusal::Refusal;
use crate::stop::Stop;

/// Maximum depth of a file. Kubo's trickle DAGs are much less deep.
const MAX_DEPTH: u32 = 256;

/// A walk over the blocks of a file.
#[derive(Debug)]
pub(crate) struct FileWalk {
    dag: Dag,
    /// The requested bytes.
    range: Range<u64>,
    /// Blocks that are not read yet. The next one is last.
    stack: Vec<PendingBlock>,
    /// Blocks that were returned with everything below them, if they must not be repeated.
    seen: Option<HashSet<Cid>>,
}

#[derive(Debug, Clone, Copy)]
struct PendingBlock {
    cid: Cid,
    /// Offset of its content in the file.
    start: u64,
    /// Length of its content according to its parent; unknown for the root.
    size: Option<u64>,
    depth: u32,
}

/// A block of the file.
#[derive(Debug)]
pub(crate) struct FileBlock {
    pub(crate) cid: Cid,
    pub(crate) data: Bytes,
    /// The part of its own content that is in the range.
    pub(crate) content: Bytes,
    /// Whether all content of the block and below it is in the range.
    inside: bool,
}

impl FileWalk {
    pub(crate) fn new(dag: Dag, root: Cid, range: Range<u64>) -> Self {
        let block = PendingBlock {
            cid: root,
            start: 0,
            size: None,
            depth: 0,
        };
        Self {
            dag,
            range,
            stack: vec![block],
            seen: None,
        }
    }

    /// Skips blocks that were already returned with everything below them.
    pub(crate) fn without_repeats(mut self) -> Self {
        self.seen = Some(HashSet::new());
        self
    }

    /// Returns the next block. A [`Stop::Pending`] step changes nothing.
    pub(crate) fn next(&mut self) -> Option<Result<FileBlock, Stop>> {
        loop {
            let block = *self.stack.last()?;
            let seen = self.seen.as_ref();
            if seen.is_some_and(|seen| seen.contains(&block.cid)) {
                self.stack.pop();
                continue;
            }
            let (file_block, mut below) = match self.read_block(block) {
                Ok(visited) => visited,
                Err(stop) => {
                    if matches!(stop, Stop::Refused(_)) {
                        self.stack.clear();
                    }
                    return Some(Err(stop));
                }
            };
            self.stack.pop();
            below.reverse();
            self.stack.extend(below);
            if let (true, Some(seen)) = (file_block.inside, &mut self.seen) {
                seen.insert(file_block.cid);
            }
            return Some(Ok(file_block));
        }
    }

    /// Reads a block. Returns it with the blocks below it, in order.
    fn read_block(&self, block: PendingBlock) -> Result<(FileBlock, Vec<PendingBlock>), Stop> {
        let data = self.dag.load(&block.cid)?;
        let (content, links, sizes) = decode_block(&block.cid, &data)?;
        let mut at = block.start.saturating_add(content.len() as u64);
        let own = self.clip(block.start..at);
        let own = Range {
            start: (own.start - block.start) as usize,
            end: (own.end - block.start) as usize,
        };
        let content = content.slice(own);
        if links.len() != sizes.len() || (!links.is_empty() && block.depth >= MAX_DEPTH) {
            return Err(Refusal::malformed("file").into());
        }
        let mut below = Vec::new();
        for (cid, size) in links.into_iter().zip(sizes) {
            let start = at;
            at = at.saturating_add(size);
            // A block without content adds nothing.
            if start < self.range.end && at > self.range.start && size > 0 {
                below.push(PendingBlock {
                    cid,
                    start,
                    size: Some(size),
                    depth: block.depth + 1,
                });
            }
        }
        if block
            .size
            .is_some_and(|size| block.start.saturating_add(size) != at)
        {
            return Err(Refusal::malformed("file").into());
        }
        let file_block = FileBlock {
            cid: block.cid,
            data,
            content,
            inside: block.start >= self.range.start && at <= self.range.end,
        };
        Ok((file_block, below))
    }

    fn clip(&self, part: Range<u64>) -> Range<u64> {
        let start = part.start.max(self.range.start).min(part.end);
        start..part.end.min(self.range.end).max(start)
    }
}

/// Returns the content of a file's block, and the blocks below it with the lengths of their
/// content.
fn decode_block(cid: &Cid, data: &Bytes) -> Result<(Bytes, Vec<Cid>, Vec<u64>), Refusal> {
    match decode(cid, data)? {
        Node::Raw => Ok((data.clone(), Vec::new(), Vec::new())),
        Node::Pb(node) => {
            let unixfs = node
                .unixfs
                .filter(|unixfs| matches!(unixfs.kind, NodeType::File | NodeType::Raw))
                .ok_or_else(|| Refusal::malformed("file"))?;
            let links = node.links.iter().map(|link| link.cid).collect();
            Ok((unixfs.data.unwrap_or_default(), links, unixfs.blocksizes))
        }
        Node::Document(_) => Err(Refusal::malformed("file")),
    }
}

/// The content of a range of a file, produced block by block.
#[derive(Debug)]
pub struct FileBody {
    root: Cid,
    range: Range<u64>,
    walk: FileWalk,
}

impl FileBody {
    pub(crate) fn new(dag: Dag, root: Cid, range: Range<u64>) -> Self {
        let mut walk = FileWalk::new(dag, root, range.clone());
        if range.is_empty() {
            walk.stack.clear();
        }
        Self { root, range, walk }
    }

    /// Returns the CID of the file and the range.
    #[must_use]
    pub fn file_range(&self) -> (Cid, Range<u64>) {
        (self.root, self.range.clone())
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Returns the next bytes. Skips blocks without content of their own.
    pub(crate) fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        loop {
            match self.walk.next()? {
                Ok(file_block) if file_block.content.is_empty() => {}
                Ok(file_block) => return Some(Ok(file_block.content)),
                Err(stop) => return Some(Err(stop)),
            }
        }
    }
}
