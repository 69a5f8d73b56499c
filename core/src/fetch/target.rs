//! What is fetched: first the path, then the file at its end.

use super::{ByteRange, FetchError, Options};
use crate::block::Block;
use crate::cid::{self, Cid, IpfsUrl};
use crate::unixfs::{Budget, Resolver, Span, UnixFsError, Walker};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

#[derive(Debug)]
enum Stage {
    Path(Resolver),
    File(Walker),
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
}

impl Target {
    pub(super) fn new(url: &IpfsUrl, options: &Options) -> Self {
        let resolver = Resolver::new(url.cid, url.path.clone(), options.budget);
        Self {
            stage: Stage::Path(resolver),
            root: url.cid,
            path: url.path.clone(),
            range: options.range,
            budget: options.budget,
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
        }
    }

    /// Whether no CAR can bring what is wanted, since its DAG is of no concern.
    pub(super) fn is_block(&self) -> bool {
        matches!(self.stage, Stage::Block(_))
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
        self.stage = Stage::File(Walker::with_range(resolved.cid, from, to, self.budget));
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
            Stage::Block(single) => matches!(single, Single::Wanted(wanted) if wanted == cid),
        }
    }

    pub(super) fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        match &mut self.stage {
            Stage::Path(resolver) => resolver.push(block),
            Stage::File(walker) => walker.push(block),
            Stage::Block(single) => match single {
                Single::Wanted(cid) if *cid == *block.cid() => {
                    *single = Single::Here(block.into_parts().1);
                    Ok(())
                }
                _ => Err(UnixFsError::Unexpected),
            },
        }
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        match &mut self.stage {
            Stage::Path(_) => None,
            Stage::File(walker) => walker.next(),
            Stage::Block(single) => match core::mem::replace(single, Single::Done) {
                Single::Here(data) => Some(data).filter(|data| !data.is_empty()),
                other => {
                    *single = other;
                    None
                }
            },
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match &self.stage {
            Stage::Path(_) => false,
            Stage::File(walker) => walker.is_done(),
            Stage::Block(single) => matches!(single, Single::Done),
        }
    }

    /// Bytes taken and not given out, since something before them is missing.
    pub(super) fn buffered(&self) -> u64 {
        match &self.stage {
            Stage::Path(_) => 0,
            Stage::File(walker) => walker.buffered(),
            Stage::Block(Single::Here(data)) => data.len() as u64,
            Stage::Block(_) => 0,
        }
    }

    /// What lies from this offset of the file on, as far as it is known.
    pub(super) fn spans(&self, from: u64, max: usize) -> Vec<Span> {
        match &self.stage {
            Stage::Path(_) | Stage::Block(_) => Vec::new(),
            Stage::File(walker) => walker.spans(from, max),
        }
    }

    /// Offset and size of the next block that is needed, if it is known to be a leaf.
    pub(super) fn next_leaf(&self) -> Option<(u64, u64)> {
        match &self.stage {
            Stage::Path(_) | Stage::Block(_) => None,
            Stage::File(walker) => walker.next_leaf(),
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        match &self.stage {
            Stage::Path(_) | Stage::Block(_) => None,
            Stage::File(walker) => walker.size(),
        }
    }

    /// What is still to be asked for: `None` for the whole file.
    pub(super) fn rest(&self) -> Option<ByteRange> {
        let to = self.range.and_then(|range| range.to);
        match &self.stage {
            Stage::Path(_) | Stage::Block(_) => self.range,
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
