//! The balanced layout of a file's DAG: children in groups under a node, those nodes in groups again, and so on.
//!
//! The layout is Kubo's. Memory is one group of links for each level.

use super::{Built, Data, Kind};
use crate::block::Block;
use crate::cid::Version;
use crate::dag_pb::{Link, Node};
use alloc::vec::Vec;
use bytes::Bytes;

/// Lays out one file, or a part of one.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Of the nodes' CIDs.
    version: Version,
    /// Links of a node at most.
    links: usize,
    /// From the children up: those that have no parent yet.
    levels: Vec<Vec<Built>>,
}

impl Layout {
    pub(crate) fn new(version: Version, links: usize) -> Self {
        Self {
            version,
            links,
            levels: Vec::new(),
        }
    }

    /// Adds the next child, a leaf or another DAG; nodes that are full and have a successor go to `sink`.
    pub(crate) fn add(&mut self, child: Built, sink: &mut impl FnMut(Block)) {
        self.add_at(0, child, sink);
    }

    /// The children, as long as none of them has a parent.
    pub(crate) fn children(&self) -> Option<&[Built]> {
        match self.levels.as_slice() {
            [] => Some(&[]),
            [children] => Some(children),
            _ => None,
        }
    }

    /// Ends it; the last nodes go to `sink`, the root at last. One child alone is the root itself, and without children there is none.
    pub(crate) fn finish(mut self, sink: &mut impl FnMut(Block)) -> Option<Built> {
        let mut level = 0_usize;
        loop {
            let top = level.saturating_add(1) >= self.levels.len();
            let children = self.levels.get_mut(level)?;
            if top && children.len() == 1 {
                return children.pop();
            }
            if !children.is_empty() {
                let parent = self.group(level, sink);
                self.add_at(level.saturating_add(1), parent, sink);
            }
            level = level.saturating_add(1);
        }
    }

    fn add_at(&mut self, level: usize, child: Built, sink: &mut impl FnMut(Block)) {
        let (mut level, mut child) = (level, child);
        loop {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let full = self
                .levels
                .get(level)
                .is_some_and(|children| children.len() >= self.links);
            let parent = full.then(|| self.group(level, sink));
            if let Some(children) = self.levels.get_mut(level) {
                children.push(child);
            }
            let Some(parent) = parent else { return };
            child = parent;
            level = level.saturating_add(1);
        }
    }

    /// Makes the node over all waiting children of a level.
    fn group(&mut self, level: usize, sink: &mut impl FnMut(Block)) -> Built {
        let children = self
            .levels
            .get_mut(level)
            .map(core::mem::take)
            .unwrap_or_default();
        let total =
            |field: fn(&Built) -> u64| children.iter().map(field).fold(0_u64, u64::saturating_add);
        let (size, below) = (total(|child| child.size), total(|child| child.dag_size));
        let blocksizes = children.iter().map(|child| child.size).collect();
        let links = children.iter().map(|child| Link {
            cid: child.cid,
            name: Bytes::new(),
            tsize: child.dag_size,
        });
        let data = Data {
            filesize: Some(size),
            blocksizes,
            ..Data::new(Kind::File)
        };
        let block = node(links.collect(), data, self.version);
        let dag_size = below.saturating_add(block.data().len() as u64);
        let cid = *block.cid();
        sink(block);
        Built {
            cid,
            size,
            dag_size,
        }
    }
}

/// A node of a file.
pub(super) fn node(links: Vec<Link>, data: Data, version: Version) -> Block {
    let data = Some(data.encode());
    Block::dag_pb(Node { links, data }.encode(), version)
}
