//! http and https URLs, as far as narinfos need them: resolving a relative URL against its cache,
//! and finding the host.
//!
//! Grammar: RFC 3986, without user names, IPv6 zones and host names beyond ASCII. The result is in
//! a form that every client parses alike: backslashes, spaces and bytes beyond ASCII are escaped,
//! dot segments are resolved, and the fragment is dropped.

use crate::cid::MAX_URL;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Returns the host in lower case, without port and brackets. Returns `None` if the text is not an
/// http or https URL.
#[must_use]
pub fn host(url: &str) -> Option<String> {
    let (_, authority, _) = split(url)?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    Some(host.to_string())
}

/// Resolves `reference` against `base`. Returns `None` unless the result is an http or https URL.
#[must_use]
pub fn join(base: &str, reference: &str) -> Option<String> {
    if base.len().max(reference.len()) > MAX_URL {
        return None;
    }
    let reference = reference.split('#').next()?;
    if has_scheme(reference) {
        let (scheme, authority, rest) = split(reference)?;
        return Some(write(scheme, &authority, rest));
    }
    let (scheme, authority, rest) = split(base.split('#').next()?)?;
    if reference.starts_with("//") {
        let (scheme, authority, rest) = split(&format!("{scheme}:{reference}"))
            .map(|(_, authority, rest)| (scheme, authority, rest.to_string()))?;
        return Some(write(scheme, &authority, &rest));
    }
    if reference.starts_with('/') {
        return Some(write(scheme, &authority, reference));
    }
    let path = rest.split('?').next()?;
    if reference.is_empty() || reference.starts_with('?') {
        return Some(write(scheme, &authority, &format!("{path}{reference}")));
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(write(scheme, &authority, &format!("{folder}/{reference}")))
}

fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Splits a URL into scheme, authority in lower case, and the rest.
fn split(url: &str) -> Option<(&'static str, String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '\\']).unwrap_or(rest.len()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if authority.is_empty() || authority.starts_with(':') || !authority.bytes().all(plain) {
        return None;
    }
    Some((scheme, authority.to_ascii_lowercase(), rest))
}

/// Writes the URL with dot segments resolved and invalid characters escaped.
fn write(scheme: &str, authority: &str, rest: &str) -> String {
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut given = path.trim_start_matches('/').split('/').peekable();
    while let Some(segment) = given.next() {
        let last = given.peek().is_none();
        match segment {
            "." | "%2e" | "%2E" => {}
            ".." | ".%2e" | ".%2E" | "%2e." | "%2E." | "%2e%2e" | "%2E%2E" | "%2e%2E"
            | "%2E%2e" => {
                segments.pop();
            }
            segment => {
                segments.push(segment);
                continue;
            }
        }
        if last {
            segments.push("");
        }
    }
    let mut url = format!("{scheme}://{authority}/{}", escape(&segments.join("/")));
    if let Some(query) = query {
        url.push('?');
        url.push_str(&escape(query));
    }
    url
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
