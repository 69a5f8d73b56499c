//! What is fetched: first the path, then the file or the tree at its end.

use super::outline::Outline;
use super::tree::{Tree, TreePiece};
use super::{ByteRange, FetchError, Options};
use crate::block::Block;
use crate::cid::{self, Cid, IpfsUrl};
use crate::unixfs::{Budget, Resolver, Span, UnixFsError, Walker};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A walk that gives out more than content.
pub(super) trait Walk: core::fmt::Debug + Send + Sync {
    fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError>;
    fn is_wanted(&self, cid: &Cid) -> bool;
    fn push(&mut self, block: Block) -> Result<(), UnixFsError>;
    fn next(&mut self) -> Option<TreePiece>;
    fn is_done(&self) -> bool;
    fn buffered(&self) -> u64;
}

/// Starts the walk of a tree.
type Begin = fn(Cid, Budget, usize) -> Box<dyn Walk>;

#[derive(Debug)]
enum Stage {
    Path(Resolver),
    File(Walker),
    /// Dynamic, so that its code stays out of programs that fetch no trees: browsers load this.
    Tree(Box<dyn Walk>),
    Block(Single),
}

/// One block, whatever is in it.
#[derive(Debug)]
enum Single {
    Wanted(Cid),
    Here(Bytes),
    Done,
}

#[derive(Debug)]
pub(super) struct Target {
    stage: Stage,
    /// The root that is asked for, and the path under it while that is not resolved.
    root: Cid,
    path: Vec<String>,
    range: Option<ByteRange>,
    budget: Budget,
    /// For a tree: how its walk begins, and how far it looks ahead.
    tree: Option<(Begin, usize)>,
    /// Of the tree only the directories are wanted.
    outline: bool,
}

impl Target {
    /// A path, and whatever tree is at its end.
    pub(super) fn tree(url: &IpfsUrl, options: &Options) -> Self {
        let begin: Begin = |root, budget, window| Box::new(Tree::new(root, budget, window));
        Self {
            range: None,
            tree: Some((begin, options.read_ahead)),
            ..Self::new(url, options)
        }
    }

    /// A path, and the directories of the tree at its end.
    pub(super) fn outline(url: &IpfsUrl, options: &Options) -> Self {
        let begin: Begin = |root, budget, _| Box::new(Outline::new(root, budget));
        Self {
            tree: Some((begin, options.read_ahead)),
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

    /// One block and nothing below it.
    pub(super) fn block(cid: Cid, options: &Options) -> Self {
        let single = match cid::identity_data(&cid) {
            Some(data) => Single::Here(Bytes::copy_from_slice(data)),
            None => Single::Wanted(cid),
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

    /// Whether all below the root is wanted, and not one file.
    pub(super) fn is_tree(&self) -> bool {
        self.tree.is_some()
    }

    /// Whether no CAR brings what is wanted and not much more, since most of its DAG is of no concern.
    pub(super) fn is_block(&self) -> bool {
        self.outline || matches!(self.stage, Stage::Block(_))
    }

    pub(super) fn root(&self) -> &Cid {
        &self.root
    }

    /// The path under [`Target::root`] that isn't resolved yet.
    pub(super) fn path(&self) -> &[String] {
        &self.path
    }

    /// Goes on to the file when the path is resolved; gives its root if there was a path.
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
            Some((begin, window)) => Stage::Tree(begin(resolved.cid, self.budget, window)),
            None => Stage::File(Walker::with_range(resolved.cid, from, to, self.budget)),
        };
        self.root = resolved.cid;
        let had_path = !self.path.is_empty();
        self.path = Vec::new();
        Ok(had_path.then_some(resolved.cid))
    }

    /// The next blocks that are needed, in order, each once.
    pub(super) fn wants(&mut self, max: usize) -> Result<Vec<Cid>, FetchError> {
        let wants = match &mut self.stage {
            Stage::Path(resolver) => resolver.wants().into_iter().collect(),
            Stage::File(walker) => walker.wants(max)?,
            Stage::Tree(tree) => tree.wants(max)?,
            Stage::Block(Single::Wanted(cid)) => Vec::from([*cid]),
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
            Stage::Block(single) => matches!(single, Single::Wanted(wanted) if wanted == cid),
        }
    }

    pub(super) fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        match &mut self.stage {
            Stage::Path(resolver) => resolver.push(block),
            Stage::File(walker) => walker.push(block),
            Stage::Tree(tree) => tree.push(block),
            Stage::Block(single) => match single {
                Single::Wanted(cid) if *cid == *block.cid() => {
                    *single = Single::Here(block.into_parts().1);
                    Ok(())
                }
                _ => Err(UnixFsError::Unexpected),
            },
        }
    }

    pub(super) fn next(&mut self) -> Option<TreePiece> {
        let content = match &mut self.stage {
            Stage::Path(_) => None,
            Stage::File(walker) => walker.next(),
            Stage::Tree(tree) => return tree.next(),
            Stage::Block(single) => match core::mem::replace(single, Single::Done) {
                Single::Here(data) => Some(data).filter(|data| !data.is_empty()),
                other => {
                    *single = other;
                    None
                }
            },
        };
        content.map(TreePiece::Content)
    }

    pub(super) fn is_done(&self) -> bool {
        match &self.stage {
            Stage::Path(_) => false,
            Stage::File(walker) => walker.is_done(),
            Stage::Tree(tree) => tree.is_done(),
            Stage::Block(single) => matches!(single, Single::Done),
        }
    }

    /// Bytes taken and not given out, since something before them is missing.
    pub(super) fn buffered(&self) -> u64 {
        match &self.stage {
            Stage::Path(_) => 0,
            Stage::File(walker) => walker.buffered(),
            Stage::Tree(tree) => tree.buffered(),
            Stage::Block(Single::Here(data)) => data.len() as u64,
            Stage::Block(_) => 0,
        }
    }

    /// What lies from this offset of the file on, as far as it is known.
    pub(super) fn spans(&self, from: u64, max: usize) -> Vec<Span> {
        match &self.stage {
            Stage::Path(_) | Stage::Tree(_) | Stage::Block(_) => Vec::new(),
            Stage::File(walker) => walker.spans(from, max),
        }
    }

    /// Offset and size of the next block that is needed, if it is known to be a leaf.
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

    /// What is still to be asked for: `None` for the whole file.
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

    /// The most content that can still come, in bytes.
    pub(super) fn most_left(&self) -> u64 {
        let range = self.rest().unwrap_or(ByteRange { from: 0, to: None });
        let end = range.to.map_or(u64::MAX, |to| to.saturating_add(1));
        let end = self.size().map_or(end, |size| end.min(size));
        end.saturating_sub(range.from).min(self.budget.output)
    }
}
