//! Headers that several answers share.

use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_DISPOSITION, ETAG, HeaderName,
    HeaderValue,
};
use interplanar_core::cid::Cid;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::resolve::Resolved;

/// For content under a CID, which never changes.
pub(crate) const IMMUTABLE: &str = "public, max-age=29030400, immutable";
/// For generated pages, which change with the program.
pub(crate) const LISTING_CACHE: &str = "public, max-age=604800, stale-while-revalidate=2678400";

/// Version of the generated pages. Increase it when their content changes.
const LISTING_VERSION: &str = "interplanar-1";

/// Characters that need no escape in a file name.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Returns the headers of every answer. They allow any web page to read it.
pub(crate) fn common() -> HeaderMap {
    let fixed = HeaderValue::from_static;
    HeaderMap::from_iter([
        (ACCESS_CONTROL_ALLOW_ORIGIN, fixed("*")),
        (ACCESS_CONTROL_ALLOW_METHODS, fixed("GET, HEAD, OPTIONS")),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            fixed("Content-Type, Range, User-Agent, X-Requested-With"),
        ),
        (
            ACCESS_CONTROL_EXPOSE_HEADERS,
            fixed(
                "Content-Length, Content-Range, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, X-Stream-Output",
            ),
        ),
    ])
}

pub(crate) const X_IPFS_PATH: HeaderName = HeaderName::from_static("x-ipfs-path");
pub(crate) const X_IPFS_ROOTS: HeaderName = HeaderName::from_static("x-ipfs-roots");

/// Sets a header to a value that the gateway made, which is always valid.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Sets `X-Ipfs-Roots`: the block of each path segment.
pub(crate) fn set_roots(headers: &mut HeaderMap, resolved: &Resolved) {
    let roots: Vec<String> = resolved.roots.iter().map(Cid::to_string).collect();
    set(headers, X_IPFS_ROOTS, &roots.join(","));
}

/// Sets the ETag and the cache time of content that never changes.
pub(crate) fn set_immutable(headers: &mut HeaderMap, etag: &str) {
    set(headers, ETAG, etag);
    set(headers, CACHE_CONTROL, IMMUTABLE);
}

/// Sets `Content-Disposition` with a file name, in ASCII and in UTF-8.
pub(crate) fn set_disposition(headers: &mut HeaderMap, disposition: &str, name: &str) {
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .collect();
    let ascii = utf8_percent_encode(&ascii, UNESCAPED);
    let name = utf8_percent_encode(name, UNESCAPED);
    let value = format!("{disposition}; filename=\"{ascii}\"; filename*=UTF-8''{name}");
    set(headers, CONTENT_DISPOSITION, &value);
}

/// Returns the ETag of a generated directory listing.
pub(crate) fn listing_etag(cid: &Cid) -> String {
    format!("\"DirIndex-{LISTING_VERSION}_CID-{cid}\"")
}
