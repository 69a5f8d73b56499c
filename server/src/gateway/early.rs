//! What is answered before any block is looked at: redirects, and browsers' special requests.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use url::Url;

use super::content;
use super::headers::set;
use super::query::Query;
use super::refusal::Refusal;
use crate::net::server::{Request, Response, whole};

/// The answer, or `None` to go on.
pub(super) fn early(
    request: &Request,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Option<Response>, Refusal> {
    let path = request.uri().path();
    if let Some(clean) = cleaned(path) {
        let target = with_query(clean, request);
        return Ok(Some(redirect(
            headers.clone(),
            StatusCode::TEMPORARY_REDIRECT,
            &target,
        )));
    }
    if let Some(uri) = query.get("uri") {
        let target = protocol_handler(uri)?;
        return Ok(Some(redirect(
            headers.clone(),
            StatusCode::MOVED_PERMANENTLY,
            &target,
        )));
    }
    let service_worker = request.headers().get("service-worker");
    if service_worker.is_some_and(|value| value == "script") && is_root(path) {
        return Err(Refusal::bad_request(
            "no service worker may take a whole root",
        ));
    }
    if path.starts_with("/ipfs/ipfs/") || path.starts_with("/ipfs/ipns/") {
        let rest = path.trim_start_matches("/ipfs");
        let target = if path.starts_with("/ipfs/ipfs/") {
            format!("/ipfs{rest}")
        } else {
            rest.to_owned()
        };
        let target = with_query(target, request);
        return Ok(Some(redirect(
            headers.clone(),
            StatusCode::MOVED_PERMANENTLY,
            &target,
        )));
    }
    Ok(None)
}

/// The path without empty segments, `.` and `..`, if that is another one. The bare `/ipfs` is a folder.
fn cleaned(path: &str) -> Option<String> {
    if path == "/ipfs" {
        return Some("/ipfs/".to_owned());
    }
    let segments = path.strip_prefix('/')?.split('/');
    let last = segments.clone().next_back();
    let mut clean: Vec<&str> = Vec::new();
    for segment in segments {
        match segment {
            "" | "." => {}
            ".." => {
                clean.pop();
            }
            segment => clean.push(segment),
        }
    }
    let slash = matches!(last, Some("" | "." | "..")) && !clean.is_empty();
    let clean = format!("/{}{}", clean.join("/"), if slash { "/" } else { "" });
    (clean != path).then_some(clean)
}

fn with_query(path: String, request: &Request) -> String {
    match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// `?uri=ipfs://<cid>/…`, which browsers send for links of that scheme.
fn protocol_handler(uri: &str) -> Result<String, Refusal> {
    let url = Url::parse(uri).map_err(|_| Refusal::bad_request("invalid uri parameter"))?;
    let scheme = url.scheme();
    if !matches!(scheme, "ipfs" | "ipns") {
        return Err(Refusal::bad_request(
            "the uri parameter must be of the scheme ipfs or ipns",
        ));
    }
    let host = url.host_str().unwrap_or_default();
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    Ok(format!(
        "/{scheme}/{host}{}{query}",
        url.path().trim_end_matches('/')
    ))
}

/// Whether a path is `/ipfs/<cid>` without more.
fn is_root(path: &str) -> bool {
    let rest = path.strip_prefix("/ipfs/").unwrap_or_default();
    !rest.is_empty() && !rest.contains('/')
}

/// A redirect within this gateway.
pub(super) fn redirect(mut headers: HeaderMap, status: StatusCode, target: &str) -> Response {
    set(&mut headers, LOCATION, target);
    set(&mut headers, CONTENT_TYPE, "text/plain; charset=utf-8");
    let body = whole(format!("moved to {target}\n"));
    content::with(status, headers, body)
}
