//! Small responses over HTTP: with a size limit, with retries, and with the time for which they may
//! be cached.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL};
use interplanar_core::fetch::small::{PAUSES, TRY_TIMEOUT, fresh_for, is_transient};
use std::time::Duration;

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallResponse {
    /// The status. Never 5xx, 408 or 429.
    pub status: StatusCode,
    /// How long it may be cached, from `Cache-Control` and `Age`. `None` if the server doesn't say.
    pub fresh_for: Option<Duration>,
    /// The body as it was sent, without decompression.
    pub body: Bytes,
}

/// Why a request failed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server didn't answer in time, or not with HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered with a temporary error.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The body is longer than the caller's limit.
    #[error("the response is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Requests `url` with GET and reads at most `limit` bytes. Temporary errors are retried, with
/// three tries in all.
///
/// # Errors
/// The error of the last try.
pub async fn get_small(
    client: &reqwest::Client,
    url: &url::Url,
    limit: usize,
) -> Result<SmallResponse, HttpError> {
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
) -> Result<SmallResponse, HttpError> {
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
    Ok(SmallResponse {
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
