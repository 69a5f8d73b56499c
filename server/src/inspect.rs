//! The cache inspector at `/inspect/`: the files of `www/dist`, which the program carries.
//!
//! | path | answer |
//! |---|---|
//! | `/inspect` | 308 to `/inspect/` |
//! | `/inspect/<file>` | a file of the build, or 404 |
//!
//! `scripts/www` builds them before the program is built; a program that was built without them says so there. The page is static: what it
//! shows it asks of the cache as any client does, and verifies itself.
//!
//! ```
//! use http::Method;
//! use interplanar_server::inspect;
//!
//! assert!(inspect::owns("/inspect/") && !inspect::owns("/inspector"));
//! let response = inspect::answer(&Method::GET, "/inspect/no-such-file");
//! assert_eq!(response.status(), 404);
//! ```

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, header};

use crate::net::server::{self, Response};

/// Where it is.
const PREFIX: &str = "/inspect";

/// The built files by name, sorted.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/inspector.rs"));

/// What a page of the inspector may do. The same text stands in `www/index.html`, for servers that send no headers.
///
/// `wasm-unsafe-eval` lets it compile WebAssembly, and no JavaScript. `connect-src` is open: which cache and which gateways are asked is what
/// the user types. Images are shown in sandboxed frames from blobs.
pub const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; \
    frame-src blob:; connect-src 'self' http: https:; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    require-trusted-types-for 'script'; trusted-types interplanar";

const MISSING: &str =
    "The inspector is not in this program. Run scripts/www, then build the program again.\n";

/// Whether a path is the inspector's.
pub fn owns(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the program carries it.
pub fn is_built() -> bool {
    !FILES.is_empty()
}

/// Answers a request for such a path.
pub fn answer(method: &Method, path: &str) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return server::method_not_allowed();
    }
    let Some(name) = path.strip_prefix("/inspect/") else {
        let mut response = server::text(StatusCode::PERMANENT_REDIRECT, "");
        // Relative: a proxy in front may have put a prefix before it.
        let to = HeaderValue::from_static("inspect/");
        response.headers_mut().insert(LOCATION, to);
        return response;
    };
    let name = if name.is_empty() { "index.html" } else { name };
    let found = FILES.binary_search_by_key(&name, |(name, _)| name);
    match found.ok().and_then(|index| FILES.get(index)) {
        Some((name, content)) => file(name, content),
        None if FILES.is_empty() => server::text(StatusCode::NOT_FOUND, MISSING),
        None => server::not_found(),
    }
}

fn file(name: &str, content: &'static [u8]) -> Response {
    let mut response = server::full(
        StatusCode::OK,
        content_type(name),
        Bytes::from_static(content),
    );
    let headers = response.headers_mut();
    // Those in assets/ have their content's hash in their name.
    let kept = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    let policy = format!("{POLICY}; frame-ancestors 'none'");
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_itself_says_the_same_policy() {
        let page = include_str!("../../www/index.html");
        assert!(page.contains(POLICY), "www/index.html differs");
    }

    #[test]
    fn nothing_but_the_built_files_is_there() {
        for path in ["/inspect/../Cargo.toml", "/inspect//", "/inspect/assets/"] {
            assert_eq!(answer(&Method::GET, path).status(), 404, "{path}");
        }
        let moved = answer(&Method::GET, "/inspect");
        assert_eq!(
            (moved.status(), &moved.headers()[LOCATION]),
            (
                StatusCode::PERMANENT_REDIRECT,
                &HeaderValue::from_static("inspect/")
            )
        );
        assert_eq!(answer(&Method::POST, "/inspect/").status(), 405);
    }

    #[test]
    fn files_have_their_types_and_the_policy() {
        for (name, _) in FILES {
            let response = answer(&Method::GET, &format!("/inspect/{name}"));
            let headers = response.headers();
            assert_eq!(response.status(), 200);
            assert_ne!(
                headers["content-type"], "application/octet-stream",
                "{name}"
            );
            assert!(headers.contains_key("content-security-policy"));
        }
    }
}
