//! The balanced layout of a file's DAG: groups of children under a node, groups of such nodes under
//! a node, and so on.
//!
//! The layout is Kubo's. It keeps one group of links for each level in memory.

use super::{Built, Data, NodeType};
use crate::block::Block;
use crate::cid::Version;
use crate::dag_pb::{Link, Node};
use alloc::vec::Vec;
use bytes::Bytes;

/// Lays out one file, or a part of a file.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Version of the nodes' CIDs.
    version: Version,
    /// Most links of a node.
    links: usize,
    /// For each level, from the leaves up: the nodes without a parent.
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

    /// Adds the next child: a leaf or another DAG. Sends each full node to `sink` as soon as it has
    /// a successor.
    pub(crate) fn add(&mut self, child: Built, sink: &mut impl FnMut(Block)) {
        self.add_at(0, child, sink);
    }

    /// Returns the children, as long as none of them has a parent.
    pub(crate) fn children(&self) -> Option<&[Built]> {
        match self.levels.as_slice() {
            [] => Some(&[]),
            [children] => Some(children),
            _ => None,
        }
    }

    /// Ends the layout. Sends the last nodes to `sink`, the root last. A single child is itself the
    /// root. Returns `None` if there are no children.
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

    /// Builds the node over all children of a level that have no parent.
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
            ..Data::new(NodeType::File)
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

/// Builds a node of a file.
pub(super) fn node(links: Vec<Link>, data: Data, version: Version) -> Block {
    let data = Some(data.encode());
    Block::dag_pb(Node { links, data }.encode(), version)
}
