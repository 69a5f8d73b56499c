//! The requests under way of one fetch, as one stream of inputs for the engine.
//!
//! Each is read by a task of its own, so that one thread's work on an answer doesn't hold up the others. A request whose inputs
//! nobody takes is paused: [`QUEUE`] pieces wait, then its task does, and TCP slows the gateway down.

use http::header::CONTENT_TYPE;
use interplanar_core::fetch::{Failure, Input, RequestId};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Pieces of an answer that may wait for the engine.
const QUEUE: usize = 4;

/// See the module. Requests that are dropped are cancelled.
#[derive(Default)]
pub(super) struct Requests {
    running: Vec<Running>,
    /// Where the next poll begins, so that no request starves another.
    turn: usize,
}

struct Running {
    id: RequestId,
    inputs: mpsc::Receiver<Input>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Requests {
    pub(super) fn start(&mut self, id: RequestId, request: reqwest::RequestBuilder) {
        let (sender, inputs) = mpsc::channel(QUEUE);
        let task = tokio::spawn(read(request, sender)).abort_handle();
        self.running.push(Running { id, inputs, task });
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        self.running.retain(|running| running.id != id);
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
            let Some(running) = self.running.get_mut(index) else {
                continue;
            };
            let id = running.id;
            if !wants(id) {
                continue;
            }
            if let Poll::Ready(input) = running.inputs.poll_recv(context) {
                // A task that is gone without a last word panicked.
                let input = input.unwrap_or(Input::Failed(Failure::Io));
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

/// Sends a request and hands on what comes; ends early when nobody listens.
async fn read(request: reqwest::RequestBuilder, sender: mpsc::Sender<Input>) {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return drop(sender.send(Input::Failed(failure(&error))).await),
    };
    let content_type = response.headers().get(CONTENT_TYPE);
    let mut input = Input::Response {
        status: response.status().as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
    };
    loop {
        let over = input.is_last();
        if sender.send(input).await.is_err() || over {
            return;
        }
        input = match response.chunk().await {
            Ok(Some(data)) => Input::Data(data),
            Ok(None) => Input::End,
            Err(error) => Input::Failed(failure(&error)),
        };
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
