//! FastCDC: content-defined chunks by a rolling gear hash, with normalised chunking.
//!
//! ```text
//! hash(i)  := hash(i - 1) × 2 + gear[byte i]          nothing is hashed before min bytes
//! end at i := the top log2(average) + 1 bits of hash(i) are zero      min ≤ i < average
//!           | the top log2(average) - 1 bits of hash(i) are zero      average ≤ i < max
//!           | i = max                                byte i is the first byte of the next chunk
//! gear[n]  := first 8 bytes, big-endian, of SHA-256(64 bytes of value n)
//! ```
//! The top bits depend on up to 64 bytes, so scattered mask bits are not needed. With the table and
//! masks of the crate fastcdc, the cuts equal that crate's. Source: Wen Xia and others, "The Design
//! of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems", 2020.

use super::Sizes;
use crate::hash::Sha256;
use alloc::boxed::Box;

/// The table of the rolling hash.
#[derive(Debug, Clone)]
pub(super) struct Gear(Box<[u64; 256]>);

impl Gear {
    pub(super) fn new() -> Self {
        let mut table = Box::new([0; 256]);
        for (value, entry) in (0..=u8::MAX).zip(table.iter_mut()) {
            let digest = Sha256::of(&[value; 64]);
            let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
            *entry = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        }
        Self(table)
    }

    fn of(&self, byte: u8) -> u64 {
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }
}

/// The bits of the hash that must be zero to end a chunk.
#[derive(Debug, Clone, Copy)]
struct Masks {
    /// Mask for lengths below the average.
    strict: u64,
    /// Mask for lengths from the average on.
    loose: u64,
}

/// Cuts a range of bytes into chunks, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Chunker {
    sizes: Sizes,
    masks: Masks,
    hash: u64,
    /// Bytes of the current chunk so far.
    length: u32,
}

impl Chunker {
    /// Starts a range of bytes.
    pub(super) fn new(sizes: Sizes) -> Self {
        let bits = sizes.average.checked_ilog2().unwrap_or(1).max(1);
        let top = |bits: u32| u64::MAX.checked_shl(64_u32.saturating_sub(bits));
        let masks = Masks {
            strict: top(bits.saturating_add(1)).unwrap_or(0),
            loose: top(bits.saturating_sub(1)).unwrap_or(0),
        };
        Self {
            sizes,
            masks,
            hash: 0,
            length: 0,
        }
    }

    /// Reads bytes up to the end of the chunk and returns their number. Returns `None` if all of
    /// `bytes` belong to the chunk and it may go on.
    pub(super) fn feed(&mut self, gear: &Gear, bytes: &[u8]) -> Option<usize> {
        let skipped = self.take(self.sizes.min, bytes.len());
        let rest = bytes.get(skipped..)?;
        let before = self.take(self.sizes.average, rest.len());
        let (strict, rest) = rest.split_at_checked(before)?;
        if let Some(at) = self.search(gear, strict, self.masks.strict) {
            return Some(self.cut(skipped.saturating_add(at)));
        }
        let skipped = skipped.saturating_add(before);
        let before = self.take(self.sizes.max, rest.len());
        let (loose, _) = rest.split_at_checked(before)?;
        if let Some(at) = self.search(gear, loose, self.masks.loose) {
            return Some(self.cut(skipped.saturating_add(at)));
        }
        (self.length >= self.sizes.max).then(|| self.cut(skipped.saturating_add(before)))
    }

    /// Returns how many of `available` bytes the chunk needs to become `size` bytes long, and adds
    /// them to its length.
    fn take(&mut self, size: u32, available: usize) -> usize {
        let missing = size.saturating_sub(self.length);
        let taken = u32::try_from(available).unwrap_or(u32::MAX).min(missing);
        self.length = self.length.saturating_add(taken);
        usize::try_from(taken).unwrap_or(available)
    }

    fn search(&mut self, gear: &Gear, bytes: &[u8], mask: u64) -> Option<usize> {
        let mut hash = self.hash;
        for (at, byte) in bytes.iter().enumerate() {
            hash = (hash << 1).wrapping_add(gear.of(*byte));
            if hash & mask == 0 {
                return Some(at);
            }
        }
        self.hash = hash;
        None
    }

    fn cut(&mut self, at: usize) -> usize {
        self.hash = 0;
        self.length = 0;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::cut::tests::content;
    use md5::{Digest, Md5};
    use std::vec;
    use std::vec::Vec;

    const SIZES: Sizes = Sizes {
        min: 256,
        average: 1024,
        max: 4096,
    };

    fn lengths(mut chunker: Chunker, gear: &Gear, bytes: &[u8], step: usize) -> Vec<usize> {
        let (mut lengths, mut length) = (vec![], 0);
        for mut piece in bytes.chunks(step) {
            while let Some(taken) = chunker.feed(gear, piece) {
                lengths.push(length + taken);
                length = 0;
                piece = &piece[taken..];
            }
            length += piece.len();
        }
        if length > 0 {
            lengths.push(length);
        }
        lengths
    }

    #[test]
    fn every_split_gives_the_same_chunks() {
        let (gear, bytes) = (Gear::new(), content(100_000));
        let whole = lengths(Chunker::new(SIZES), &gear, &bytes, bytes.len());
        for step in (1..70).chain([255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097]) {
            assert_eq!(
                lengths(Chunker::new(SIZES), &gear, &bytes, step),
                whole,
                "{step}"
            );
        }
    }

    #[test]
    fn chunks_have_the_configured_sizes() {
        let (gear, bytes) = (Gear::new(), content(4_000_000));
        let all = lengths(Chunker::new(SIZES), &gear, &bytes, 1 << 16);
        let (last, others) = all.split_last().unwrap();
        assert!(others.iter().all(|length| (256..=4096).contains(length)));
        assert!(*last <= 4096);
        let average = bytes.len() / all.len();
        assert!((800..1400).contains(&average), "{average}");
        // Without content to choose by, the chunks have the maximum length.
        assert_eq!(
            lengths(Chunker::new(SIZES), &gear, &[7; 9000], 5),
            [4096, 4096, 808]
        );
    }

    #[test]
    fn an_insertion_changes_only_chunks_near_it() {
        let (gear, bytes) = (Gear::new(), content(200_000));
        let ends = |bytes: &[u8]| -> Vec<usize> {
            let all = lengths(Chunker::new(SIZES), &gear, bytes, bytes.len());
            all.iter()
                .scan(0, |end, length| {
                    *end += length;
                    Some(bytes.len() - *end)
                })
                .collect()
        };
        let mut inserted = bytes.clone();
        inserted.splice(50_000..50_000, [1, 2, 3]);
        // Offsets from the end of the input, so that chunks after the insertion compare equal.
        let (before, after) = (ends(&bytes), ends(&inserted));
        let kept = before
            .iter()
            .filter(|end| **end < 140_000 && after.contains(end));
        let all = before.iter().filter(|end| **end < 140_000);
        assert_eq!(kept.count(), all.count());
    }

    /// Uses the crate's table (of MD5) and masks in entry of ours.
    #[test]
    fn with_the_table_of_the_crate_fastcdc_the_cuts_are_the_same() {
        let mut table = Box::new([0; 256]);
        for (value, entry) in (0..=u8::MAX).zip(table.iter_mut()) {
            let digest = Md5::digest([value; 64]);
            *entry = u64::from_be_bytes(digest[..8].try_into().unwrap());
        }
        let gear = Gear(table);
        let bytes = content(3_000_000);
        for sizes in [
            SIZES,
            Sizes {
                min: 16 << 10,
                average: 64 << 10,
                max: 256 << 10,
            },
        ] {
            let bits = sizes.average.ilog2() as usize;
            let masks = fastcdc::v2020::MASKS;
            let chunker = Chunker {
                masks: Masks {
                    strict: masks[bits + 1],
                    loose: masks[bits - 1],
                },
                ..Chunker::new(sizes)
            };
            let [min, average, max] = [sizes.min, sizes.average, sizes.max].map(|n| n as _);
            let theirs: Vec<usize> = fastcdc::v2020::FastCDC::new(&bytes, min, average, max)
                .map(|chunk| chunk.length)
                .collect();
            assert_eq!(lengths(chunker, &gear, &bytes, 1 << 16), theirs);
        }
    }
}
