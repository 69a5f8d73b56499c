//! Content paths: `/ipfs/<cid>[/segment…][/]`, percent-decoded and normalised like in Kubo.
//!
//! Empty segments and `.` are removed; `..` removes the previous segment. Segments are bytes,
//! because names in a DAG may not be UTF-8.

use bytes::Bytes;
use http::HeaderValue;
use interplanar_core::cid::{self, Cid};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::refusal::Refusal;

/// Characters that need no escape in generated URL paths. Quotes and `&` are escaped, because of
/// HTML.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Maximum number of segments. Each one costs a lookup.
const MAX_SEGMENTS: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentPath {
    /// The root CID, as the client wrote it.
    root: String,
    pub(crate) cid: Cid,
    pub(crate) segments: Vec<Bytes>,
    /// Whether the path ended in a slash.
    pub(crate) trailing: bool,
}

impl ContentPath {
    pub(crate) fn parse(url_path: &str) -> Result<Self, Refusal> {
        let invalid = |why: &str| Refusal::bad_request(format!("invalid path: {why}"));
        let segments = normalize(url_path);
        let mut segments = segments.into_iter();
        if segments.next().as_deref() != Some(b"ipfs") {
            return Err(invalid("this gateway serves only /ipfs/"));
        }
        let root = segments.next().ok_or_else(|| invalid("it has no CID"))?;
        let root = String::from_utf8(root).map_err(|_| invalid("the CID is not text"))?;
        let cid = cid::parse(&root).map_err(|error| invalid(&error.to_string()))?;
        let segments: Vec<Bytes> = segments.map(Bytes::from).collect();
        if segments.len() > MAX_SEGMENTS {
            return Err(invalid("it has too many segments"));
        }
        Ok(Self {
            root,
            cid,
            segments,
            trailing: url_path.ends_with('/'),
        })
    }

    /// Returns the last segment after the CID, as a file name.
    pub(crate) fn name(&self) -> Option<String> {
        self.segments
            .last()
            .map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// Returns the value of `X-Ipfs-Path`: decoded like in Kubo, with line breaks as spaces.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut path = format!("/ipfs/{}", self.root).into_bytes();
        for segment in &self.segments {
            path.push(b'/');
            path.extend_from_slice(segment);
        }
        if self.trailing {
            path.push(b'/');
        }
        for byte in &mut path {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        HeaderValue::from_bytes(&path).ok()
    }
}

impl std::fmt::Display for ContentPath {
    /// Writes the path with escapes, as in a URL.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "/ipfs/{}", self.root)?;
        for segment in &self.segments {
            write!(formatter, "/{}", escape(segment))?;
        }
        formatter.write_str(if self.trailing { "/" } else { "" })
    }
}

/// Escapes one segment for a URL.
pub(crate) fn escape(segment: &[u8]) -> impl std::fmt::Display + '_ {
    percent_encode(segment, UNESCAPED)
}

fn normalize(url_path: &str) -> Vec<Vec<u8>> {
    let decoded: Vec<u8> = percent_decode_str(url_path).collect();
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in decoded.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment.to_vec()),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    #[test]
    fn paths_are_decoded_and_cleaned() {
        let table: [(String, &[&[u8]], bool); 5] = [
            (format!("/ipfs/{CID}"), &[], false),
            (format!("/ipfs/{CID}/"), &[], true),
            (
                format!("/ipfs//{CID}/a/./b%2Fc/../d%20e/"),
                &[b"a", b"b", b"d e"],
                true,
            ),
            (
                format!("/ipfs/{CID}/%ff%C4%85"),
                &["\u{fffd}".as_bytes()],
                false,
            ),
            (format!("/ipfs/{CID}/.."), &[], false),
        ];
        for (text, segments, trailing) in table.iter().take(3) {
            let path = ContentPath::parse(text).unwrap();
            assert_eq!(path.segments, *segments, "{text}");
            assert_eq!(path.trailing, *trailing, "{text}");
        }
        let path = ContentPath::parse(&table[3].0).unwrap();
        assert_eq!(path.segments, [&b"\xff\xc4\x85"[..]]);
        assert_eq!(path.to_string(), format!("/ipfs/{CID}/%FF%C4%85"));
        assert!(ContentPath::parse(&table[4].0).is_err());
    }

    #[test]
    fn other_paths_are_rejected() {
        for text in [
            "/",
            "/ipfs",
            "/ipfs/",
            "/ipns/example.net",
            "/ipfs/xyz",
            "/ipfs/%ff",
        ] {
            let refusal = ContentPath::parse(text).unwrap_err();
            assert_eq!(refusal.status, http::StatusCode::BAD_REQUEST, "{text}");
        }
    }
}
