//! What a fetch is for: first the path, then the file or the tree at its end.

use super::outline::OutlineWalker;
use super::tree_walk::{TreePiece, TreeWalker};
use super::{ByteRange, FetchError, Options};
use crate::block::Block;
use crate::cid::{self, Cid, IpfsUrl};
use crate::unixfs::{Budget, Resolver, Span, UnixFsError, Walker};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A walk that returns entries as well as content.
pub(super) trait TreeWalk: core::fmt::Debug + Send + Sync {
    fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError>;
    fn is_wanted(&self, cid: &Cid) -> bool;
    fn push(&mut self, block: Block) -> Result<(), UnixFsError>;
    /// Returns the next piece. Continues the walk as far as blocks are available, if no piece is
    /// ready.
    fn next(&mut self) -> Result<Option<TreePiece>, UnixFsError>;
    /// Whether a piece is ready.
    fn has_next(&self) -> bool;
    fn is_done(&self) -> bool;
    fn buffered(&self) -> u64;
}

/// Starts the walk of a tree.
type StartWalk = fn(Cid, Budget, usize) -> Box<dyn TreeWalk>;

#[derive(Debug)]
enum Stage {
    Path(Resolver),
    File(Walker),
    /// A trait object, so that programs that fetch no trees don't contain its code: browsers load
    /// it.
    Tree(Box<dyn TreeWalk>),
    Block(SingleBlock),
}

/// One block of any codec.
#[derive(Debug)]
enum SingleBlock {
    Wanted(Cid),
    Received(Bytes),
    Done,
}

#[derive(Debug)]
pub(super) struct Target {
    stage: Stage,
    /// The requested root, and the path below it until it is resolved.
    root: Cid,
    path: Vec<String>,
    range: Option<ByteRange>,
    budget: Budget,
    /// For a tree: the function that starts its walk, and the size of the read-ahead window.
    tree: Option<(StartWalk, usize)>,
    /// Whether only the entries of the tree are wanted.
    outline: bool,
}

impl Target {
    /// The tree at the end of a path.
    pub(super) fn tree(url: &IpfsUrl, options: &Options) -> Self {
        let start: StartWalk =
            |root, budget, window| Box::new(TreeWalker::new(root, budget, window));
        Self {
            range: None,
            tree: Some((start, options.read_ahead)),
            ..Self::new(url, options)
        }
    }

    /// The entries of the tree at the end of a path.
    pub(super) fn outline(url: &IpfsUrl, options: &Options) -> Self {
        let start: StartWalk = |root, budget, _| Box::new(OutlineWalker::new(root, budget));
        Self {
            tree: Some((start, options.read_ahead)),
            outline: true,
            range: None,
            ..Self::new(url, options)
        }
    }

    pub(super) fn new(url: &IpfsUrl, options: &Options) -> Self {
        let resolver = Resolver::new(url.cid, url.path.clone(), options.budget);
        Self {
            stage: Stage::Path(resolver),
            root: url.cid,
            path: url.path.clone(),
            range: options.range,
            budget: options.budget,
            tree: None,
            outline: false,
        }
    }

    /// One block without the blocks below it.
    pub(super) fn block(cid: Cid, options: &Options) -> Self {
        let single = match cid::identity_data(&cid) {
            Some(data) => SingleBlock::Received(Bytes::copy_from_slice(data)),
            None => SingleBlock::Wanted(cid),
        };
        Self {
            stage: Stage::Block(single),
            root: cid,
            path: Vec::new(),
            range: None,
            budget: options.budget,
            tree: None,
            outline: false,
        }
    }

    /// Whether everything below the root is wanted, and not one file.
    pub(super) fn is_tree(&self) -> bool {
        self.tree.is_some()
    }

    /// Whether only block requests are useful, because a CAR would contain far more than what is
    /// wanted.
    pub(super) fn needs_block_requests(&self) -> bool {
        self.outline || matches!(self.stage, Stage::Block(_))
    }

    pub(super) fn root(&self) -> &Cid {
        &self.root
    }

    /// The path below [`Target::root`] that isn't resolved yet.
    pub(super) fn path(&self) -> &[String] {
        &self.path
    }

    /// Moves on to the file once the path is resolved. Returns the file's root if there was a path.
    pub(super) fn settle(&mut self) -> Result<Option<Cid>, FetchError> {
        let Stage::Path(resolver) = &mut self.stage else {
            return Ok(None);
        };
        while let Some(at) = resolver.wants()
            && let Some(data) = cid::identity_data(&at)
        {
            resolver.push(Block::verify(at, Bytes::copy_from_slice(data))?)?;
        }
        let Some(resolved) = resolver.resolved() else {
            return Ok(None);
        };
        let (from, to) = self.range.map_or((0, None), |range| (range.from, range.to));
        self.stage = match self.tree {
            Some((start, window)) => Stage::Tree(start(resolved.cid, self.budget, window)),
            None => Stage::File(Walker::with_range(resolved.cid, from, to, self.budget)),
        };
        self.root = resolved.cid;
        let had_path = !self.path.is_empty();
        self.path = Vec::new();
        Ok(had_path.then_some(resolved.cid))
    }

    /// Returns the next blocks that are needed, in order, each once.
    pub(super) fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError> {
        let wants = match &mut self.stage {
            Stage::Path(resolver) => resolver.wants().into_iter().collect(),
            Stage::File(walker) => walker.wants(max)?,
            Stage::Tree(tree) => tree.wants(max)?,
            Stage::Block(SingleBlock::Wanted(cid)) => Vec::from([*cid]),
            Stage::Block(_) => Vec::new(),
        };
        wants.iter().try_for_each(cid::check)?;
        Ok(wants)
    }

    pub(super) fn is_wanted(&self, cid: &Cid) -> bool {
        match &self.stage {
            Stage::Path(resolver) => resolver.wants().as_ref() == Some(cid),
            Stage::File(walker) => walker.is_wanted(cid),
            Stage::Tree(tree) => tree.is_wanted(cid),
            Stage::Block(single) => matches!(single, SingleBlock::Wanted(wanted) if wanted == cid),
        }
    }

    pub(super) fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        match &mut self.stage {
            Stage::Path(resolver) => resolver.push(block),
            Stage::File(walker) => walker.push(block),
            Stage::Tree(tree) => tree.push(block),
            Stage::Block(single) => match single {
                SingleBlock::Wanted(cid) if *cid == *block.cid() => {
                    *single = SingleBlock::Received(block.into_parts().1);
                    Ok(())
                }
                _ => Err(UnixFsError::Unexpected),
            },
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<TreePiece>, UnixFsError> {
        let content = match &mut self.stage {
            Stage::Path(_) => None,
            Stage::File(walker) => walker.next(),
            Stage::Tree(tree) => return tree.next(),
            Stage::Block(single) => match core::mem::replace(single, SingleBlock::Done) {
                SingleBlock::Received(data) => Some(data).filter(|data| !data.is_empty()),
                other => {
                    *single = other;
                    None
                }
            },
        };
        Ok(content.map(TreePiece::Content))
    }

    /// Whether a piece is ready.
    pub(super) fn has_next(&self) -> bool {
        match &self.stage {
            Stage::Path(_) => false,
            Stage::File(walker) => walker.has_next(),
            Stage::Tree(tree) => tree.has_next(),
            Stage::Block(single) => matches!(single, SingleBlock::Received(_)),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match &self.stage {
            Stage::Path(_) => false,
            Stage::File(walker) => walker.is_done(),
            Stage::Tree(tree) => tree.is_done(),
            Stage::Block(single) => matches!(single, SingleBlock::Done),
        }
    }

    /// Number of bytes held: they are not returned yet, or something before them is missing.
    pub(super) fn buffered(&self) -> u64 {
        match &self.stage {
            Stage::Path(_) => 0,
            Stage::File(walker) => walker.buffered(),
            Stage::Tree(tree) => tree.buffered(),
            Stage::Block(SingleBlock::Received(data)) => data.len() as u64,
            Stage::Block(_) => 0,
        }
    }

    /// Returns the known parts of the file from this offset on.
    pub(super) fn spans(&self, from: u64, max: usize) -> Vec<Span> {
        match &self.stage {
            Stage::Path(_) | Stage::Tree(_) | Stage::Block(_) => Vec::new(),
            Stage::File(walker) => walker.spans(from, max),
        }
    }

    /// Returns the offset and size of the next block that is needed, if it is known to be a leaf.
    pub(super) fn next_leaf(&self) -> Option<(u64, u64)> {
        match &self.stage {
            Stage::Path(_) | Stage::Tree(_) | Stage::Block(_) => None,
            Stage::File(walker) => walker.next_leaf(),
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        match &self.stage {
            Stage::Path(_) | Stage::Tree(_) | Stage::Block(_) => None,
            Stage::File(walker) => walker.size(),
        }
    }

    /// The range that is left to request; `None` means the whole file.
    pub(super) fn rest(&self) -> Option<ByteRange> {
        let to = self.range.and_then(|range| range.to);
        match &self.stage {
            Stage::Path(_) | Stage::Tree(_) | Stage::Block(_) => self.range,
            Stage::File(walker) => match walker.position() {
                0 if self.range.is_none() => None,
                from => Some(ByteRange { from, to }),
            },
        }
    }

    /// Maximum number of content bytes that are left.
    ///
    pub(super) fn most_left(&self) -> u64 {
        let range = self.rest().unwrap_or(ByteRange { from: 0, to: None });
        let end = range.to.map_or(u64::MAX, |to| to.saturating_add(1));
        let end = self.size().map_or(end, |size| end.min(size));
        end.saturating_sub(range.from).min(self.budget.output)
    }
}
