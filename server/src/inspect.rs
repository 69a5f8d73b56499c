//! The cache inspector at `/inspect/`: the files of `www/dist`, which are compiled into the
//! program.
//!
//! | path | answer |
//! |---|---|
//! | `/inspect` | 308 to `/inspect/` |
//! | `/inspect/<file>` | a file of the build, or 404 |
//!
//! `scripts/www` builds the files; run it before building the program. Without them, `/inspect/`
//! answers with a hint. The page is static: it asks the cache like any other client and verifies
//! everything itself.
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

/// URL path of the inspector.
const PREFIX: &str = "/inspect";

/// The built files, sorted by name.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/inspector.rs"));

/// Content security policy of the inspector. `www/index.html` has the same text, for servers that
/// send no headers.
///
/// `wasm-unsafe-eval` allows compiling WebAssembly, but not JavaScript. `connect-src` is open
/// because the user chooses the cache and the gateways. Images are shown in sandboxed frames, from
/// blobs.
pub const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; \
    frame-src blob:; connect-src 'self' http: https:; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    require-trusted-types-for 'script'; trusted-types interplanar";

const NOT_BUILT: &str =
    "this program was built without the inspector; run scripts/www, then build the program again\n";

/// Returns whether a URL path belongs to the inspector.
pub fn owns(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether the program contains the inspector.
pub fn is_built() -> bool {
    !FILES.is_empty()
}

/// Answers a request whose path belongs to the inspector.
pub fn answer(method: &Method, path: &str) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return server::method_not_allowed();
    }
    let Some(name) = path.strip_prefix("/inspect/") else {
        let mut response = server::text(StatusCode::PERMANENT_REDIRECT, "");
        // Relative, because a proxy in front may have added a prefix.
        let to = HeaderValue::from_static("inspect/");
        response.headers_mut().insert(LOCATION, to);
        return response;
    };
    let name = if name.is_empty() { "index.html" } else { name };
    let found = FILES.binary_search_by_key(&name, |(name, _)| name);
    match found.ok().and_then(|index| FILES.get(index)) {
        Some((name, content)) => file(name, content),
        None if FILES.is_empty() => server::text(StatusCode::NOT_FOUND, NOT_BUILT),
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
    // Files in assets/ have the hash of their content in their name.
    let cache_control = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
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
    fn the_page_contains_the_same_policy() {
        let page = include_str!("../../www/index.html");
        assert!(page.contains(POLICY), "www/index.html differs");
    }

    #[test]
    fn only_the_built_files_are_served() {
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
