//! A GET whose body is read as it comes.

use super::body::{Body, GATHER};
use super::client::{Abort, Client, header};
use super::small::{HttpError, unreachable};
use bytes::Bytes;
use std::future::poll_fn;
use wasm_bindgen::JsCast as _;
use web_sys::Response;

/// An answer whose body has not been read. Dropping it aborts the request.
pub struct Opened {
    response: Response,
    body: Body,
    abort: Abort,
}

/// GETs `url`, until the head of the answer is there. Nobody waits for longer than the runtime does.
///
/// # Errors
/// [`HttpError::Unreachable`].
pub async fn open(client: &Client, url: &str, accept: Option<&str>) -> Result<Opened, HttpError> {
    let accept = accept.map(|accept| ("Accept", accept));
    let mut sent = client.get(url, accept.as_slice()).map_err(unreachable)?;
    let response: Response = (&mut sent.head)
        .await
        .map_err(unreachable)?
        .unchecked_into();
    Ok(Opened {
        body: Body::new(&response),
        response,
        abort: sent.abort,
    })
}

impl Opened {
    /// An answer that is at hand, as those of the Cache API are.
    #[must_use]
    pub fn at_hand(response: Response) -> Self {
        Self {
            body: Body::new(&response),
            response,
            abort: Abort::none(),
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// A header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.response, name)
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        let piece = poll_fn(|context| self.body.poll_next(context, GATHER)).await;
        let piece = piece.map_err(unreachable)?;
        if piece.is_none() {
            self.abort.disarm();
        }
        Ok(piece)
    }
}
