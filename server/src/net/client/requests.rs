//! The requests under way of one fetch, as one stream of inputs for the engine.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use interplanar_core::fetch::{Failure, RequestId};
use std::task::{Context, Poll};

/// What happened to a request.
#[derive(Debug)]
pub(super) enum Input {
    /// The head of the response.
    Response {
        status: u16,
        content_type: Option<String>,
    },
    /// The next piece of the body.
    Data(Bytes),
    /// The body is complete, as far as HTTP knows.
    End,
    /// Nothing more comes.
    Failed(Failure),
}

/// See the module. Requests that are dropped are cancelled, and those that nobody polls are paused by TCP.
#[derive(Default)]
pub(super) struct Requests {
    running: Vec<(RequestId, BoxStream<'static, Input>)>,
    /// Where the next poll begins, so that no request starves another.
    turn: usize,
}

impl Requests {
    pub(super) fn start(
        &mut self,
        client: &reqwest::Client,
        id: RequestId,
        url: &str,
        accept: &'static str,
    ) {
        let request = client.get(url).header(ACCEPT, accept);
        self.running
            .push((id, stream::unfold(State::New(request), step).boxed()));
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        self.running.retain(|(running, _)| *running != id);
    }

    /// The next input of any request that `wants` it; pends forever when there is none.
    pub(super) async fn next(&mut self, wants: impl Fn(RequestId) -> bool) -> (RequestId, Input) {
        std::future::poll_fn(|context| self.poll_next(context, &wants)).await
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        wants: &impl Fn(RequestId) -> bool,
    ) -> Poll<(RequestId, Input)> {
        let count = self.running.len();
        for offset in 0..count {
            let index = (self.turn + offset) % count;
            let Some((id, stream)) = self.running.get_mut(index) else {
                continue;
            };
            let id = *id;
            if !wants(id) {
                continue;
            }
            match stream.poll_next_unpin(context) {
                Poll::Ready(Some(input)) => {
                    self.turn = index + 1;
                    if matches!(input, Input::End | Input::Failed(_)) {
                        self.cancel(id);
                    }
                    return Poll::Ready((id, input));
                }
                // Ended streams are removed with their last input; this is for completeness.
                Poll::Ready(None) => return Poll::Ready((id, Input::End)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

enum State {
    New(reqwest::RequestBuilder),
    Body(reqwest::Response),
    Over,
}

async fn step(state: State) -> Option<(Input, State)> {
    match state {
        State::New(request) => Some(match request.send().await {
            Ok(response) => {
                let content_type = response.headers().get(CONTENT_TYPE);
                let content_type = content_type
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned);
                (
                    Input::Response {
                        status: response.status().as_u16(),
                        content_type,
                    },
                    State::Body(response),
                )
            }
            Err(error) => (Input::Failed(failure(&error)), State::Over),
        }),
        State::Body(mut response) => Some(match response.chunk().await {
            Ok(Some(data)) => (Input::Data(data), State::Body(response)),
            Ok(None) => (Input::End, State::Over),
            Err(error) => (Input::Failed(failure(&error)), State::Over),
        }),
        State::Over => None,
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    tracing::debug!(error = error as &dyn std::error::Error, "request failed");
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Io
    }
}
