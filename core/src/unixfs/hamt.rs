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

#[cfg(test)]
mod tests {
    use super::*;

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
