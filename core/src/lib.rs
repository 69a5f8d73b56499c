//! NARs over IPFS, without I/O: narinfos, signatures, NARs, decompression, CIDs, UnixFS, CAR streams and the fetch engine.
//!
//! Everything here is `no_std`, takes bytes and gives values or events; nothing knows of sockets, files, clocks or async.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod block;
pub mod car;
pub mod cid;
mod dag_cbor;
pub mod dag_pb;
pub mod decompress;
pub mod dedup;
pub mod fetch;
pub mod hash;
pub mod install;
pub mod ipns;
mod murmur3;
pub mod nar;
pub mod narinfo;
pub mod nix_base32;
pub mod signature;
pub mod store_path;
pub mod trust;
pub mod unixfs;
