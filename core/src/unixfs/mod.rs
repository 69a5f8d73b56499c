//! UnixFS: files and directories as DAGs of blocks.
//!
//! - [`Walker`]: from a root CID to a file's content, verified and in order, with blocks from any
//!   source.
//! - [`Resolver`]: from a root CID and a path to the CID at the end of the path.
//! - [`Entries`]: the entries of a plain or sharded directory.
//! - [`Builder`], [`DirectoryBuilder`], [`symlink`]: from content to blocks, with the CIDs of `ipfs
//!   add`.
//! - [`Directory`]: an existing directory that is changed entry by entry.
//!
//! Nothing here does I/O: each type says which blocks it needs, and the caller pushes them.
//!
//! Restrictions: a DAG has at most 64 levels. A [`Budget`] bounds the blocks, bytes and entries of a
//! walk. The sizes that a node claims must equal those of its children. Shards use Murmur3 as in Kubo.
//! Source: the UnixFS specification.

mod budget;
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

pub use budget::{Budget, MAX_ENTRIES, MAX_NAMES};
pub use build::{
    Builder, Built, MAX_LINKS, Profile, SIZE_262144_V0, SIZE_262144_V1, SIZE_1048576_V0,
    SIZE_1048576_V1,
};
pub use data::{Data, NodeType};
pub use directory::{DirectoryBuilder, MAX_PLAIN_DIRECTORY};
pub use edit::{Directory, DirectoryError};
pub use entries::{DirEntry, Entries};
pub(crate) use entries::{Listed, list};
pub(crate) use layout::Layout;
pub use node::Content;
pub use resolve::{Resolved, Resolver};
pub use symlink::symlink;
pub use walk::{Span, Walker};

use crate::dag_pb::DagPbError;

/// Why a DAG can't be walked. Its blocks have the correct hashes, so other sources have the same
/// blocks.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnixFsError {
    /// A block is not a dag-pb node.
    #[error("not a dag-pb node: {0}")]
    DagPb(#[from] DagPbError),
    /// The UnixFS message is malformed at this byte.
    #[error("malformed UnixFS data at byte {at}")]
    Malformed {
        /// Offset in the message.
        at: usize,
    },
    /// UnixFS doesn't have this node type, or nobody uses it.
    #[error("unknown UnixFS node type {number}")]
    UnknownKind {
        /// Number of the type.
        number: u64,
    },
    /// A dag-pb node has no data.
    #[error("the node has no UnixFS data")]
    NoData,
    /// A block is neither raw nor dag-pb.
    #[error("expected a raw or dag-pb block, not codec {codec:#x}")]
    Codec {
        /// Codec of the block.
        codec: u64,
    },
    /// Sizes in the DAG contradict each other.
    #[error("the sizes in the DAG contradict each other")]
    Sizes,
    /// A node is not a file where a file is expected.
    #[error("expected a file")]
    NotAFile {
        /// Type of the node.
        kind: NodeType,
    },
    /// A node is not a directory where a directory is expected.
    #[error("expected a directory")]
    NotADirectory {
        /// Type of the node.
        kind: NodeType,
    },
    /// A shard uses another hash, has an impossible fanout, or has a link without a slot.
    #[error("malformed directory shard")]
    Shard,
    /// The name of an entry is empty, `.`, `..` or too long, or it has a slash or a NUL.
    #[error("a directory entry has an invalid name")]
    Name,
    /// The directory has no entry with this name.
    #[error("the directory has no entry for part {index} of the path")]
    NotFound {
        /// Index of the name in the path, from 0.
        index: usize,
    },
    /// The block is not wanted; nothing changed.
    #[error("this block is not wanted here")]
    Unexpected,
    /// The walk needs more blocks than the budget allows.
    #[error("the DAG has more blocks than allowed")]
    BudgetBlocks,
    /// The DAG has more levels than the budget allows.
    #[error("the DAG has more levels than allowed")]
    BudgetDepth,
    /// The content has more bytes than the budget allows.
    #[error("the DAG has more content than allowed")]
    BudgetOutput,
    /// The blocks of a file have far more bytes than its content.
    #[error("the DAG has far more bytes than its content")]
    BudgetNodes,
    /// The directories have more entries than the budget allows.
    #[error("the directory has more entries than allowed")]
    BudgetEntries,
    /// The paths of the entries have more bytes than the budget allows.
    #[error("the paths in the directory are longer in total than allowed")]
    BudgetNames,
}

#[cfg(test)]
mod tests;
