//! Fetches small files over HTTP, with a size limit, retries, and the time for which they may be
//! cached.

use super::body::{GATHER, ResponseBody};
use super::client::{Client, header};
use super::time::sleep;
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use interplanar_core::fetch::small::{PAUSES, TRY_TIMEOUT, fresh_for, is_transient};
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::Response;

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallResponse {
    /// Status; never 5xx, 408 or 429.
    pub status: u16,
    /// How long it may be cached, by `Cache-Control` and `Age`; none without these headers.
    pub fresh_for: Option<Duration>,
    /// Body, as the runtime decodes it.
    pub body: Bytes,
}

/// Why a request failed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server didn't answer, or the connection broke. The text is the runtime's message.
    #[error("{0}")]
    Unreachable(String),
    /// The server didn't answer in time.
    #[error("no answer within {} seconds", TRY_TIMEOUT.as_secs())]
    Timeout,
    /// The server answered with an error that may be temporary.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The body is longer than the caller's limit.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// Limit in bytes.
        limit: usize,
    },
}

/// Fetches `url` completely, at most `limit` bytes. It tries three times if the error may be
/// temporary.
///
/// # Errors
/// The error of the last try.
pub async fn get_small(
    client: &Client,
    url: &str,
    limit: usize,
) -> Result<SmallResponse, HttpError> {
    for pause in PAUSES {
        match try_once(client, url, limit).await {
            Err(HttpError::TooLong { limit }) => return Err(HttpError::TooLong { limit }),
            Ok(small) => return Ok(small),
            Err(_) => {}
        }
        sleep(pause).await;
    }
    try_once(client, url, limit).await
}

async fn try_once(client: &Client, url: &str, limit: usize) -> Result<SmallResponse, HttpError> {
    let get = pin!(get_once(client, url, limit));
    match select(get, pin!(sleep(TRY_TIMEOUT))).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(HttpError::Timeout),
    }
}

async fn get_once(client: &Client, url: &str, limit: usize) -> Result<SmallResponse, HttpError> {
    // Returning early drops this, which aborts the request.
    let mut sent = client.get(url, &[]).map_err(unreachable)?;
    let response: Response = (&mut sent.head)
        .await
        .map_err(unreachable)?
        .unchecked_into();
    let status = response.status();
    if is_transient(status) {
        return Err(HttpError::Status(status));
    }
    let [control, age] = ["Cache-Control", "Age"].map(|name| header(&response, name));
    let mut reader = ResponseBody::new(&response);
    let mut body = BytesMut::new();
    while let Some(piece) = poll_fn(|context| reader.poll_next(context, GATHER))
        .await
        .map_err(unreachable)?
    {
        if body.len().saturating_add(piece.len()) > limit {
            return Err(HttpError::TooLong { limit });
        }
        body.extend_from_slice(&piece);
    }
    sent.abort.disarm();
    Ok(SmallResponse {
        status,
        fresh_for: fresh_for(control.as_deref(), age.as_deref()),
        body: body.freeze(),
    })
}

/// Takes the message from the runtime's error, and from its cause if there is one (in Node).
pub(super) fn unreachable(error: JsValue) -> HttpError {
    let Some(error) = error.dyn_ref::<js_sys::Error>() else {
        return HttpError::Unreachable(String::from("the request failed"));
    };
    let mut text = String::from(error.message());
    if let Some(cause) = error.cause().dyn_ref::<js_sys::Error>() {
        text = format!("{text}: {}", String::from(cause.message()));
    }
    HttpError::Unreachable(text)
}
