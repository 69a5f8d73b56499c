//! Conditions, ranges and their headers, for content of known size.

use std::ops::Range;

use http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use http::{HeaderMap, StatusCode};

use crate::etag::{TagMatch, strong, weak};
use crate::range::{self, ByteRange};
use crate::refusal::Refusal;
use crate::{Answer, Body};

/// The content type of plain text answers.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The bytes to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    Whole,
    Part(Range<u64>),
    /// Send only the status.
    Status(StatusCode),
}

/// Evaluates the conditions and the range of a request for content with this ETag and size. An
/// invalid range is a 416. Of several ranges the first is sent, or the whole content if together
/// they are longer.
pub(crate) fn plan(headers: &HeaderMap, etag: &str, size: u64) -> Result<Plan, Refusal> {
    if strong(headers, IF_MATCH, etag) == TagMatch::No {
        return Ok(Plan::Status(StatusCode::PRECONDITION_FAILED));
    }
    if weak(headers, IF_NONE_MATCH, etag) == TagMatch::Yes {
        return Ok(Plan::Status(StatusCode::NOT_MODIFIED));
    }
    let Some(header) = headers.get(RANGE) else {
        return Ok(Plan::Whole);
    };
    let ranges = match header.to_str().map(range::parse) {
        Ok(Ok(ranges)) => ranges,
        Ok(Err(range::RangeError::Empty)) => return Ok(Plan::Whole),
        Ok(Err(_)) | Err(_) => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return Err(Refusal::new(status, "invalid range"));
        }
    };
    if strong(headers, IF_RANGE, etag) == TagMatch::No || size == 0 {
        return Ok(Plan::Whole);
    }
    choose(&ranges, size)
}

fn choose(ranges: &[ByteRange], size: u64) -> Result<Plan, Refusal> {
    let within: Vec<Range<u64>> = ranges
        .iter()
        .filter_map(|range| range.resolve(size))
        .collect();
    let total: u64 = within.iter().map(|part| part.end - part.start).sum();
    match within.first() {
        Some(_) if total > size => Ok(Plan::Whole),
        Some(first) => Ok(Plan::Part(first.clone())),
        None => Err(unsatisfiable(size)),
    }
}

/// Returns a 400 for an invalid `Range` header, and ignores everything else.
pub(crate) fn check_range(headers: &HeaderMap) -> Result<(), Refusal> {
    let parsed = headers
        .get(RANGE)
        .map(|header| header.to_str().map(range::parse));
    match parsed {
        None | Some(Ok(Ok(_) | Err(range::RangeError::Empty))) => Ok(()),
        Some(Ok(Err(_)) | Err(_)) => Err(Refusal::bad_request("invalid range")),
    }
}

fn unsatisfiable(size: u64) -> Refusal {
    let refusal = Refusal::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "the range is outside the content",
    );
    match HeaderValue::from_str(&format!("bytes */{size}")) {
        Ok(value) => refusal.with(CONTENT_RANGE, value),
        Err(_) => refusal,
    }
}

/// Returns the response for a plan. `body` creates the body of a range.
pub(crate) fn respond(
    mut headers: HeaderMap,
    size: u64,
    plan: Plan,
    body: impl FnOnce(Range<u64>) -> Body,
) -> Answer {
    let (status, part) = match plan {
        Plan::Status(status) => {
            headers.remove(CONTENT_TYPE);
            return build(status, headers, Body::Empty);
        }
        Plan::Whole => (StatusCode::OK, 0..size),
        Plan::Part(part) => {
            if let Ok(value) = HeaderValue::from_str(&range::content_range(&part, size)) {
                headers.insert(CONTENT_RANGE, value);
            }
            (StatusCode::PARTIAL_CONTENT, part)
        }
    };
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    build(status, headers, body(part))
}

/// Builds a response.
pub(crate) fn build(status: StatusCode, headers: HeaderMap, body: Body) -> Answer {
    let mut response = Answer::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Returns the ETag in `headers` as text.
pub(crate) fn etag_of(headers: &HeaderMap) -> String {
    let etag = headers.get(ETAG).and_then(|value| value.to_str().ok());
    etag.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn conditions_and_ranges() {
        let status = |status| Ok(Plan::Status(status));
        let table: [(&[(&str, &str)], _); 10] = [
            (&[], Ok(Plan::Whole)),
            (
                &[("if-none-match", "W/\"t\"")],
                status(StatusCode::NOT_MODIFIED),
            ),
            (
                &[("if-match", "\"other\"")],
                status(StatusCode::PRECONDITION_FAILED),
            ),
            (&[("range", "bytes=2-3")], Ok(Plan::Part(2..4))),
            (&[("range", "bytes=-3")], Ok(Plan::Part(7..10))),
            (&[("range", "bytes=0-1,4-5")], Ok(Plan::Part(0..2))),
            (&[("range", "bytes=0-8,1-8")], Ok(Plan::Whole)),
            (
                &[("range", "bytes=2-3"), ("if-range", "\"t\"")],
                Ok(Plan::Part(2..4)),
            ),
            (
                &[("range", "bytes=2-3"), ("if-range", "\"other\"")],
                Ok(Plan::Whole),
            ),
            (&[("range", "bytes=99-,1-1")], Ok(Plan::Part(1..2))),
        ];
        for (headers, expected) in table {
            let planned = plan(&asked(headers), "\"t\"", 10);
            assert_eq!(planned, expected, "{headers:?}");
        }
        for (header, checked) in [("bytes=9-5", false), ("bytes=10-", true)] {
            let headers = asked(&[("range", header)]);
            assert_eq!(check_range(&headers).is_ok(), checked, "{header}");
            let refusal = plan(&headers, "\"t\"", 10).unwrap_err();
            assert_eq!(
                refusal.status,
                StatusCode::RANGE_NOT_SATISFIABLE,
                "{header}"
            );
        }
        assert_eq!(
            plan(&asked(&[("range", "bytes=5-")]), "\"t\"", 0),
            Ok(Plan::Whole)
        );
    }
}
