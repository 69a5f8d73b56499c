//! ETags: the lists in `If-None-Match`, `If-Match` and `If-Range`, and their comparison (RFC 9110,
//! 8.8.3).

use http::HeaderMap;
use http::header::AsHeaderName;

/// Result of comparing an ETag with the list in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagMatch {
    /// The header is missing or empty.
    NoHeader,
    Yes,
    No,
}

/// Compares `etag` with the list in a header by weak comparison.
pub(crate) fn weak(headers: &HeaderMap, name: impl AsHeaderName, etag: &str) -> TagMatch {
    compare(headers, name, |listed| opaque(listed) == opaque(etag))
}

/// Compares `etag` with the list in a header by strong comparison.
pub(crate) fn strong(headers: &HeaderMap, name: impl AsHeaderName, etag: &str) -> TagMatch {
    compare(headers, name, |listed| {
        listed == etag && listed.starts_with('"')
    })
}

fn compare(headers: &HeaderMap, name: impl AsHeaderName, same: impl Fn(&str) -> bool) -> TagMatch {
    let Some(header) = headers.get(name).and_then(|value| value.to_str().ok()) else {
        return TagMatch::NoHeader;
    };
    if header.is_empty() {
        return TagMatch::NoHeader;
    }
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.starts_with('*') {
            return TagMatch::Yes;
        }
        let Some((etag, following)) = first(rest) else {
            return TagMatch::No;
        };
        if same(etag) {
            return TagMatch::Yes;
        }
        rest = following;
    }
}

/// Splits the first ETag from a list.
fn first(text: &str) -> Option<(&str, &str)> {
    let start = if text.starts_with("W/") { 2 } else { 0 };
    let quoted = text.get(start..)?.strip_prefix('"')?;
    let end = quoted.find('"')?;
    let plain = quoted
        .bytes()
        .take(end)
        .all(|byte| byte > 0x20 && byte != 0x7f);
    plain.then(|| text.split_at(start + 1 + end + 1))
}

fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::IF_NONE_MATCH;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, value.parse().unwrap());
        headers
    }

    #[test]
    fn lists_are_compared_weakly_and_strongly() {
        let table = [
            ("\"a\"", TagMatch::Yes, TagMatch::Yes),
            ("W/\"a\"", TagMatch::Yes, TagMatch::No),
            ("\"b\", W/\"c\" ,\"a\"", TagMatch::Yes, TagMatch::Yes),
            ("*", TagMatch::Yes, TagMatch::Yes),
            ("\"b\"", TagMatch::No, TagMatch::No),
            ("a", TagMatch::No, TagMatch::No),
            ("\"b", TagMatch::No, TagMatch::No),
            ("\"b\" nonsense, \"a\"", TagMatch::No, TagMatch::No),
        ];
        for (value, by_weak, by_strong) in table {
            let headers = headers(value);
            assert_eq!(weak(&headers, IF_NONE_MATCH, "\"a\""), by_weak, "{value}");
            assert_eq!(
                strong(&headers, IF_NONE_MATCH, "\"a\""),
                by_strong,
                "{value}"
            );
        }
        assert_eq!(
            weak(&HeaderMap::new(), IF_NONE_MATCH, "\"a\""),
            TagMatch::NoHeader
        );
    }
}
