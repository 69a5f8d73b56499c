//! A GET request whose body is read in chunks.

use super::body::{GATHER, ResponseBody};
use super::client::{AbortGuard, Client, header};
use super::small::{HttpError, unreachable};
use bytes::Bytes;
use std::future::poll_fn;
use wasm_bindgen::JsCast as _;
use web_sys::Response;

/// A response with a body to read. Dropping it aborts the request.
pub struct OpenedResponse {
    response: Response,
    body: ResponseBody,
    abort: AbortGuard,
}

/// Sends a GET request, and waits for the head of the response as long as the runtime does.
///
/// # Errors
/// [`HttpError::Unreachable`] if the server can't be reached.
pub async fn open(
    client: &Client,
    url: &str,
    accept: Option<&str>,
) -> Result<OpenedResponse, HttpError> {
    let accept = accept.map(|accept| ("Accept", accept));
    let mut sent = client.get(url, accept.as_slice()).map_err(unreachable)?;
    let response: Response = (&mut sent.head)
        .await
        .map_err(unreachable)?
        .unchecked_into();
    Ok(OpenedResponse {
        body: ResponseBody::new(&response),
        response,
        abort: sent.abort,
    })
}

impl OpenedResponse {
    /// Wraps a response that is already here, for example one from the Cache API.
    #[must_use]
    pub fn from_response(response: Response) -> Self {
        Self {
            body: ResponseBody::new(&response),
            response,
            abort: AbortGuard::none(),
        }
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// Returns a header of the response.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.response, name)
    }

    /// Returns the next chunk of the body; none at the end.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] if the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        let chunk = poll_fn(|context| self.body.poll_next(context, GATHER)).await;
        let chunk = chunk.map_err(unreachable)?;
        if chunk.is_none() {
            self.abort.disarm();
        }
        Ok(chunk)
    }
}
