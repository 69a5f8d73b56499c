//! Answers with the headers of `guix publish`: its content types, `Cache-Control`, and what its 404s say.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, header};

use interplanar_gateway::range::{self, Selection};

use crate::net::server::{self, Body, Response};

/// A NAR that is made while it is sent.
pub(super) const LIVE_NAR: &str = "application/x-nix-archive;charset=ISO-8859-1";
/// A NAR, or another file, that is there already.
pub(super) const FILE: &str = "application/octet-stream;charset=ISO-8859-1";
pub(super) const NARINFO: &str = "application/x-nix-narinfo;charset=utf-8";
pub(super) const TEXT: &str = "text/plain;charset=utf-8";
/// Guix's two spellings are its own.
pub(super) const FILE_TEXT: &str = "text/plain;charset=UTF-8";
pub(super) const HTML: &str = "text/html;charset=UTF-8";
pub(super) const JSON: &str = "application/json";

/// What a 404 begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phrase {
    NotFound,
    /// Of items that the store doesn't have.
    Silent,
    Baking,
}

/// A 404, with the path as it was asked for.
pub(super) fn not_found(phrase: Phrase, path: &str, ttl: Option<u64>) -> Response {
    let words = match phrase {
        Phrase::NotFound => "Resource not found",
        Phrase::Silent => "",
        Phrase::Baking => "We're baking it",
    };
    let body = format!("{words}: {path}");
    let mut response = with_ttl(server::full(StatusCode::NOT_FOUND, TEXT, body), ttl);
    if phrase == Phrase::Baking {
        let name = HeaderName::from_static("x-baking");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static("1"));
    }
    response
}

/// 500; what happened is in the log.
pub(super) fn failed(error: &dyn std::fmt::Display, path: &str) -> Response {
    tracing::error!(path, %error, "a request failed");
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

/// A file of which any range can be had: 200, 206 or 416 as the request's `Range` says.
pub(super) fn ranged(
    request: &HeaderMap,
    content_type: &'static str,
    size: u64,
    body: impl FnOnce(std::ops::Range<u64>) -> Body,
) -> Response {
    let asked = request
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let (status, part, says) = match range::select(asked, size) {
        Selection::Whole => (StatusCode::OK, 0..size, None),
        Selection::Part(part) => {
            let says = range::content_range(&part, size);
            (StatusCode::PARTIAL_CONTENT, part, Some(says))
        }
        Selection::Unsatisfiable => {
            let says = format!("bytes */{size}");
            (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(says))
        }
    };
    let mut response = server::stream(status, content_type, body(part));
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(value) = says.and_then(|says| HeaderValue::from_str(&says).ok()) {
        headers.insert(CONTENT_RANGE, value);
    }
    response
}
