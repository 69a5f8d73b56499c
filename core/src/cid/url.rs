//! URLs that name a CID and a path, as narinfos and command lines contain them.
//!
//! ```text
//! ipfs:<cid>   ipfs://<cid>[/path]   /ipfs/<cid>[/path]   http(s)://host[:port]/ipfs/<cid>[/path]
//! ```
//! Path segments are percent-decoded. Empty segments are ignored. `.` and `..` have no meaning in a
//! DAG and are names like any other.

use super::{Cid, CidError, parse};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Maximum length of a URL, in bytes.
pub const MAX_URL: usize = 8192;

/// A CID and a path below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IpfsUrl {
    /// The root of the path.
    pub cid: Cid,
    /// Names from the root on, percent-decoded.
    pub path: Vec<String>,
}

impl IpfsUrl {
    /// Makes the URL of a CID without a path.
    #[must_use]
    pub fn new(cid: Cid) -> Self {
        Self {
            cid,
            path: Vec::new(),
        }
    }

    /// Parses `ipfs:<cid>`, `ipfs://<cid>[/path]` and `/ipfs/<cid>[/path]`. None of them may have a
    /// query or a fragment.
    ///
    /// # Errors
    /// [`CidError::Url`] if the text has another form, or an error about the CID or the path.
    pub fn parse(text: &str) -> Result<Self, CidError> {
        if text.len() > MAX_URL {
            return Err(CidError::TooLong(text.len()));
        }
        let rest = ["ipfs://", "ipfs:", "/ipfs/"]
            .into_iter()
            .find_map(|prefix| strip_prefix_ignore_case(text, prefix))
            .ok_or(CidError::Url)?;
        Self::parse_rest(rest)
    }

    /// Parses a gateway URL, `http(s)://host/ipfs/<cid>[/path]`.
    ///
    /// # Errors
    /// As [`IpfsUrl::parse`].
    pub fn parse_gateway(text: &str) -> Result<Self, CidError> {
        if text.len() > MAX_URL {
            return Err(CidError::TooLong(text.len()));
        }
        let rest = ["http://", "https://"]
            .into_iter()
            .find_map(|prefix| strip_prefix_ignore_case(text, prefix))
            .and_then(|rest| rest.split_once('/'))
            .and_then(|(_, path)| path.strip_prefix("ipfs/"))
            .ok_or(CidError::Url)?;
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        Self::parse_rest(rest)
    }

    fn parse_rest(rest: &str) -> Result<Self, CidError> {
        let mut segments = rest.split('/');
        let cid = parse(segments.next().unwrap_or_default())?;
        let path = segments
            .filter(|segment| !segment.is_empty())
            .map(decode)
            .collect::<Result<_, _>>()?;
        Ok(Self { cid, path })
    }
}

/// Writes `ipfs://<cid>[/path]`, percent-encoded.
impl fmt::Display for IpfsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ipfs://{}", super::text(&self.cid))?;
        self.path
            .iter()
            .try_for_each(|name| write!(f, "/{}", encode(name)))
    }
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Percent-decodes one path segment.
fn decode(segment: &str) -> Result<String, CidError> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes().enumerate();
    while let Some((at, byte)) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|(_, byte)| char::from(byte).to_digit(16))
        };
        let (high, low) = (digit(), digit());
        let value = high
            .zip(low)
            .and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        bytes.push(value.ok_or(CidError::Percent(at))?);
    }
    String::from_utf8(bytes).map_err(|error| CidError::Percent(error.utf8_error().valid_up_to()))
}

/// Percent-encodes one path segment.
#[must_use]
pub fn encode(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        if plain {
            text.push(char::from(byte));
        } else {
            text.push_str(&alloc::format!("%{byte:02X}"));
        }
    }
    text
}
