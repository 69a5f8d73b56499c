//! Varints, CIDs and the DAG-CBOR header.

use super::{CarError, MAX_ROOTS, MAX_VARINT};
use crate::cid::Cid;
use alloc::vec::Vec;

/// CBOR heads (RFC 8949, 3.1) that a header may hold.
const MAP: u8 = 5;
const ARRAY: u8 = 4;
const TEXT: u8 = 3;
const BYTES: u8 = 2;
const UINT: u8 = 0;
const TAG: u8 = 6;
/// The tag of a link in DAG-CBOR.
const TAG_LINK: u64 = 42;

/// A varint that comes byte by byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Varint {
    value: u64,
    bytes: u8,
}

impl Varint {
    /// How many bytes have come.
    pub(super) fn len(self) -> usize {
        usize::from(self.bytes)
    }

    /// Takes one byte; gives the value when it was the last, and nothing (the inner `None`) while more must follow.
    /// `Err` when the varint is too long or not the shortest.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<u64>, ()> {
        if self.len() >= MAX_VARINT {
            return Err(());
        }
        let shift = u32::from(self.bytes).saturating_mul(7);
        self.value |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(())?;
        self.bytes = self.bytes.saturating_add(1);
        match byte {
            0 if self.bytes > 1 => Err(()),
            0..0x80 => Ok(Some(self.value)),
            _ if self.len() == MAX_VARINT => Err(()),
            _ => Ok(None),
        }
    }
}

/// Appends `value` as a varint.
pub(super) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The CID at the start of `bytes` and how many bytes it takes.
pub(super) fn cid_prefix(bytes: &[u8]) -> Option<(Cid, usize)> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).ok()?;
    Some((cid, bytes.len().checked_sub(rest.len())?))
}

/// Walks the header's bytes; `start` is where they stand in the stream.
struct Cbor<'a> {
    rest: &'a [u8],
    start: u64,
    len: usize,
}

impl<'a> Cbor<'a> {
    fn offset(&self) -> u64 {
        let read = self.len.saturating_sub(self.rest.len());
        self.start.saturating_add(read as u64)
    }

    fn wrong(&self, expected: &'static str) -> CarError {
        let offset = self.offset();
        CarError::Header { offset, expected }
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// A head of the given major type in its shortest form.
    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, CarError> {
        let wrong = self.wrong(expected);
        let &[first] = self.take(1).unwrap_or_default() else {
            return Err(wrong);
        };
        if first >> 5 != major {
            return Err(wrong);
        }
        let (width, least) = match first & 0x1f {
            small @ 0..24 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(wrong),
        };
        let Some(bytes) = self.take(width) else {
            return Err(wrong);
        };
        let value = bytes
            .iter()
            .fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        if value < least { Err(wrong) } else { Ok(value) }
    }

    fn key(&mut self, key: &[u8], expected: &'static str) -> Result<(), CarError> {
        let wrong = self.wrong(expected);
        let len = self.head(TEXT, expected)?;
        if self.take(len) == Some(key) {
            Ok(())
        } else {
            Err(wrong)
        }
    }

    fn link(&mut self) -> Result<Cid, CarError> {
        const LINK: &str = "a link (tag 42, a zero byte and a CID)";
        let wrong = self.wrong(LINK);
        if self.head(TAG, LINK)? != TAG_LINK {
            return Err(wrong);
        }
        let len = self.head(BYTES, LINK)?;
        let cid = match self.take(len) {
            Some([0, cid @ ..]) => cid_prefix(cid).filter(|(_, len)| *len == cid.len()),
            _ => None,
        };
        cid.map(|(cid, _)| cid).ok_or(wrong)
    }

    fn version(&mut self) -> Result<(), CarError> {
        self.key(b"version", "the key \"version\"")?;
        match self.head(UINT, "a version")? {
            1 => Ok(()),
            version => Err(CarError::Version { version }),
        }
    }
}

/// Parses the header `bytes`, which stand at `start` in the stream.
pub(super) fn parse_header(bytes: &[u8], start: u64) -> Result<Vec<Cid>, CarError> {
    let mut cbor = Cbor {
        rest: bytes,
        start,
        len: bytes.len(),
    };
    match cbor.head(MAP, "a map of roots and version")? {
        1 => {
            // {"version": 2} is all that a CARv2 starts with: name the version, not the missing roots.
            cbor.version()?;
            return Err(cbor.wrong("the key \"roots\""));
        }
        2 => {}
        _ => {
            return Err(CarError::Header {
                offset: start,
                expected: "a map of roots and version",
            });
        }
    }
    cbor.key(b"roots", "the key \"roots\"")?;
    let offset = cbor.offset();
    let count = cbor.head(ARRAY, "a list of roots")?;
    if count > MAX_ROOTS as u64 {
        return Err(CarError::TooManyRoots { offset });
    }
    let mut roots = Vec::new();
    for _ in 0..count {
        roots.push(cbor.link()?);
    }
    cbor.version()?;
    if cbor.rest.is_empty() {
        Ok(roots)
    } else {
        Err(cbor.wrong("the end of the header"))
    }
}

/// Appends a CBOR head in its shortest form.
fn write_head(major: u8, value: u64, out: &mut Vec<u8>) {
    let (info, width) = match value {
        0..24 => (value as u8, 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    out.push((major << 5) | info);
    out.extend(
        value
            .to_be_bytes()
            .iter()
            .skip(8usize.saturating_sub(width)),
    );
}

/// Appends the header's DAG-CBOR, without its length.
pub(super) fn write_header(roots: &[Cid], out: &mut Vec<u8>) {
    write_head(MAP, 2, out);
    write_head(TEXT, 5, out);
    out.extend(b"roots");
    write_head(ARRAY, roots.len() as u64, out);
    for root in roots {
        let bytes = root.to_bytes();
        write_head(TAG, TAG_LINK, out);
        write_head(BYTES, (bytes.len() as u64).saturating_add(1), out);
        out.push(0);
        out.extend(bytes);
    }
    write_head(TEXT, 7, out);
    out.extend(b"version");
    write_head(UINT, 1, out);
}
