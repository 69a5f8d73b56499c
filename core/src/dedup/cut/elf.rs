//! The parts of an ELF file that change in a rebuild, besides its references: its head (build ID,
//! interpreter) and its section table.
//!
//! ```text
//! ident  := 7f "ELF" class(1: 32 bit, 2: 64 bit) order(1: little-endian, 2: big-endian) …
//! offset of, bytes of:   e_shoff         e_shentsize  e_shnum
//!            32 bit      32, 4           46, 2        48, 2
//!            64 bit      40, 8           58, 2        60, 2
//! ```
//! The table is usually at the end of the file. Header values are not trusted: an extent outside
//! the file is ignored. Source: the ELF specification, System V gABI.

/// Bytes of a header that must be present.
pub(super) const HEADER: usize = 64;
/// Bytes of an ELF file's head.
const HEAD: u64 = 2048;

/// Returns the head and the section table as start and end in the file. Returns `None` if the file
/// is not ELF.
pub(super) fn extents(header: &[u8], size: u64) -> Option<[(u64, u64); 2]> {
    let [0x7f, b'E', b'L', b'F', class, order, ..] = header else {
        return None;
    };
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = header.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        match order {
            1 => Some(bytes.iter().rev().fold(0, add)),
            2 => Some(bytes.iter().fold(0, add)),
            _ => None,
        }
    };
    let (start, entry, entries) = match class {
        1 => (number(32, 4)?, number(46, 2)?, number(48, 2)?),
        2 => (number(40, 8)?, number(58, 2)?, number(60, 2)?),
        _ => return None,
    };
    let head = (0, size.min(HEAD));
    let end = start.checked_add(entry.saturating_mul(entries));
    let table = end
        .filter(|end| start > 0 && *end <= size)
        .map_or(head, |end| (start, end));
    Some([head, table])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Builds a 64-bit little-endian header.
    pub(in crate::dedup::cut) fn header(table: u64, entries: u16) -> Vec<u8> {
        let mut header = vec![0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[40..48].copy_from_slice(&table.to_le_bytes());
        header[58..60].copy_from_slice(&64_u16.to_le_bytes());
        header[60..62].copy_from_slice(&entries.to_le_bytes());
        header
    }

    #[test]
    fn head_and_table_are_found_for_each_class_and_byte_order() {
        let expected = Some([(0, 2048), (5000, 5640)]);
        assert_eq!(extents(&header(5000, 10), 6000), expected);
        let mut big = vec![0; 64];
        big[..6].copy_from_slice(b"\x7fELF\x01\x02");
        big[32..36].copy_from_slice(&5000_u32.to_be_bytes());
        big[46..48].copy_from_slice(&40_u16.to_be_bytes());
        big[48..50].copy_from_slice(&16_u16.to_be_bytes());
        assert_eq!(extents(&big, 6000), expected);
    }

    #[test]
    fn a_wrong_header_marks_nothing_outside_the_file() {
        let head = (0, 2048);
        for (table, entries) in [(5000, 16), (u64::MAX, 1), (0, 1), (6001, 0)] {
            assert_eq!(extents(&header(table, entries), 6000), Some([head, head]));
        }
        assert_eq!(extents(&header(64, 1), 100), Some([(0, 100), (0, 100)]));
        assert_eq!(extents(b"#!/bin/sh", 6000), None);
        assert_eq!(extents(b"\x7fELF\x03\x01", 6000), None);
        assert_eq!(extents(b"\x7fELF\x02\x01", 6000), None);
    }
}
