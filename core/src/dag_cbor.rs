//! The part of DAG-CBOR that the formats in this crate use: numbers, bytes, texts, lists, maps with
//! known keys, and links.
//!
//! ```text
//! item := head content        head: major type (3 bits) and a number in its shortest form;
//!                             definite lengths only
//! link := tag 42, bytes: 0x00 and a CID
//! ```
//! The reader accepts only the canonical form, so every value has one encoding. Source: the
//! DAG-CBOR specification, RFC 8949.

use crate::cid::Cid;
use alloc::vec::Vec;

/// Major types (RFC 8949, 3.1).
const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
/// The tag of a link.
const TAG_LINK: u64 = 42;

/// The input holds a different item from the one that the format requires here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unexpected {
    /// Byte offset of the item, or of the error in it.
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

/// Reads items one after another.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            length: bytes.len(),
        }
    }

    /// Number of bytes that were read so far.
    pub(crate) fn position(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    pub(crate) fn wrong(&self, expected: &'static str) -> Unexpected {
        let at = self.position();
        Unexpected { at, expected }
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads a head of the given major type in its shortest form.
    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, Unexpected> {
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

    pub(crate) fn uint(&mut self, expected: &'static str) -> Result<u64, Unexpected> {
        self.head(UINT, expected)
    }

    /// Reads the head of a list and returns its number of items.
    pub(crate) fn array(&mut self, expected: &'static str) -> Result<u64, Unexpected> {
        self.head(ARRAY, expected)
    }

    /// Reads the head of a map and returns its number of entries.
    pub(crate) fn map(&mut self, expected: &'static str) -> Result<u64, Unexpected> {
        self.head(MAP, expected)
    }

    pub(crate) fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], Unexpected> {
        let wrong = self.wrong(expected);
        let length = self.head(BYTES, expected)?;
        self.take(length).ok_or(wrong)
    }

    /// Reads a text. The caller checks its content.
    pub(crate) fn text(&mut self, expected: &'static str) -> Result<&'a [u8], Unexpected> {
        let wrong = self.wrong(expected);
        let length = self.head(TEXT, expected)?;
        self.take(length).ok_or(wrong)
    }

    /// Reads a text that must equal `key`.
    pub(crate) fn key(&mut self, key: &[u8], expected: &'static str) -> Result<(), Unexpected> {
        let wrong = self.wrong(expected);
        if self.text(expected)? == key {
            Ok(())
        } else {
            Err(wrong)
        }
    }

    pub(crate) fn link(&mut self) -> Result<Cid, Unexpected> {
        const LINK: &str = "a link (tag 42, a zero byte and a CID)";
        let wrong = self.wrong(LINK);
        if self.head(TAG, LINK)? != TAG_LINK {
            return Err(wrong);
        }
        let Some((0, mut cid)) = self
            .bytes(LINK)?
            .split_first()
            .map(|(zero, cid)| (*zero, cid))
        else {
            return Err(wrong);
        };
        match Cid::read_bytes(&mut cid) {
            Ok(read) if cid.is_empty() => Ok(read),
            _ => Err(wrong),
        }
    }

    /// Skips an item of any kind together with everything inside it. It needs no recursion: each
    /// nested item takes at least one byte.
    pub(crate) fn skip(&mut self, expected: &'static str) -> Result<(), Unexpected> {
        let mut left = 1_u64;
        while left > 0 {
            left = left.saturating_sub(1);
            let wrong = self.wrong(expected);
            let major = self.rest.first().map(|first| first >> 5);
            let more = match major {
                Some(major @ (UINT | NEGATIVE)) => self.head(major, expected).map(|_| 0)?,
                Some(major @ (BYTES | TEXT)) => {
                    let length = self.head(major, expected)?;
                    self.take(length).map(|_| 0).ok_or(wrong)?
                }
                Some(ARRAY) => self.head(ARRAY, expected)?,
                Some(MAP) => self.head(MAP, expected)?.saturating_mul(2),
                Some(TAG) => self.link().map(|_| 0)?,
                // false, true, null, and a number of eight bytes.
                _ => match self.take(1) {
                    Some([0xf4..=0xf6]) => 0,
                    Some([0xfb]) => self.take(8).map(|_| 0).ok_or(wrong)?,
                    _ => return Err(wrong),
                },
            };
            left = left.saturating_add(more);
        }
        Ok(())
    }

    pub(crate) fn end(&self, expected: &'static str) -> Result<(), Unexpected> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.wrong(expected))
        }
    }
}

/// Appends a head in its shortest form.
fn put_head(major: u8, value: u64, out: &mut Vec<u8>) {
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

pub(crate) fn put_uint(value: u64, out: &mut Vec<u8>) {
    put_head(UINT, value, out);
}

pub(crate) fn put_array(length: usize, out: &mut Vec<u8>) {
    put_head(ARRAY, length as u64, out);
}

pub(crate) fn put_map(length: usize, out: &mut Vec<u8>) {
    put_head(MAP, length as u64, out);
}

pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_head(BYTES, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    put_head(TEXT, text.len() as u64, out);
    out.extend_from_slice(text);
}

pub(crate) fn put_link(cid: &Cid, out: &mut Vec<u8>) {
    let bytes = cid.to_bytes();
    put_head(TAG, TAG_LINK, out);
    put_head(BYTES, (bytes.len() as u64).saturating_add(1), out);
    out.push(0);
    out.extend(bytes);
}
