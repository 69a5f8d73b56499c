//! A gateway's address and the URLs to ask it by.
//!
//! ```text
//! url   = base "/ipfs/" cid *( "/" segment ) "?format=car&dag-scope=entity" [ "&entity-bytes=" from ":" ( to | "*" ) ]
//!       | base "/ipfs/" cid "?format=raw"
//!       | base "/ipfs/" cid
//! ```
//! `dag-scope=entity` always comes with `entity-bytes`: Kubo 0.43 ignores the range otherwise and sends the whole file.

use super::ByteRange;
use crate::cid::{self, Cid, percent_encode};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// `Accept` of CAR requests.
pub const ACCEPT_CAR: &str = "application/vnd.ipld.car;version=1;order=dfs;dups=n";
/// `Accept` of block requests.
pub const ACCEPT_RAW: &str = "application/vnd.ipld.raw";
/// `Accept` of requests for files.
pub const ACCEPT_FILE: &str = "*/*";
/// Bytes of a gateway's address.
pub const MAX_GATEWAY_URL: usize = 2048;

/// A trustless gateway: `http(s)://host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gateway {
    /// The address; a slash at its end is ignored.
    pub url: String,
}

/// The text is no gateway address.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GatewayUrlError {
    /// Neither `http://` nor `https://`.
    #[error("expected http:// or https://")]
    Scheme,
    /// Nothing after the scheme.
    #[error("expected a host after the scheme")]
    Host,
    /// A space, a control or non-ASCII character, a user name, a query or a fragment, at this byte.
    #[error("byte {0}: expected host, port and perhaps a path only")]
    Character(usize),
    /// More than [`MAX_GATEWAY_URL`] bytes.
    #[error("expected at most {MAX_GATEWAY_URL} bytes")]
    TooLong,
}

impl Gateway {
    /// Checks an address that somebody typed.
    ///
    /// # Errors
    /// See [`GatewayUrlError`].
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

/// The URL that asks `base` for a CAR of the file at `cid` and `path`, from `range.from` on; or of `all` that is below.
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

/// The URL that asks `base` for a file.
pub(super) fn file_url(base: &str, cid: &Cid) -> String {
    format!("{}/ipfs/{}", base.trim_end_matches('/'), cid::text(cid))
}

/// The URL that asks `base` for one block.
pub(super) fn raw_url(base: &str, cid: &Cid) -> String {
    format!(
        "{}/ipfs/{}?format=raw",
        base.trim_end_matches('/'),
        cid::text(cid)
    )
}
