//! Downloads for the command line: the parts of `interplanar get`, `cat`, `ls`, `verify` and `add`.
//!
//! - [`Target`]: what the user names: an IPFS URL or CID, a store path, or a hash part;
//! - [`Access`]: the gateways, upstreams, keys and local blocks that a command may use;
//! - [`content`]: a file on IPFS; [`item`]: a store item; [`member`]: a file inside one;
//!   [`directory`]: a directory on IPFS; [`add`]: adds a file or folder as blocks.
//!
//! Store items use the engine of [`crate::proxy`] and files on IPFS that of [`crate::net::client`].
//! Both verify what they fetch.

mod access;
pub mod add;
mod bar;
pub mod content;
pub mod directory;
mod indexed_nar;
pub mod item;
pub mod member;
mod output;
mod partial_nar;
mod plain_nar;
mod target;

pub use access::{Access, AccessArgs};
pub use bar::Bar;
pub use output::Output;
pub use partial_nar::{Hint, Member, PartialNar};
pub use target::Target;

/// Returns the non-empty names in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}
