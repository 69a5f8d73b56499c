//! The builder: turns bytes into UnixFS blocks, with the CIDs that `ipfs add` gives for the same
//! chunker, CID version and leaves.
//!
//! The layout is Kubo's balanced one: groups of 174 leaves under a node, groups of 174 such nodes
//! under a node, and so on. The builder keeps one chunk and, for each level, one group of links in
//! memory.

use super::layout::{self, Layout};
use super::{Data, NodeType};
use crate::block::Block;
use crate::cid::{Cid, Version};
use alloc::vec::Vec;
use bytes::BytesMut;

/// Links of an inner node in Kubo: about 8 KiB of links.
pub const MAX_LINKS: usize = 174;

/// The options with which a file becomes a DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Bytes in each leaf except the last.
    pub chunk: u32,
    /// Version of the CIDs of dag-pb nodes.
    pub cid_version: Version,
    /// Whether leaves are raw blocks instead of dag-pb nodes.
    pub raw_leaves: bool,
    /// Most links of an inner node.
    pub links: usize,
}

const fn profile(chunk: u32, cid_version: Version, raw_leaves: bool) -> Profile {
    Profile {
        chunk,
        cid_version,
        raw_leaves,
        links: MAX_LINKS,
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
    /// CID of the root.
    pub cid: Cid,
    /// Bytes of content.
    pub size: u64,
    /// Bytes of all blocks, counted once per link. A link to the root has this as its `Tsize`.
    pub dag_size: u64,
}

/// Builds the DAG of one file.
#[derive(Debug)]
pub struct Builder {
    profile: Profile,
    chunk: BytesMut,
    /// Bytes that are still expected, as far as the caller announced them.
    expected: u64,
    layout: Layout,
}

impl Builder {
    /// Starts a file.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self::with_size(profile, u64::MAX)
    }

    /// Starts a file of `size` bytes, so that a leaf allocates no more memory than its bytes need.
    /// A different length is no error.
    #[must_use]
    pub fn with_size(profile: Profile, size: u64) -> Self {
        Self {
            profile,
            chunk: BytesMut::new(),
            expected: size,
            layout: Layout::new(profile.cid_version, profile.links),
        }
    }

    /// Adds the next bytes. Sends complete blocks to `sink`, children before their parents.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Block)) {
        let full = usize::try_from(self.profile.chunk)
            .unwrap_or(usize::MAX)
            .max(1);
        while !bytes.is_empty() {
            // Only now, so that `finish` writes the last leaf even if it is full.
            if self.chunk.len() >= full {
                self.leaf(sink);
            }
            if self.chunk.is_empty() {
                let expected = usize::try_from(self.expected).unwrap_or(usize::MAX);
                self.chunk.reserve(full.min(expected.max(bytes.len())));
            }
            let room = full.saturating_sub(self.chunk.len());
            let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.chunk.extend_from_slice(head);
            self.expected = self.expected.saturating_sub(head.len() as u64);
            bytes = rest;
        }
    }

    /// Ends the file. Sends the last blocks to `sink`, the root last.
    pub fn finish(mut self, sink: &mut impl FnMut(Block)) -> Built {
        let last = self.leaf(sink);
        self.layout.finish(sink).unwrap_or(last)
    }

    fn leaf(&mut self, sink: &mut impl FnMut(Block)) -> Built {
        let data = self.chunk.split().freeze();
        let size = data.len() as u64;
        let block = if self.profile.raw_leaves {
            Block::raw(data)
        } else {
            let data = Data {
                data: (!data.is_empty()).then_some(data),
                filesize: Some(size),
                ..Data::new(NodeType::File)
            };
            layout::node(Vec::new(), data, self.profile.cid_version)
        };
        let leaf = Built {
            cid: *block.cid(),
            size,
            dag_size: block.data().len() as u64,
        };
        sink(block);
        self.layout.add(leaf, sink);
        leaf
    }
}
