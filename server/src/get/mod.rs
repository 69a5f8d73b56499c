//! What is in a cache or on IPFS, by hand: the parts of `interplanar get`, `cat`, `ls`, `verify` and `add`.
//!
//! - [`Target`]: what a person names: an IPFS URL or CID, a store path, a hash part;
//! - [`Access`]: the gateways, upstreams, keys and local blocks that a command may use;
//! - [`content`]: a file of IPFS, [`item`]: a store item, [`member`]: a part of one, [`tree`]: a directory of IPFS, [`add`]: a file or folder to blocks.
//!
//! Store items go through the engine of [`crate::proxy`] and files of IPFS through that of [`crate::net::client`], so every check is theirs.

mod access;
pub mod add;
mod bar;
pub mod content;
pub mod item;
pub mod member;
mod output;
mod parts;
mod pieces;
mod plain;
mod target;
pub mod tree;

pub use access::{Access, AccessArgs};
pub use bar::Bar;
pub use output::Output;
pub use parts::{Hint, Member, Parts};
pub use target::Target;

/// The names in a path; empty ones don't count.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}
