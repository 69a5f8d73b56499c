//! Entity tags: the lists in `If-None-Match`, `If-Match` and `If-Range`, and how they compare (RFC 9110, 8.8.3).

use http::HeaderMap;
use http::header::AsHeaderName;

/// What a list of entity tags says of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// There is no such header.
    NoHeader,
    Yes,
    No,
}

/// Whether the list in a header holds `etag` by weak comparison.
pub(crate) fn weak(headers: &HeaderMap, name: impl AsHeaderName, etag: &str) -> Match {
    compare(headers, name, |listed| opaque(listed) == opaque(etag))
}

/// Whether the list in a header holds `etag` by strong comparison.
pub(crate) fn strong(headers: &HeaderMap, name: impl AsHeaderName, etag: &str) -> Match {
    compare(headers, name, |listed| {
        listed == etag && listed.starts_with('"')
    })
}

fn compare(headers: &HeaderMap, name: impl AsHeaderName, same: impl Fn(&str) -> bool) -> Match {
    let Some(header) = headers.get(name).and_then(|value| value.to_str().ok()) else {
        return Match::NoHeader;
    };
    if header.is_empty() {
        return Match::NoHeader;
    }
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.starts_with('*') {
            return Match::Yes;
        }
        let Some((etag, behind)) = first(rest) else {
            return Match::No;
        };
        if same(etag) {
            return Match::Yes;
        }
        rest = behind;
    }
}

/// The entity tag that a text begins with, and what follows.
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
            ("\"a\"", Match::Yes, Match::Yes),
            ("W/\"a\"", Match::Yes, Match::No),
            ("\"b\", W/\"c\" ,\"a\"", Match::Yes, Match::Yes),
            ("*", Match::Yes, Match::Yes),
            ("\"b\"", Match::No, Match::No),
            ("a", Match::No, Match::No),
            ("\"b", Match::No, Match::No),
            ("\"b\" nonsense, \"a\"", Match::No, Match::No),
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
            Match::NoHeader
        );
    }
}
