//! Headers that several kinds of answers share.

use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_DISPOSITION, ETAG, HeaderName,
    HeaderValue,
};
use interplanar_core::cid::Cid;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::resolve::Resolved;

/// Content under a CID never changes.
pub(crate) const IMMUTABLE: &str = "public, max-age=29030400, immutable";
/// Generated pages may, with the program.
pub(crate) const LISTING: &str = "public, max-age=604800, stale-while-revalidate=2678400";

/// Names the generation of pages that this program writes; raise it when their look changes.
const PAGES: &str = "interplanar-1";

/// What may stand in a file name unescaped.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
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

/// What every answer has: any web page may read it.
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

/// Sets a header whose value we made, so that it cannot be invalid.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `X-Ipfs-Roots`: the block of each path segment.
pub(crate) fn set_roots(headers: &mut HeaderMap, resolved: &Resolved) {
    let roots: Vec<String> = resolved.roots.iter().map(Cid::to_string).collect();
    set(headers, X_IPFS_ROOTS, &roots.join(","));
}

/// The tag of content that never changes, and how long to keep it.
pub(crate) fn set_immutable(headers: &mut HeaderMap, etag: &str) {
    set(headers, ETAG, etag);
    set(headers, CACHE_CONTROL, IMMUTABLE);
}

/// `Content-Disposition` with a name, once in ASCII and once as it is.
pub(crate) fn set_disposition(headers: &mut HeaderMap, disposition: &str, name: &str) {
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .collect();
    let ascii = utf8_percent_encode(&ascii, NAME);
    let name = utf8_percent_encode(name, NAME);
    let value = format!("{disposition}; filename=\"{ascii}\"; filename*=UTF-8''{name}");
    set(headers, CONTENT_DISPOSITION, &value);
}

/// The tag of a generated directory listing.
pub(crate) fn listing_etag(cid: &Cid) -> String {
    format!("\"DirIndex-{PAGES}_CID-{cid}\"")
}
