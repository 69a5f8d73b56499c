//! Small things over HTTP: bounded, with retries, and with the time that their sender lets them be kept.

use super::body::{Body, GATHER};
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

/// A response that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Small {
    /// Its status; any but 5xx, 408 and 429.
    pub status: u16,
    /// How long it may be kept, by its `Cache-Control` and `Age`; none where the sender says nothing.
    pub fresh_for: Option<Duration>,
    /// Its body, as the runtime hands it out.
    pub body: Bytes,
}

/// Why a request brought nothing usable.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server didn't answer, or broke off; the runtime's own words.
    #[error("{0}")]
    Unreachable(String),
    /// The server didn't answer in time.
    #[error("no answer within {} seconds", TRY_TIMEOUT.as_secs())]
    Timeout,
    /// The server answers with an error that may pass.
    #[error("the server answers {0}")]
    Status(u16),
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
pub async fn get_small(client: &Client, url: &str, limit: usize) -> Result<Small, HttpError> {
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

async fn try_once(client: &Client, url: &str, limit: usize) -> Result<Small, HttpError> {
    let get = pin!(get_once(client, url, limit));
    match select(get, pin!(sleep(TRY_TIMEOUT))).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(HttpError::Timeout),
    }
}

async fn get_once(client: &Client, url: &str, limit: usize) -> Result<Small, HttpError> {
    // Dropped with this function: what is not read to its end is aborted.
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
    let mut reader = Body::new(&response);
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
    Ok(Small {
        status,
        fresh_for: fresh_for(control.as_deref(), age.as_deref()),
        body: body.freeze(),
    })
}

/// What the runtime says of an error, with its cause where it tells one (Node does).
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
