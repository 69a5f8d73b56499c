//! The running requests of one fetch, as one stream of inputs for the engine.
//!
//! Each request has its own task, so that work on one response doesn't delay the others. If the
//! engine doesn't take its inputs, the task stops after [`QUEUE`] chunks, and TCP slows the gateway
//! down.

use crate::task;
use http::header::CONTENT_TYPE;
use interplanar_core::fetch::{Failure, Input, RequestId};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Chunks of a response that may wait for the engine.
const QUEUE: usize = 4;

/// The running requests. Dropping them cancels them. See the module.
#[derive(Default)]
pub(super) struct RunningRequests {
    running: Vec<RunningRequest>,
    /// Where the next poll starts, so that each request gets its turn.
    next_index: usize,
}

struct RunningRequest {
    id: RequestId,
    inputs: mpsc::Receiver<Input>,
    task: AbortHandle,
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RunningRequests {
    pub(super) fn start(&mut self, id: RequestId, request: reqwest::RequestBuilder) {
        let (sender, inputs) = mpsc::channel(QUEUE);
        let task = task::spawn("reading from a gateway", read(request, sender)).abort_handle();
        self.running.push(RunningRequest { id, inputs, task });
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        self.running.retain(|running| running.id != id);
    }

    /// Returns the next input of a request that `wants` it. Waits forever if there is none.
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
            let index = (self.next_index + offset) % count;
            let Some(running) = self.running.get_mut(index) else {
                continue;
            };
            let id = running.id;
            if !wants(id) {
                continue;
            }
            if let Poll::Ready(input) = running.inputs.poll_recv(context) {
                // A task that ended without a last input has panicked.
                let input = input.unwrap_or(Input::Failed(Failure::Io));
                self.next_index = index + 1;
                if input.is_last() {
                    self.cancel(id);
                }
                return Poll::Ready((id, input));
            }
        }
        Poll::Pending
    }
}

/// Sends a request and passes its response on. Ends early when the receiver is dropped.
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
        let is_last = input.is_last();
        if sender.send(input).await.is_err() || is_last {
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
    tracing::debug!(error = error as &dyn std::error::Error, "a request failed");
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Io
    }
}
