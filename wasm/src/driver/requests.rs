//! The running requests of one fetch. They produce the inputs of the fetch engine.

use super::body::ResponseBody;
use super::client::{AbortGuard, Client, PendingRequest, header};
use interplanar_core::fetch::{ByteRange, Failure, Input, RequestId};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasm_bindgen::JsCast as _;
use web_sys::Response;

/// The running requests. Dropping one aborts it; one that isn't polled is paused.
#[derive(Default)]
pub(super) struct Requests {
    running: Vec<(RequestId, Request)>,
    /// Index at which the next poll starts, so that all requests get their turn.
    next: usize,
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
            Ok(sent) => Request::Pending(sent),
            Err(_) => Request::Refused,
        };
        self.running.push((id, request));
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        self.running.retain(|(running, _)| *running != id);
    }

    /// Returns the next input. `wants` says how many bytes the engine wants of a request; none
    /// pauses it.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        wants: impl Fn(RequestId) -> Option<usize>,
    ) -> Poll<(RequestId, Input)> {
        let count = self.running.len();
        for offset in 0..count {
            let index = (self.next + offset) % count;
            let Some((id, request)) = self.running.get_mut(index) else {
                continue;
            };
            let id = *id;
            let Some(best) = wants(id) else {
                continue;
            };
            if let Poll::Ready(input) = request.poll_next(context, best) {
                self.next = index + 1;
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
    /// The runtime refused to send it.
    Refused,
    Pending(PendingRequest),
    Answered(ResponseBody, AbortGuard),
    Ended,
}

impl Request {
    fn poll_next(&mut self, context: &mut Context<'_>, best: usize) -> Poll<Input> {
        Poll::Ready(match self {
            Self::Pending(sent) => match ready!(Pin::new(&mut sent.head).poll(context)) {
                Ok(response) => self.answered(&response.unchecked_into()),
                // Scripts don't see the reason: DNS, routing, the certificate, or a missing CORS
                // header.
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
            Self::Refused | Self::Ended => Input::Failed(Failure::Connect),
        })
    }

    fn answered(&mut self, response: &Response) -> Input {
        if let Self::Pending(sent) = std::mem::replace(self, Self::Ended) {
            *self = Self::Answered(ResponseBody::new(response), sent.abort);
        }
        Input::Response {
            status: response.status(),
            content_type: header(response, "Content-Type"),
        }
    }

    fn failed(&mut self, failure: Failure) -> Input {
        match self {
            Self::Pending(PendingRequest { abort, .. }) | Self::Answered(_, abort) => {
                abort.disarm()
            }
            Self::Refused | Self::Ended => {}
        }
        Input::Failed(failure)
    }
}
