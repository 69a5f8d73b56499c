//! UnixFS: files and directories as DAGs of blocks.
//!
//! - [`Walker`]: from a root CID to a file's content, verified and in order, from blocks of any source;
//! - [`Resolver`]: from a root CID and a path to the CID at its end;
//! - [`Entries`]: the entries of a directory, plain or sharded;
//! - [`Builder`], [`DirectoryBuilder`], [`symlink`]: content to blocks, with the CIDs of `ipfs add`;
//! - [`Directory`]: one that is there, changed entry by entry.
//!
//! All are without I/O: they say which blocks they want, and take them.
//!
//! Restrictions: a DAG is at most 64 levels deep, and a walk may be bounded in blocks and bytes ([`Budget`]); the sizes that nodes claim must
//! be those that their children have; shards are placed by Murmur3 as Kubo does it. Source: the UnixFS specification.

mod build;
mod data;
mod directory;
mod edit;
mod entries;
mod hamt;
mod layout;
mod node;
mod resolve;
mod symlink;
mod walk;

pub use build::{
    Builder, Built, LINKS, Profile, SIZE_262144_V0, SIZE_262144_V1, SIZE_1048576_V0,
    SIZE_1048576_V1,
};
pub use data::{Data, Kind};
pub use directory::{DirectoryBuilder, MAX_PLAIN_DIRECTORY};
pub use edit::{Directory, DirectoryError};
pub use entries::{DirEntry, Entries};
pub(crate) use layout::Layout;
pub use node::Content;
pub use resolve::{Resolved, Resolver};
pub use symlink::symlink;
pub use walk::{Budget, Span, Walker};

use crate::dag_pb::DagPbError;

/// Why a DAG can't be walked. Its blocks have the right hashes, so no other source has better ones.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnixFsError {
    /// Not a dag-pb node.
    #[error("not a dag-pb node: {0}")]
    DagPb(#[from] DagPbError),
    /// The UnixFS message is malformed at this byte.
    #[error("malformed UnixFS data at byte {at}")]
    Malformed {
        /// Offset in the message.
        at: usize,
    },
    /// A kind of node that UnixFS doesn't have, or that no one uses.
    #[error("unknown kind of UnixFS node {number}")]
    UnknownKind {
        /// Its number.
        number: u64,
    },
    /// A dag-pb node without data.
    #[error("the node has no UnixFS data")]
    NoData,
    /// A block that is neither raw nor dag-pb.
    #[error("expected a raw or dag-pb block, not codec {codec:#x}")]
    Codec {
        /// Its codec.
        codec: u64,
    },
    /// Sizes that contradict each other.
    #[error("the sizes in the DAG contradict each other")]
    Sizes,
    /// Something else where a file is expected.
    #[error("expected a file")]
    NotAFile {
        /// What is there.
        kind: Kind,
    },
    /// Something else where a directory is expected.
    #[error("expected a directory")]
    NotADirectory {
        /// What is there.
        kind: Kind,
    },
    /// A shard with another hash, an impossible fanout or a link without its place.
    #[error("malformed directory shard")]
    Shard,
    /// An entry whose name is empty, `.`, `..`, too long, or has a slash or a NUL.
    #[error("an entry has a name that no file can have")]
    Name,
    /// No entry of this name; its place in the path, from 0.
    #[error("no entry for part {index} of the path")]
    NotFound {
        /// Which part of the path.
        index: usize,
    },
    /// A block that is not wanted; nothing happened.
    #[error("unexpected block")]
    Unexpected,
    /// More blocks than the budget has.
    #[error("more blocks than allowed")]
    BudgetBlocks,
    /// More levels than the budget has.
    #[error("deeper than allowed")]
    BudgetDepth,
    /// More bytes than the budget has.
    #[error("more content than allowed")]
    BudgetOutput,
}

#[cfg(test)]
mod tests;
