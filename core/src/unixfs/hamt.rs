//! Where a name stands in a sharded directory: the digits of its Murmur3 hash, one for each level.
//!
//! ```text
//! link name := place in upper-case hexadecimal, as wide as fanout - 1 needs   (a shard below)
//!            | the same, then the entry's name                               (an entry)
//! ```
//! The hash is the first 64 bits of Murmur3 x64-128, taken from its most significant bit on, log2(fanout) bits for each level.
//! Source: the UnixFS specification and boxo's hamt.

use super::UnixFsError;
use crate::dag_pb::Link;
use alloc::string::String;
use bytes::Bytes;

/// Multihash code of murmur3-x64-64.
pub(super) const MURMUR3: u64 = 0x22;

/// Hexadecimal digits of a place.
pub(super) fn width(fanout: u32) -> usize {
    let bits = fanout
        .saturating_sub(1)
        .checked_ilog2()
        .unwrap_or(0)
        .saturating_add(1);
    usize::try_from(bits.div_ceil(4)).unwrap_or(1)
}

/// The text of a place.
pub(super) fn place_text(fanout: u32, place: u32) -> String {
    alloc::format!("{place:0width$X}", width = width(fanout))
}

/// A link's place and, for an entry, its name.
pub(super) fn split(fanout: u32, link: &Link) -> Result<(u32, Option<Bytes>), UnixFsError> {
    let width = width(fanout);
    let digits = link.name.get(..width).ok_or(UnixFsError::Shard)?;
    let digits = core::str::from_utf8(digits).map_err(|_| UnixFsError::Shard)?;
    let place = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|place| *place < fanout)
        .ok_or(UnixFsError::Shard)?;
    Ok((
        place,
        (link.name.len() > width).then(|| link.name.slice(width..)),
    ))
}

/// The place of a hash on a level; `None` when its bits are used up.
pub(super) fn place(hash: u64, fanout: u32, level: u32) -> Option<u32> {
    let bits = fanout.checked_ilog2()?;
    let used = bits.checked_mul(level)?;
    let shift = 64_u32.checked_sub(used.checked_add(bits)?)?;
    let mask = u64::from(fanout).checked_sub(1)?;
    u32::try_from(hash.checked_shr(shift)? & mask).ok()
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The first half of Murmur3 x64-128 with seed 0.
pub(super) fn murmur3(data: &[u8]) -> u64 {
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let mut blocks = data.chunks_exact(16);
    for block in &mut blocks {
        let (low, high) = halves(block);
        h1 ^= mix_low(low);
        h1 = h1
            .rotate_left(27)
            .wrapping_add(h2)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
        h2 ^= mix_high(high);
        h2 = h2
            .rotate_left(31)
            .wrapping_add(h1)
            .wrapping_mul(5)
            .wrapping_add(0x3849_5ab5);
    }
    let (low, high) = halves(blocks.remainder());
    h2 ^= mix_high(high);
    h1 ^= mix_low(low);
    let length = data.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

/// Up to 16 bytes as two little-endian numbers, with zeros behind.
fn halves(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0_u8; 16];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    let number = u128::from_le_bytes(padded);
    (number as u64, (number >> 64) as u64)
}

fn mix_low(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix_high(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur3_is_that_of_the_reference() {
        assert_eq!(murmur3(b""), 0);
        assert_eq!(murmur3(b"hello"), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(
            murmur3(b"The quick brown fox jumps over the lazy dog"),
            0xe34b_bc7b_bc07_1b6c
        );
    }

    #[test]
    fn places_are_taken_from_the_top() {
        assert_eq!(place(0xab12_0000_0000_0000, 256, 0), Some(0xab));
        assert_eq!(place(0xab12_0000_0000_0000, 256, 1), Some(0x12));
        assert_eq!(place(0, 256, 8), None);
        assert_eq!(place_text(256, 10), "0A");
        assert_eq!(width(1024), 3);
        assert_eq!(width(16), 1);
    }
}
