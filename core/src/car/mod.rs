//! CARv1: a stream of blocks, each preceded by its CID. Trustless gateways send it for
//! `?format=car`.
//!
//! ```text
//! car     = varint(len) header *( varint(len) cid block )
//! header  = DAG-CBOR { "roots": [ * cid ], "version": 1 }   keys in this order, definite lengths,
//!                                                           shortest heads
//! cid     = 0x12 0x20 digest[32]                            version 0: always dag-pb and sha2-256
//!         | varint(1) varint(codec) varint(hash) varint(len) digest[len]
//! varint  = unsigned LEB128, ≤ 9 bytes, shortest form (multiformats/unsigned-varint)
//! ```
//!
//! Restrictions: version 1 only (a CARv2 is refused with an error that names its version), no empty
//! sections, no padding.
//!
//! This module does *not* verify blocks, and the roots in a header are only a claim of the sender.
//! [`crate::fetch`] ignores the roots and verifies each block. A CAR has no end mark:
//! [`Reader::finish`] detects a section that was cut, but not a block that is missing.
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

/// Maximum length of the DAG-CBOR header in bytes. The format sets no limit; Kubo and other
/// gateways write one root (59 bytes).
pub const MAX_HEADER: usize = 32 << 10;
/// Maximum number of roots in a header. [`MAX_HEADER`] bytes hold fewer CIDs of the usual length.
pub const MAX_ROOTS: usize = 1024;
/// Maximum length of a CID in a section, in bytes: four varints and the longest supported digest
/// (64 bytes).
pub const MAX_CID: usize = 4 * MAX_VARINT + 64;
/// Maximum length of a varint in bytes (multiformats/unsigned-varint: nine bytes, 63 bits).
pub const MAX_VARINT: usize = 9;
/// Maximum length of a section in bytes: the largest block with its CID.
pub const MAX_SECTION: usize = MAX_BLOCK + MAX_CID;
