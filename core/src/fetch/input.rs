//! What a driver tells of a request, as one value that can wait in a queue.

use super::{Failure, Fetcher, GatewayPool, RequestId};
use alloc::string::String;
use bytes::Bytes;

/// What happened to a request; in this order, and nothing after [`Input::is_last`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The head of the response.
    Response {
        /// Of HTTP.
        status: u16,
        /// The header of that name, where it is text.
        content_type: Option<String>,
    },
    /// The next piece of the body.
    Data(Bytes),
    /// The body is complete, as far as HTTP knows.
    End,
    /// Nothing more comes.
    Failed(Failure),
}

impl Input {
    /// Whether the request is over with it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::End | Self::Failed(_))
    }
}

impl Fetcher {
    /// Tells what happened to a request: [`Fetcher::response`], [`Fetcher::data`], [`Fetcher::end`] or [`Fetcher::failed`].
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
