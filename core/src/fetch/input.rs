//! A driver's report about a request, as one value that can wait in a queue.

use super::{Failure, Fetcher, GatewayPool, RequestId};
use alloc::string::String;
use bytes::Bytes;

/// What happened to a request. Reports come in the order of the variants; none follows
/// [`Input::is_last`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The head of the response.
    Response {
        /// The HTTP status.
        status: u16,
        /// The `Content-Type` header, if it is text.
        content_type: Option<String>,
    },
    /// The next piece of the body.
    Data(Bytes),
    /// The body is complete, according to HTTP.
    End,
    /// The request failed.
    Failed(Failure),
}

impl Input {
    /// Whether no other report follows for this request.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::End | Self::Failed(_))
    }
}

impl Fetcher {
    /// Reports what happened to a request, as [`Fetcher::response`], [`Fetcher::data`],
    /// [`Fetcher::end`] or [`Fetcher::failed`] do.
    pub fn input(&mut self, id: RequestId, input: Input, pool: &mut GatewayPool, now_ms: u64) {
        match input {
            Input::Response {
                status,
                content_type,
            } => self.response(id, status, content_type.as_deref(), pool, now_ms),
            Input::Data(data) => self.data(id, data, pool, now_ms),
            Input::End => self.end(id, pool, now_ms),
            Input::Failed(failure) => self.failed(id, failure, pool, now_ms),
        }
    }
}
