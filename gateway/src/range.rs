//! The `Range` header for bytes (RFC 9110, 14.1–14.2).
//!
//! Grammar: `bytes=`, then `FIRST-LAST`, `FIRST-` or `-SUFFIX`, separated by commas. Spaces and
//! tabs are allowed around each. Other units, empty lists and malformed ranges are errors. A server
//! that ignores such headers, as RFC 9110 permits, calls [`select`].
//!
//! ```
//! use interplanar_gateway::range::{Selection, parse, select};
//! let ranges = parse("bytes=0-99, -5").unwrap();
//! assert_eq!(ranges[0].resolve(50), Some(0..50));
//! assert_eq!(ranges[1].resolve(50), Some(45..50));
//! assert_eq!(select(Some("bytes=10-19"), 100), Selection::Part(10..20));
//! ```

use std::ops::Range;

/// Maximum number of ranges in a header. More would be an attack on a server that must seek to
/// each.
pub const MAX_RANGES: usize = 32;

/// One range as written in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `FIRST-LAST` or `FIRST-`, with both ends included.
    From {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte; `None` is the end.
        last: Option<u64>,
    },
    /// `-SUFFIX`: the last bytes, by number.
    Suffix(u64),
}

impl ByteRange {
    /// Returns the half-open range in a body of `size` bytes, or `None` if it is outside.
    pub fn resolve(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first < size).then_some(first..end)
            }
            Self::Suffix(0) => None,
            Self::Suffix(length) => (size > 0).then(|| size.saturating_sub(length)..size),
        }
    }
}

/// Why a `Range` header is not valid.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The header doesn't start with `bytes=`.
    #[error("the range unit is not bytes")]
    Unit,
    /// The header contains no range.
    #[error("no range is given")]
    Empty,
    /// The range at this index (from 0) is not `FIRST-LAST`, `FIRST-` or `-SUFFIX` with FIRST ≤
    /// LAST.
    #[error("range number {0} is malformed")]
    Malformed(usize),
    /// The header has more than [`MAX_RANGES`] ranges.
    #[error("more than {MAX_RANGES} ranges")]
    TooMany,
}

/// Parses the value of a `Range` header.
pub fn parse(header: &str) -> Result<Vec<ByteRange>, RangeError> {
    let list = header.strip_prefix("bytes=").ok_or(RangeError::Unit)?;
    let mut ranges = Vec::new();
    for (index, text) in list.split(',').enumerate() {
        let text = text.trim_matches([' ', '\t']);
        if text.is_empty() {
            continue;
        }
        if ranges.len() == MAX_RANGES {
            return Err(RangeError::TooMany);
        }
        ranges.push(one(text).ok_or(RangeError::Malformed(index))?);
    }
    if ranges.is_empty() {
        return Err(RangeError::Empty);
    }
    Ok(ranges)
}

fn one(text: &str) -> Option<ByteRange> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (
        first.trim_end_matches([' ', '\t']),
        last.trim_start_matches([' ', '\t']),
    );
    match (first, last) {
        ("", suffix) => Some(ByteRange::Suffix(number(suffix)?)),
        (first, "") => Some(ByteRange::From {
            first: number(first)?,
            last: None,
        }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From {
                first,
                last: Some(last),
            })
        }
    }
}

/// Parses digits only; `u64::from_str` would accept a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The part of a body to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// 200 with the whole body.
    Whole,
    /// 206 with this half-open range.
    Part(Range<u64>),
    /// 416: the range is outside the body.
    Unsatisfiable,
}

/// Returns what a server with support for single ranges sends of `size` bytes. Ignores malformed
/// headers, and headers with several ranges.
pub fn select(header: Option<&str>, size: u64) -> Selection {
    match header.map(parse) {
        Some(Ok(ranges)) => match ranges.as_slice() {
            [range] => range
                .resolve(size)
                .map_or(Selection::Unsatisfiable, Selection::Part),
            _ => Selection::Whole,
        },
        Some(Err(_)) | None => Selection::Whole,
    }
}

/// Returns the value of `Content-Range` for a part.
pub fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn from(first: u64, last: u64) -> ByteRange {
        ByteRange::From {
            first,
            last: Some(last),
        }
    }

    #[test]
    fn reads_each_form() {
        let open = ByteRange::From {
            first: 7,
            last: None,
        };
        let table: [(&str, &[ByteRange]); 7] = [
            ("bytes=0-0", &[from(0, 0)]),
            ("bytes=5-9", &[from(5, 9)]),
            ("bytes=7-", &[open]),
            ("bytes=-3", &[ByteRange::Suffix(3)]),
            (
                "bytes=0-1, 7- ,-3",
                &[from(0, 1), open, ByteRange::Suffix(3)],
            ),
            ("bytes=,0-1,", &[from(0, 1)]),
            ("bytes=0-18446744073709551615", &[from(0, u64::MAX)]),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn rejects_malformed_headers() {
        let table = [
            ("", RangeError::Unit),
            ("items=0-1", RangeError::Unit),
            ("Bytes=0-1", RangeError::Unit),
            ("bytes 0-1", RangeError::Unit),
            ("bytes=", RangeError::Empty),
            ("bytes=,,", RangeError::Empty),
            ("bytes=-", RangeError::Malformed(0)),
            ("bytes=5", RangeError::Malformed(0)),
            ("bytes=9-5", RangeError::Malformed(0)),
            ("bytes=+1-5", RangeError::Malformed(0)),
            ("bytes=0-1,a-b", RangeError::Malformed(1)),
            ("bytes=--5", RangeError::Malformed(0)),
            ("bytes=0-18446744073709551616", RangeError::Malformed(0)),
        ];
        for (text, error) in table {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        let many = format!("bytes={}", "0-1,".repeat(MAX_RANGES + 1));
        assert_eq!(parse(&many), Err(RangeError::TooMany));
    }

    #[test]
    fn resolves_within_a_size() {
        let table = [
            (from(0, 9), 10, Some(0..10)),
            (from(0, 99), 10, Some(0..10)),
            (from(9, 9), 10, Some(9..10)),
            (from(10, 10), 10, None),
            (from(0, u64::MAX), 10, Some(0..10)),
            (from(0, 0), 0, None),
            (ByteRange::Suffix(3), 10, Some(7..10)),
            (ByteRange::Suffix(30), 10, Some(0..10)),
            (ByteRange::Suffix(0), 10, None),
            (ByteRange::Suffix(1), 0, None),
        ];
        for (range, size, expected) in table {
            assert_eq!(range.resolve(size), expected, "{range:?} of {size}");
        }
    }

    #[test]
    fn selects_as_rfc_9110_permits() {
        assert_eq!(select(None, 10), Selection::Whole);
        assert_eq!(select(Some("lines=1-2"), 10), Selection::Whole);
        assert_eq!(select(Some("bytes=0-1,3-4"), 10), Selection::Whole);
        assert_eq!(select(Some("bytes=2-"), 10), Selection::Part(2..10));
        assert_eq!(select(Some("bytes=10-"), 10), Selection::Unsatisfiable);
        assert_eq!(content_range(&(2..10), 10), "bytes 2-9/10");
    }
}
