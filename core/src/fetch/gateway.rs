//! The address of a gateway, and the URLs of requests to it.
//!
//! ```text
//! url   = base "/ipfs/" cid *( "/" segment ) "?format=car&dag-scope=" ( "entity" | "all" )
//!              [ "&entity-bytes=" from ":" ( to | "*" ) ]
//!       | base "/ipfs/" cid "?format=raw"
//!       | base "/ipfs/" cid
//! ```
//! `entity-bytes` is never sent without `dag-scope`: Kubo 0.43 then ignores the range and sends the
//! whole file.

use super::ByteRange;
use crate::cid::{self, Cid, percent_encode};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// `Accept` header of CAR requests.
pub const ACCEPT_CAR: &str = "application/vnd.ipld.car;version=1;order=dfs;dups=n";
/// `Accept` header of block requests.
pub const ACCEPT_RAW: &str = "application/vnd.ipld.raw";
/// `Accept` header of file requests.
pub const ACCEPT_FILE: &str = "*/*";
/// Maximum length of a gateway's address, in bytes.
pub const MAX_GATEWAY_URL: usize = 2048;

/// A trustless gateway: `http(s)://host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gateway {
    /// The address. A slash at its end is ignored.
    pub url: String,
}

/// Why a text is not a gateway address.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GatewayUrlError {
    /// It starts with neither `http://` nor `https://`.
    #[error("a gateway address starts with http:// or https://")]
    Scheme,
    /// No host follows the scheme.
    #[error("a gateway address needs a host after http:// or https://")]
    Host,
    /// A space, a control or non-ASCII character, a user name, a query or a fragment, at this byte.
    #[error("byte {0} of the gateway address is invalid: expected only a host, a port and a path")]
    Character(usize),
    /// It has more than [`MAX_GATEWAY_URL`] bytes.
    #[error("a gateway address has at most {MAX_GATEWAY_URL} bytes")]
    TooLong,
}

impl Gateway {
    /// Parses a gateway address.
    ///
    /// # Errors
    /// [`GatewayUrlError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, GatewayUrlError> {
        if text.len() > MAX_GATEWAY_URL {
            return Err(GatewayUrlError::TooLong);
        }
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let host = rest.ok_or(GatewayUrlError::Scheme)?;
        let odd = |c: char| {
            !c.is_ascii_graphic() || matches!(c, '?' | '#' | '@' | '\\' | '"' | '<' | '>')
        };
        if let Some(at) = text.find(odd) {
            return Err(GatewayUrlError::Character(at));
        }
        if host.is_empty() || host.starts_with(['/', ':']) {
            return Err(GatewayUrlError::Host);
        }
        Ok(Self {
            url: String::from(text.trim_end_matches('/')),
        })
    }
}

/// Returns the URL that requests a CAR from `base`: of the file at `cid` and `path`, or of `all`
/// blocks below it.
pub(super) fn car_url(
    base: &str,
    cid: &Cid,
    path: &[String],
    range: Option<ByteRange>,
    all: bool,
) -> String {
    let mut url = format!("{}/ipfs/{}", base.trim_end_matches('/'), cid::text(cid));
    for segment in path {
        url.push('/');
        url.push_str(&percent_encode(segment));
    }
    url.push_str("?format=car&dag-scope=");
    url.push_str(if all { "all" } else { "entity" });
    if let Some(ByteRange { from, to }) = range {
        // Writing to a String cannot fail.
        let _ = match to {
            Some(to) => write!(url, "&entity-bytes={from}:{to}"),
            None => write!(url, "&entity-bytes={from}:*"),
        };
    }
    url
}

/// Returns the URL that requests a file from `base`.
pub(super) fn file_url(base: &str, cid: &Cid) -> String {
    format!("{}/ipfs/{}", base.trim_end_matches('/'), cid::text(cid))
}

/// Returns the URL that requests one block from `base`.
pub(super) fn raw_url(base: &str, cid: &Cid) -> String {
    format!(
        "{}/ipfs/{}?format=raw",
        base.trim_end_matches('/'),
        cid::text(cid)
    )
}
