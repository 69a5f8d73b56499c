//! Responses with the headers of `guix publish`: its content types, its `Cache-Control`, its 404
//! bodies.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, header};

use interplanar_gateway::range::{self, Selection};

use crate::net::server::{self, Body, Response};

/// Content type of a NAR that is compressed while it is sent.
pub(super) const LIVE_NAR: &str = "application/x-nix-archive;charset=ISO-8859-1";
/// Content type of a NAR or other file that is stored.
pub(super) const FILE: &str = "application/octet-stream;charset=ISO-8859-1";
pub(super) const NARINFO: &str = "application/x-nix-narinfo;charset=utf-8";
pub(super) const TEXT: &str = "text/plain;charset=utf-8";
/// `guix publish` spells the charset in two ways; so do we.
pub(super) const FILE_TEXT: &str = "text/plain;charset=UTF-8";
pub(super) const HTML: &str = "text/html;charset=UTF-8";
pub(super) const JSON: &str = "application/json";

/// The first words of a 404 body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotFoundPhrase {
    NotFound,
    /// For items that the store doesn't have: no words.
    Silent,
    Baking,
}

/// Returns a 404 whose body names the requested path.
pub(super) fn not_found(phrase: NotFoundPhrase, path: &str, ttl: Option<u64>) -> Response {
    let words = match phrase {
        NotFoundPhrase::NotFound => "Resource not found",
        NotFoundPhrase::Silent => "",
        NotFoundPhrase::Baking => "We're baking it",
    };
    let body = format!("{words}: {path}");
    let mut response = with_ttl(server::full(StatusCode::NOT_FOUND, TEXT, body), ttl);
    if phrase == NotFoundPhrase::Baking {
        let name = HeaderName::from_static("x-baking");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static("1"));
    }
    response
}

/// Returns a 500 and logs the error.
pub(super) fn failed(error: &dyn std::fmt::Display, path: &str) -> Response {
    tracing::error!(path, %error, "can't answer a request");
    server::full(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "internal error\n")
}

pub(super) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Response {
    server::full(StatusCode::OK, content_type, body)
}

pub(super) fn with_ttl(mut response: Response, ttl: Option<u64>) -> Response {
    if let Some(value) = ttl.and_then(|ttl| HeaderValue::from_str(&format!("max-age={ttl}")).ok()) {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    response
}

/// Returns a file or the range of it that the request's `Range` selects: 200, 206 or 416.
pub(super) fn ranged(
    request: &HeaderMap,
    content_type: &'static str,
    size: u64,
    body: impl FnOnce(std::ops::Range<u64>) -> Body,
) -> Response {
    let range_header = request
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let (status, part, content_range) = match range::select(range_header, size) {
        Selection::Whole => (StatusCode::OK, 0..size, None),
        Selection::Part(part) => {
            let content_range = range::content_range(&part, size);
            (StatusCode::PARTIAL_CONTENT, part, Some(content_range))
        }
        Selection::Unsatisfiable => {
            let content_range = format!("bytes */{size}");
            (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(content_range))
        }
    };
    let mut response = server::stream(status, content_type, body(part));
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(value) =
        content_range.and_then(|content_range| HeaderValue::from_str(&content_range).ok())
    {
        headers.insert(CONTENT_RANGE, value);
    }
    response
}
