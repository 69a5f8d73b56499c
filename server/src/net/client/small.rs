//! Small things over HTTP: bounded, with retries, and with the time that their sender lets them be kept.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL};
use std::time::Duration;

const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// One try, from the first byte sent to the last byte received.
const TRY_TIMEOUT: Duration = Duration::from_secs(15);

/// A response that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Small {
    /// Its status; any but 5xx, 408 and 429.
    pub status: StatusCode,
    /// How long it may be kept, by its `Cache-Control` and `Age`; none where the sender says nothing.
    pub fresh_for: Option<Duration>,
    /// Its body, decoded by nobody.
    pub body: Bytes,
}

/// Why a request brought nothing usable.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server didn't answer in time, or not in HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// The server answers with an error that may pass.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// The body is longer than the caller's limit.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// Bytes.
        limit: usize,
    },
}

/// Whether a status says "try again later".
#[must_use]
pub fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

/// GETs `url` whole, at most `limit` bytes of it; what may pass is tried three times.
///
/// # Errors
/// The last try's.
pub async fn get_small(
    client: &reqwest::Client,
    url: &url::Url,
    limit: usize,
) -> Result<Small, HttpError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match get_once(client, url, limit).await {
            Err(HttpError::Unreachable(_) | HttpError::Status(_)) => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause *= 4;
    }
    get_once(client, url, limit).await
}

async fn get_once(
    client: &reqwest::Client,
    url: &url::Url,
    limit: usize,
) -> Result<Small, HttpError> {
    let mut response = client
        .get(url.clone())
        .timeout(TRY_TIMEOUT)
        .send()
        .await
        .map_err(unreachable)?;
    let status = response.status();
    if is_transient(status) {
        return Err(HttpError::Status(status));
    }
    let fresh_for = fresh_for(response.headers());
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > limit {
            return Err(HttpError::TooLong { limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(Small {
        status,
        fresh_for,
        body: body.freeze(),
    })
}

fn unreachable(error: reqwest::Error) -> HttpError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    HttpError::Unreachable(text)
}

/// `max-age` (or zero for `no-store` and `no-cache`) less the age that the response has already.
fn fresh_for(headers: &http::HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    let values = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            max_age = seconds.trim().trim_matches('"').parse().ok();
        }
    }
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0);
    Some(Duration::from_secs(u64::saturating_sub(max_age?, age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_kept_is_what_the_sender_says_less_its_age() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<u64>);
        let table: [Row<'_>; 8] = [
            (&[], None),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "max-age=300")], Some(300)),
            (&[("cache-control", "public, Max-Age = \"300\"")], Some(300)),
            (
                &[("cache-control", "max-age=300"), ("age", "100")],
                Some(200),
            ),
            (&[("cache-control", "max-age=300"), ("age", "301")], Some(0)),
            (
                &[
                    ("cache-control", "max-age=300"),
                    ("cache-control", "no-store"),
                ],
                Some(0),
            ),
            (&[("cache-control", "max-age=soon")], None),
        ];
        for (lines, expected) in table {
            let mut headers = http::HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(
                fresh_for(&headers),
                expected.map(Duration::from_secs),
                "{lines:?}"
            );
        }
    }
}
