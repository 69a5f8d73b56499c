//! Requests that are answered without reading blocks: redirects, and special requests of browsers.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::content;
use crate::headers::set;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::{Answer, Request};

/// Characters that must be escaped in a URL. Existing escapes are kept.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Returns an answer if the request needs no blocks.
pub(crate) fn answer_without_blocks(
    request: &Request,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Option<Answer>, Refusal> {
    let path = request.uri().path();
    if let Some(clean) = normalized(path) {
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
            "a service worker can't be registered for the root of a CID",
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

/// Removes empty segments, `.` and `..` from a path. `None` if nothing changes. `/ipfs` becomes
/// `/ipfs/`.
fn normalized(path: &str) -> Option<String> {
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

/// Returns the target of `?uri=ipfs://<cid>/…`, which browsers request for links with that scheme.
fn protocol_handler(uri: &str) -> Result<String, Refusal> {
    let uri = uri.trim_matches(|c: char| c <= ' ');
    let invalid = || Refusal::bad_request("invalid uri parameter");
    let (scheme, rest) = uri.split_once(':').ok_or_else(invalid)?;
    let scheme = scheme.to_ascii_lowercase();
    // Web pages may register only schemes with this prefix.
    let scheme = scheme.strip_prefix("web+").unwrap_or(&scheme);
    if !matches!(scheme, "ipfs" | "ipns") {
        return Err(Refusal::bad_request(
            "the uri parameter must have the scheme ipfs or ipns",
        ));
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, format!("?{}", utf8_percent_encode(query, ESCAPED))),
        None => (rest, String::new()),
    };
    let (host, path) = match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
    };
    if !host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    {
        return Err(invalid());
    }
    let path = utf8_percent_encode(path.trim_end_matches('/'), ESCAPED);
    Ok(format!("/{scheme}/{host}{path}{query}"))
}

/// Returns whether a path is `/ipfs/<cid>` and nothing else.
fn is_root(path: &str) -> bool {
    let rest = path.strip_prefix("/ipfs/").unwrap_or_default();
    !rest.is_empty() && !rest.contains('/')
}

/// Returns a redirect within this gateway.
pub(crate) fn redirect(mut headers: HeaderMap, status: StatusCode, target: &str) -> Answer {
    set(&mut headers, LOCATION, target);
    headers.insert(CONTENT_TYPE, content::TEXT);
    content::build(status, headers, format!("moved to {target}\n").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipfs_links_are_redirected_into_the_gateway() {
        let table = [
            ("ipfs://bafkqaaa", "/ipfs/bafkqaaa"),
            ("ipfs:bafkqaaa", "/ipfs/bafkqaaa"),
            ("web+ipfs://bafkqaaa/x", "/ipfs/bafkqaaa/x"),
            ("IPFS://bafkqaaa/a b/?x=1#part", "/ipfs/bafkqaaa/a%20b?x=1"),
            (
                " ipns://example.net/\u{e9}%20/\n",
                "/ipns/example.net/%C3%A9%20",
            ),
            ("ipfs://", "/ipfs/"),
        ];
        for (uri, target) in table {
            assert_eq!(protocol_handler(uri).as_deref(), Ok(target), "{uri}");
        }
        for uri in [
            "",
            "bafkqaaa",
            "https://example.net/",
            "ipfs://a@b/",
            "ipfs://a\r\nb/",
        ] {
            let refusal = protocol_handler(uri).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST, "{uri}");
        }
    }
}
