//! CARv1: a stream of blocks, each behind its CID; what trustless gateways answer to `?format=car`.
//!
//! ```text
//! car     = varint(len) header *( varint(len) cid block )
//! header  = DAG-CBOR { "roots": [ * cid ], "version": 1 }       keys in this order, definite lengths, shortest heads
//! cid     = 0x12 0x20 digest[32]                                version 0: always dag-pb and sha2-256
//!         | varint(1) varint(codec) varint(hash) varint(len) digest[len]
//! varint  = unsigned LEB128, ≤ 9 bytes, without a needless last zero byte (multiformats/unsigned-varint)
//! ```
//!
//! Restrictions: version 1 only (a CARv2 pragma is refused by its version), no empty sections, no padding. Blocks are
//! *not* verified here, and the roots in a header are a stranger's word: [`crate::fetch`] ignores them, and hashes.
//! A CAR has no end mark: [`Reader::finish`] knows whether a section was cut, never whether a block is missing.
//!
//! ```
//! use bytes::Bytes;
//! use interplanar_core::{block::Block, car};
//!
//! let block = Block::raw(Bytes::from_static(b"hello"));
//! let mut stream = car::header(&[*block.cid()]);
//! stream.extend(car::block_prefix(block.cid(), block.data().len()));
//! stream.extend(block.data());
//!
//! let (mut reader, mut input, mut blocks) = (car::Reader::new(), Bytes::from(stream), 0);
//! while let Some(item) = reader.push(&mut input)? {
//!     if let car::Item::Block { cid, data } = item {
//!         assert_eq!((&cid, &data), (block.cid(), block.data()));
//!         blocks += 1;
//!     }
//! }
//! reader.finish()?;
//! assert_eq!(blocks, 1);
//! # Ok::<(), car::CarError>(())
//! ```

mod error;
mod read;
#[cfg(test)]
mod tests;
mod wire;
mod write;

pub use error::CarError;
pub(crate) use read::gather;
pub use read::{Item, Reader};
pub use write::{block_prefix, header};

use crate::cid::MAX_BLOCK;

/// Bytes of the DAG-CBOR header. The format sets no limit; Kubo and the gateways write one root (59 bytes).
pub const MAX_HEADER: usize = 32 << 10;
/// Roots in a header: more than any CIDs of usual length that [`MAX_HEADER`] holds.
pub const MAX_ROOTS: usize = 1024;
/// Bytes of a CID in a section: four varints and the longest digest that is kept, 64 bytes.
pub const MAX_CID: usize = 4 * MAX_VARINT + 64;
/// Bytes of a varint (multiformats/unsigned-varint: nine, for 63 bits).
pub const MAX_VARINT: usize = 9;
/// Bytes of a section: a block of the largest size with its CID.
pub const MAX_SECTION: usize = MAX_BLOCK + MAX_CID;
