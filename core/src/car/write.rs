//! The encoder.

use super::wire::{write_header, write_varint};
use crate::cid::Cid;
use alloc::vec::Vec;

/// Encodes the header of a CAR with these roots, preceded by its length. It doesn't check
/// [`MAX_ROOTS`](super::MAX_ROOTS).
pub fn header(roots: &[Cid]) -> Vec<u8> {
    let mut body = Vec::new();
    write_header(roots, &mut body);
    let mut out = Vec::with_capacity(body.len().saturating_add(3));
    write_varint(body.len() as u64, &mut out);
    out.extend(body);
    out
}

/// Encodes what precedes a block of `len` bytes: the section's length and the CID. The caller
/// appends the block's bytes.
pub fn block_prefix(cid: &Cid, len: usize) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut out = Vec::with_capacity(cid.len().saturating_add(5));
    write_varint((cid.len() as u64).saturating_add(len as u64), &mut out);
    out.extend(cid);
    out
}
