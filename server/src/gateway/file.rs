//! The blocks of a UnixFS file that cover a range of it, depth first, and the content in them.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::Kind;

use super::dag::{Dag, Node, decode};
use super::refusal::Refusal;

/// The deepest file; Kubo's trickle DAGs stay far below.
const MAX_DEPTH: u32 = 256;

/// A walk over the blocks of a file.
pub(super) struct FileWalk {
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
pub(super) struct Visit {
    pub(super) cid: Cid,
    pub(super) data: Bytes,
    /// The content in it that lies in the range.
    pub(super) content: Bytes,
    /// Whether all content of the block and of those below it lies in the range.
    inside: bool,
}

impl FileWalk {
    pub(super) fn new(dag: Dag, root: Cid, range: Range<u64>) -> Self {
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
    pub(super) fn without_repeats(mut self) -> Self {
        self.seen = Some(HashSet::new());
        self
    }

    fn visit(&mut self, step: Step) -> Result<Visit, Refusal> {
        let data = self.dag.load(&step.cid)?;
        let (content, inner) = match decode(&step.cid, &data)? {
            Node::Raw => (data.clone(), None),
            Node::Pb(node) => {
                let unixfs = node
                    .unixfs
                    .filter(|unixfs| matches!(unixfs.kind, Kind::File | Kind::Raw));
                let unixfs = unixfs.ok_or_else(|| Refusal::malformed("file"))?;
                (
                    unixfs.data.clone().unwrap_or_default(),
                    Some((node.links, unixfs.blocksizes)),
                )
            }
            Node::Tree(_) => return Err(Refusal::malformed("file")),
        };
        let mut at = step.start.saturating_add(content.len() as u64);
        let own = self.clip(step.start..at);
        let own = Range {
            start: (own.start - step.start) as usize,
            end: (own.end - step.start) as usize,
        };
        let content = content.slice(own);
        if let Some((links, sizes)) = inner {
            if links.len() != sizes.len() || step.depth >= MAX_DEPTH {
                return Err(Refusal::malformed("file"));
            }
            let first = self.stack.len();
            for (link, size) in links.iter().zip(sizes) {
                let start = at;
                at = at.saturating_add(size);
                // A block of no bytes adds nothing.
                if start < self.range.end && at > self.range.start && size > 0 {
                    self.stack.push(Step {
                        cid: link.cid,
                        start,
                        size: Some(size),
                        depth: step.depth + 1,
                    });
                }
            }
            self.stack[first..].reverse();
        }
        if step
            .size
            .is_some_and(|size| step.start.saturating_add(size) != at)
        {
            return Err(Refusal::malformed("file"));
        }
        Ok(Visit {
            cid: step.cid,
            data,
            content,
            inside: step.start >= self.range.start && at <= self.range.end,
        })
    }

    fn clip(&self, part: Range<u64>) -> Range<u64> {
        let start = part.start.max(self.range.start).min(part.end);
        start..part.end.min(self.range.end).max(start)
    }
}

impl Iterator for FileWalk {
    type Item = Result<Visit, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let step = self.stack.pop()?;
            if self
                .seen
                .as_ref()
                .is_some_and(|seen| seen.contains(&step.cid))
            {
                continue;
            }
            let visit = self.visit(step);
            match (&visit, &mut self.seen) {
                (Ok(visit), Some(seen)) if visit.inside => {
                    seen.insert(visit.cid);
                }
                (Ok(_), _) => {}
                (Err(_), _) => self.stack.clear(),
            }
            return Some(visit);
        }
    }
}

/// The content of a range of a file, piece by piece.
pub(super) fn content(
    dag: Dag,
    root: Cid,
    range: Range<u64>,
) -> impl Iterator<Item = io::Result<Bytes>> + Send + 'static {
    let empty = range.is_empty();
    FileWalk::new(dag, root, range)
        .take_while(move |_| !empty)
        .map(|visit| visit.map(|visit| visit.content).map_err(broken))
        .filter(|piece| !matches!(piece, Ok(piece) if piece.is_empty()))
}

/// A refusal in the middle of a body: the connection ends.
pub(super) fn broken(refusal: Refusal) -> io::Error {
    tracing::debug!(?refusal, "a body ended early");
    io::Error::other("the content is incomplete")
}
