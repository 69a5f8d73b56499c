//! The builder: bytes in, UnixFS blocks out, with the CIDs of `ipfs add` for the same chunker, CID version and leaves.
//!
//! The layout is Kubo's balanced one: leaves in groups of 174 under a node, those nodes in groups of 174 again, and so on. Memory is
//! one chunk and, for each level, one group of links.

use super::{Data, Kind};
use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::dag_pb::{Link, Node};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// Links of an inner node, as Kubo has it: 8 KiB of links.
pub const LINKS: usize = 174;

/// How a file becomes a DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Bytes in each leaf but the last.
    pub chunk: u32,
    /// Version of the CIDs of dag-pb nodes.
    pub cid_version: Version,
    /// Leaves are plain bytes instead of dag-pb nodes.
    pub raw_leaves: bool,
    /// Links of an inner node at most.
    pub links: usize,
}

const fn profile(chunk: u32, cid_version: Version, raw_leaves: bool) -> Profile {
    Profile {
        chunk,
        cid_version,
        raw_leaves,
        links: LINKS,
    }
}

/// `ipfs add --chunker=size-262144 --cid-version=0 --raw-leaves=false`: Kubo's old default.
pub const SIZE_262144_V0: Profile = profile(262_144, Version::V0, false);
/// `ipfs add --chunker=size-262144 --cid-version=1`.
pub const SIZE_262144_V1: Profile = profile(262_144, Version::V1, true);
/// `ipfs add --chunker=size-1048576 --cid-version=0 --raw-leaves=false`.
pub const SIZE_1048576_V0: Profile = profile(1_048_576, Version::V0, false);
/// `ipfs add --chunker=size-1048576 --cid-version=1`: what Interplanar publishes.
pub const SIZE_1048576_V1: Profile = profile(1_048_576, Version::V1, true);

/// A finished DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Its root.
    pub cid: Cid,
    /// Bytes of content.
    pub size: u64,
    /// Bytes of all blocks, counted once per link: what a link to the root says as `Tsize`.
    pub dag_size: u64,
}

/// A subtree that is done.
struct Child {
    cid: Cid,
    size: u64,
    dag_size: u64,
}

/// Builds the DAG of one file.
pub struct Builder {
    profile: Profile,
    chunk: BytesMut,
    /// From the leaves up: the children that have no parent yet.
    levels: Vec<Vec<Child>>,
}

impl Builder {
    /// Starts a file.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            chunk: BytesMut::new(),
            levels: Vec::new(),
        }
    }

    /// Takes the next bytes; full blocks go to `sink`, children before their parents.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Block)) {
        let full = usize::try_from(self.profile.chunk)
            .unwrap_or(usize::MAX)
            .max(1);
        while !bytes.is_empty() {
            if self.chunk.is_empty() {
                self.chunk.reserve(full.min(bytes.len().max(full)));
            }
            let room = full.saturating_sub(self.chunk.len());
            let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.chunk.extend_from_slice(head);
            bytes = rest;
            if self.chunk.len() >= full {
                self.leaf(sink);
            }
        }
    }

    /// Ends the file; the last blocks go to `sink`, the root at last.
    pub fn finish(mut self, sink: &mut impl FnMut(Block)) -> Built {
        if !self.chunk.is_empty() || self.levels.is_empty() {
            self.leaf(sink);
        }
        let mut level = 0_usize;
        loop {
            let top = level.saturating_add(1) >= self.levels.len();
            let Some(children) = self.levels.get_mut(level) else {
                // `leaf` makes the first level, so this is never reached; an empty file is what is left to say.
                return Self::new(self.profile).finish(sink);
            };
            if top
                && children.len() == 1
                && let Some(root) = children.pop()
            {
                return Built {
                    cid: root.cid,
                    size: root.size,
                    dag_size: root.dag_size,
                };
            }
            if !children.is_empty() {
                self.parent(level, sink);
            }
            level = level.saturating_add(1);
        }
    }

    fn leaf(&mut self, sink: &mut impl FnMut(Block)) {
        let data = self.chunk.split().freeze();
        let size = data.len() as u64;
        let block = if self.profile.raw_leaves {
            Block::raw(data)
        } else {
            let data = (!data.is_empty()).then_some(data);
            self.node(
                Vec::new(),
                Data {
                    data,
                    filesize: Some(size),
                    ..Data::new(Kind::File)
                },
            )
        };
        let dag_size = block.data().len() as u64;
        let child = Child {
            cid: *block.cid(),
            size,
            dag_size,
        };
        sink(block);
        self.add(0, child, sink);
    }

    /// Adds a subtree; a group that is full and has a successor gets its parent.
    fn add(&mut self, level: usize, child: Child, sink: &mut impl FnMut(Block)) {
        let (mut level, mut child) = (level, child);
        loop {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let full = self
                .levels
                .get(level)
                .is_some_and(|children| children.len() >= self.profile.links);
            let parent = full.then(|| self.group(level, sink));
            if let Some(children) = self.levels.get_mut(level) {
                children.push(child);
            }
            let Some(parent) = parent else { return };
            child = parent;
            level = level.saturating_add(1);
        }
    }

    fn parent(&mut self, level: usize, sink: &mut impl FnMut(Block)) {
        let parent = self.group(level, sink);
        self.add(level.saturating_add(1), parent, sink);
    }

    /// Makes the node over all waiting children of a level.
    fn group(&mut self, level: usize, sink: &mut impl FnMut(Block)) -> Child {
        let children = self
            .levels
            .get_mut(level)
            .map(core::mem::take)
            .unwrap_or_default();
        let total =
            |field: fn(&Child) -> u64| children.iter().map(field).fold(0_u64, u64::saturating_add);
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
        let block = self.node(links.collect(), data);
        let dag_size = below.saturating_add(block.data().len() as u64);
        let child = Child {
            cid: *block.cid(),
            size,
            dag_size,
        };
        sink(block);
        child
    }

    fn node(&self, links: Vec<Link>, data: Data) -> Block {
        let node = Node {
            links,
            data: Some(data.encode()),
        };
        Block::dag_pb(node.encode(), self.profile.cid_version)
    }
}
