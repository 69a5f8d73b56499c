//! The UnixFS view of a block.

use super::{Data, NodeType, UnixFsError};
use crate::block::Block;
use crate::cid::{Cid, DAG_PB, RAW};
use crate::dag_pb::{Link, Node};
use alloc::vec::Vec;
use bytes::Bytes;

/// A decoded block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A leaf of plain bytes.
    Raw(Bytes),
    /// A node of a file: its own bytes, followed by the content of its children.
    File {
        /// Own bytes, before those of the children.
        data: Bytes,
        /// Each child, with the bytes of content below it.
        children: Vec<(Cid, u64)>,
        /// Bytes of content in this node and below it.
        size: u64,
    },
    /// A directory.
    Directory(Vec<Link>),
    /// A part of a sharded directory.
    Shard {
        /// Number of slots: a power of two.
        fanout: u32,
        /// Its links, named by their slot and, for an entry, the entry's name.
        links: Vec<Link>,
    },
    /// A symbolic link with its target.
    Symlink(Bytes),
}

/// Largest fanout. A larger one needs more than Kubo's three hexadecimal digits.
const MAX_FANOUT: u64 = 1024;

impl Content {
    /// Decodes a block.
    ///
    /// # Errors
    /// [`UnixFsError`] if the block is not a UnixFS node or its sizes contradict each other.
    pub fn decode(block: &Block) -> Result<Self, UnixFsError> {
        Self::decode_as(block.cid().codec(), block.data())
    }

    pub(super) fn decode_as(codec: u64, bytes: &Bytes) -> Result<Self, UnixFsError> {
        match codec {
            RAW => Ok(Self::Raw(bytes.clone())),
            DAG_PB => {
                let node = Node::decode(bytes)?;
                let data = node.data.as_ref().ok_or(UnixFsError::NoData)?;
                Self::of(node.links, Data::decode(data)?)
            }
            codec => Err(UnixFsError::Codec { codec }),
        }
    }

    fn of(links: Vec<Link>, data: Data) -> Result<Self, UnixFsError> {
        match data.kind {
            NodeType::File | NodeType::Raw => file(links, data),
            NodeType::Directory => Ok(Self::Directory(links)),
            NodeType::HamtShard => {
                let fanout = data
                    .fanout
                    .filter(|n| n.is_power_of_two() && (2..=MAX_FANOUT).contains(n));
                let fanout = fanout
                    .and_then(|n| u32::try_from(n).ok())
                    .ok_or(UnixFsError::Shard)?;
                if data.hash_type != Some(super::hamt::MURMUR3) {
                    return Err(UnixFsError::Shard);
                }
                Ok(Self::Shard { fanout, links })
            }
            NodeType::Symlink => Ok(Self::Symlink(data.data.unwrap_or_default())),
            NodeType::Metadata => Err(UnixFsError::UnknownKind { number: 3 }),
        }
    }

    /// Returns the bytes of content in this node and below it. Returns `None` if it is not a file.
    #[must_use]
    pub fn file_size(&self) -> Option<u64> {
        match self {
            Self::Raw(bytes) => Some(bytes.len() as u64),
            Self::File { size, .. } => Some(*size),
            Self::Directory(_) | Self::Shard { .. } | Self::Symlink(_) => None,
        }
    }

    /// Returns the type of the node.
    #[must_use]
    pub fn kind(&self) -> NodeType {
        match self {
            Self::Raw(_) => NodeType::Raw,
            Self::File { .. } => NodeType::File,
            Self::Directory(_) => NodeType::Directory,
            Self::Shard { .. } => NodeType::HamtShard,
            Self::Symlink(_) => NodeType::Symlink,
        }
    }
}

/// Checks that the sizes of a file node agree with each other.
fn file(links: Vec<Link>, data: Data) -> Result<Content, UnixFsError> {
    if links.len() != data.blocksizes.len() {
        return Err(UnixFsError::Sizes);
    }
    let own = data.data.unwrap_or_default();
    let size = data
        .blocksizes
        .iter()
        .try_fold(own.len() as u64, |sum, size| sum.checked_add(*size))
        .filter(|sum| data.filesize.is_none_or(|size| size == *sum))
        .ok_or(UnixFsError::Sizes)?;
    let children = links
        .into_iter()
        .map(|link| link.cid)
        .zip(data.blocksizes)
        .collect();
    Ok(Content::File {
        data: own,
        children,
        size,
    })
}
