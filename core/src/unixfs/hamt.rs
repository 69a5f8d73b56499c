//! The slot of a name in a sharded directory: the digits of its Murmur3 hash, one per level.
//!
//! ```text
//! link name := slot in upper-case hexadecimal, as wide as fanout - 1 needs   (a shard below)
//!            | the same, then the entry's name                              (an entry)
//! ```
//! The hash is the first 64 bits of Murmur3 x64-128. Each level uses log2(fanout) bits, starting
//! with the most significant. Sources: the UnixFS specification and boxo's hamt.

use super::UnixFsError;
use crate::dag_pb::Link;
use alloc::string::String;
use bytes::Bytes;

/// Multihash code of murmur3-x64-64.
pub(super) const MURMUR3: u64 = 0x22;

/// Returns the number of hexadecimal digits of a slot.
pub(super) fn width(fanout: u32) -> usize {
    let bits = fanout
        .saturating_sub(1)
        .checked_ilog2()
        .unwrap_or(0)
        .saturating_add(1);
    usize::try_from(bits.div_ceil(4)).unwrap_or(1)
}

/// Returns a slot as the text that starts a link name.
pub(super) fn slot_name(fanout: u32, slot: u32) -> String {
    alloc::format!("{slot:0width$X}", width = width(fanout))
}

/// Splits the name of a link into its slot and, for an entry, the entry's name.
pub(super) fn split(fanout: u32, link: &Link) -> Result<(u32, Option<Bytes>), UnixFsError> {
    let width = width(fanout);
    let digits = link.name.get(..width).ok_or(UnixFsError::Shard)?;
    let digits = core::str::from_utf8(digits).map_err(|_| UnixFsError::Shard)?;
    let slot = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|slot| *slot < fanout)
        .ok_or(UnixFsError::Shard)?;
    Ok((
        slot,
        (link.name.len() > width).then(|| link.name.slice(width..)),
    ))
}

/// Returns the slot of a hash on a level. Returns `None` if the bits are used up.
pub(super) fn slot_index(hash: u64, fanout: u32, level: u32) -> Option<u32> {
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
    fn slots_use_the_most_significant_bits_first() {
        assert_eq!(slot_index(0xab12_0000_0000_0000, 256, 0), Some(0xab));
        assert_eq!(slot_index(0xab12_0000_0000_0000, 256, 1), Some(0x12));
        assert_eq!(slot_index(0, 256, 8), None);
        assert_eq!(slot_name(256, 10), "0A");
        assert_eq!(width(1024), 3);
        assert_eq!(width(16), 1);
    }
}
