//! Murmur3 x64-128, first 64 bits. Sharded directories place names by it, and the NAR cutter uses
//! it to choose where groups of entries end.
//!
//! Source: Austin Appleby's MurmurHash3.cpp. It is not a cryptographic hash: anyone can make inputs
//! that collide.

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// Returns the first half of Murmur3 x64-128 with seed 0.
pub(crate) fn hash(data: &[u8]) -> u64 {
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

/// Reads up to 16 bytes as two little-endian numbers, padded with zeros at the end.
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
    fn hashes_equal_those_of_the_reference() {
        assert_eq!(hash(b""), 0);
        assert_eq!(hash(b"hello"), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(
            hash(b"The quick brown fox jumps over the lazy dog"),
            0xe34b_bc7b_bc07_1b6c
        );
    }
}
