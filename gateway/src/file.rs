//! The blocks of a UnixFS file that cover a range of it, depth first, and the content in them.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::Kind;

use crate::dag::{Dag, Node, decode};
use crate::refusal::Refusal;
use crate::stop::Stop;

/// The deepest file; Kubo's trickle DAGs stay far below.
const MAX_DEPTH: u32 = 256;

/// A walk over the blocks of a file.
#[derive(Debug)]
pub(crate) struct FileWalk {
    dag: Dag,
    /// The bytes wanted.
    range: Range<u64>,
    /// Blocks to come, the next one last.
    stack: Vec<Step>,
    /// Blocks that came with all below them, if they aren't to come again.
    seen: Option<HashSet<Cid>>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    cid: Cid,
    /// Where its content begins in the file.
    start: u64,
    /// How much content its parent says it has; unknown for the root.
    size: Option<u64>,
    depth: u32,
}

/// A block of a file.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) cid: Cid,
    pub(crate) data: Bytes,
    /// The content in it that lies in the range.
    pub(crate) content: Bytes,
    /// Whether all content of the block and of those below it lies in the range.
    inside: bool,
}

impl FileWalk {
    pub(crate) fn new(dag: Dag, root: Cid, range: Range<u64>) -> Self {
        let step = Step {
            cid: root,
            start: 0,
            size: None,
            depth: 0,
        };
        Self {
            dag,
            range,
            stack: vec![step],
            seen: None,
        }
    }

    /// Passes over blocks that came before with all that is below them.
    pub(crate) fn without_repeats(mut self) -> Self {
        self.seen = Some(HashSet::new());
        self
    }

    /// The next block. A step that is [`Stop::Pending`] changes nothing.
    pub(crate) fn next(&mut self) -> Option<Result<Visit, Stop>> {
        loop {
            let step = *self.stack.last()?;
            let seen = self.seen.as_ref();
            if seen.is_some_and(|seen| seen.contains(&step.cid)) {
                self.stack.pop();
                continue;
            }
            let (visit, mut below) = match self.visit(step) {
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
            if let (true, Some(seen)) = (visit.inside, &mut self.seen) {
                seen.insert(visit.cid);
            }
            return Some(Ok(visit));
        }
    }

    /// Reads a block; with the steps below it, in order.
    fn visit(&self, step: Step) -> Result<(Visit, Vec<Step>), Stop> {
        let data = self.dag.load(&step.cid)?;
        let (content, links, sizes) = parts(&step.cid, &data)?;
        let mut at = step.start.saturating_add(content.len() as u64);
        let own = self.clip(step.start..at);
        let own = Range {
            start: (own.start - step.start) as usize,
            end: (own.end - step.start) as usize,
        };
        let content = content.slice(own);
        if links.len() != sizes.len() || (!links.is_empty() && step.depth >= MAX_DEPTH) {
            return Err(Refusal::malformed("file").into());
        }
        let mut below = Vec::new();
        for (cid, size) in links.into_iter().zip(sizes) {
            let start = at;
            at = at.saturating_add(size);
            // A block of no bytes adds nothing.
            if start < self.range.end && at > self.range.start && size > 0 {
                below.push(Step {
                    cid,
                    start,
                    size: Some(size),
                    depth: step.depth + 1,
                });
            }
        }
        if step
            .size
            .is_some_and(|size| step.start.saturating_add(size) != at)
        {
            return Err(Refusal::malformed("file").into());
        }
        let visit = Visit {
            cid: step.cid,
            data,
            content,
            inside: step.start >= self.range.start && at <= self.range.end,
        };
        Ok((visit, below))
    }

    fn clip(&self, part: Range<u64>) -> Range<u64> {
        let start = part.start.max(self.range.start).min(part.end);
        start..part.end.min(self.range.end).max(start)
    }
}

/// The content of a block of a file, and the blocks below it with the sizes of what they hold.
fn parts(cid: &Cid, data: &Bytes) -> Result<(Bytes, Vec<Cid>, Vec<u64>), Refusal> {
    match decode(cid, data)? {
        Node::Raw => Ok((data.clone(), Vec::new(), Vec::new())),
        Node::Pb(node) => {
            let unixfs = node
                .unixfs
                .filter(|unixfs| matches!(unixfs.kind, Kind::File | Kind::Raw))
                .ok_or_else(|| Refusal::malformed("file"))?;
            let links = node.links.iter().map(|link| link.cid).collect();
            Ok((unixfs.data.unwrap_or_default(), links, unixfs.blocksizes))
        }
        Node::Tree(_) => Err(Refusal::malformed("file")),
    }
}

/// The content of a range of a file, piece by piece.
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

    /// The file, and which bytes of it.
    #[must_use]
    pub fn what(&self) -> (Cid, Range<u64>) {
        (self.root, self.range.clone())
    }

    /// How many bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// The next piece; blocks without content of their own are passed over.
    pub(crate) fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        loop {
            match self.walk.next()? {
                Ok(visit) if visit.content.is_empty() => {}
                Ok(visit) => return Some(Ok(visit.content)),
                Err(stop) => return Some(Err(stop)),
            }
        }
    }
}
