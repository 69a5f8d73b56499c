//! Small things over HTTP: bounded, with retries, and with the time that their sender lets them be kept.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL};
use interplanar_core::fetch::small::{PAUSES, TRY_TIMEOUT, fresh_for, is_transient};
use std::time::Duration;

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

/// GETs `url` whole, at most `limit` bytes of it; what may pass is tried three times.
///
/// # Errors
/// The last try's.
pub async fn get_small(
    client: &reqwest::Client,
    url: &url::Url,
    limit: usize,
) -> Result<Small, HttpError> {
    for pause in PAUSES {
        match get_once(client, url, limit).await {
            Err(HttpError::Unreachable(_) | HttpError::Status(_)) => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
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
    if is_transient(status.as_u16()) {
        return Err(HttpError::Status(status));
    }
    let headers = response.headers();
    let control = headers.get_all(CACHE_CONTROL).iter();
    let control = control.filter_map(|value| value.to_str().ok());
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let fresh_for = fresh_for(control, age);
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
