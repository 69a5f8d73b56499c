//! The requests under way of one fetch, as one stream of inputs for the engine.

use super::body::Body;
use super::client::{Abort, Client, Sent, header};
use interplanar_core::fetch::{ByteRange, Failure, Input, RequestId};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasm_bindgen::JsCast as _;
use web_sys::Response;

/// See the module. Requests that are dropped are aborted, and those that nobody polls are paused.
#[derive(Default)]
pub(super) struct Requests {
    running: Vec<(RequestId, Request)>,
    /// Where the next poll begins, so that no request starves another.
    turn: usize,
}

impl Requests {
    pub(super) fn start(
        &mut self,
        client: &Client,
        id: RequestId,
        url: &str,
        accept: &str,
        range: Option<ByteRange>,
    ) {
        let range = range.map(|range| format!("bytes={range}"));
        let headers = [("Accept", Some(accept)), ("Range", range.as_deref())];
        let headers = headers.into_iter();
        let headers: Vec<(&str, &str)> = headers
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let request = match client.get(url, &headers) {
            Ok(sent) => Request::Sent(sent),
            Err(_) => Request::Refused,
        };
        self.running.push((id, request));
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        self.running.retain(|(running, _)| *running != id);
    }

    /// The next input of any request that `wants` so many bytes of it, or none.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        wants: impl Fn(RequestId) -> Option<usize>,
    ) -> Poll<(RequestId, Input)> {
        let count = self.running.len();
        for offset in 0..count {
            let index = (self.turn + offset) % count;
            let Some((id, request)) = self.running.get_mut(index) else {
                continue;
            };
            let id = *id;
            let Some(best) = wants(id) else {
                continue;
            };
            if let Poll::Ready(input) = request.poll_next(context, best) {
                self.turn = index + 1;
                if input.is_last() {
                    self.cancel(id);
                }
                return Poll::Ready((id, input));
            }
        }
        Poll::Pending
    }
}

enum Request {
    /// The runtime would not even send it.
    Refused,
    Sent(Sent),
    Answered(Body, Abort),
    Over,
}

impl Request {
    fn poll_next(&mut self, context: &mut Context<'_>, best: usize) -> Poll<Input> {
        Poll::Ready(match self {
            Self::Sent(sent) => match ready!(Pin::new(&mut sent.head).poll(context)) {
                Ok(response) => self.answered(&response.unchecked_into()),
                // What went wrong is hidden from scripts: a name, a route, a certificate, or a missing CORS header.
                Err(_) => self.failed(Failure::Connect),
            },
            Self::Answered(body, abort) => match ready!(body.poll_next(context, best)) {
                Ok(Some(data)) => Input::Data(data),
                Ok(None) => {
                    abort.disarm();
                    Input::End
                }
                Err(_) => self.failed(Failure::Io),
            },
            Self::Refused | Self::Over => Input::Failed(Failure::Connect),
        })
    }

    fn answered(&mut self, response: &Response) -> Input {
        if let Self::Sent(sent) = std::mem::replace(self, Self::Over) {
            *self = Self::Answered(Body::new(response), sent.abort);
        }
        Input::Response {
            status: response.status(),
            content_type: header(response, "Content-Type"),
        }
    }

    fn failed(&mut self, failure: Failure) -> Input {
        match self {
            Self::Sent(Sent { abort, .. }) | Self::Answered(_, abort) => abort.disarm(),
            Self::Refused | Self::Over => {}
        }
        Input::Failed(failure)
    }
}
