//! Bodies of responses: from memory, from a stream, or from a producer through a bounded channel.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;

use crate::task::{self, Task};

/// A body of known or unknown length. If it returns an error, the connection is closed and the
/// client sees an incomplete response.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Returns a body that is in memory.
pub fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Returns an empty body.
pub fn empty() -> Body {
    whole(Bytes::new())
}

/// Returns a body from a stream. With `length`, in bytes, the response has a `Content-Length`; if
/// the stream has another length, the connection is closed.
pub fn from_stream<S>(stream: S, length: Option<u64>) -> Body
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    StreamedBody {
        stream: Box::pin(stream),
        left: length,
        error: None,
        ended: false,
    }
    .boxed_unsync()
}

/// Maximum bytes and chunks in a batch of a blocking producer.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_CHUNKS: usize = 64;

/// Returns a body from an iterator that may block, on files or blocks. Blocking threads run it
/// batch by batch, at most one batch ahead of the client, so a slow client occupies no thread. An
/// `Err` or a panic closes the connection.
pub fn from_blocking<I>(pieces: I, length: Option<u64>) -> Body
where
    I: Iterator<Item = io::Result<Bytes>> + Send + 'static,
{
    let source = BlockingSource {
        ready: VecDeque::new(),
        next: ProducerState::Idle(pieces),
    };
    let stream = futures_util::stream::unfold(source, |mut source| async move {
        let piece = source.piece().await?;
        Some((piece, source))
    });
    from_stream(stream, length)
}

struct BlockingSource<I> {
    ready: VecDeque<io::Result<Bytes>>,
    next: ProducerState<I>,
}

enum ProducerState<I> {
    Idle(I),
    Running(Task<(Vec<io::Result<Bytes>>, Option<I>)>),
    End,
}

impl<I: Iterator<Item = io::Result<Bytes>> + Send + 'static> BlockingSource<I> {
    async fn piece(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            let task = match std::mem::replace(&mut self.next, ProducerState::End) {
                ProducerState::End => return None,
                ProducerState::Idle(pieces) => run_batch(pieces),
                ProducerState::Running(task) => task,
            };
            match task.await {
                Ok((batch, rest)) => {
                    self.ready.extend(batch);
                    self.next = rest.map_or(ProducerState::End, |rest| {
                        ProducerState::Running(run_batch(rest))
                    });
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

fn run_batch<I>(mut pieces: I) -> Task<(Vec<io::Result<Bytes>>, Option<I>)>
where
    I: Iterator<Item = io::Result<Bytes>> + Send + 'static,
{
    task::blocking("sending a response", move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_CHUNKS {
            let Some(piece) = pieces.next() else {
                return (batch, None);
            };
            let failed = piece.is_err();
            bytes += piece.as_ref().map_or(0, Bytes::len);
            batch.push(piece);
            if failed {
                return (batch, None);
            }
        }
        (batch, Some(pieces))
    })
}

/// Chunks that may wait in a [`channel`].
const QUEUE: usize = 4;

/// Returns a body and a sender for its producer, a task or a blocking thread. The sender waits when
/// the client reads slowly.
///
/// Only [`Sender::finish`] completes the body. If the sender is dropped without it, by an error or
/// a panic, the connection is closed and the client sees an incomplete response.
pub fn channel(length: Option<u64>) -> (Sender, Body) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let pieces = futures_util::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(ChannelMessage::Data(data)) => Some((Ok(data), Some(receiver))),
            Some(ChannelMessage::End) => None,
            None => Some((Err(io::Error::other("the body was not finished")), None)),
        }
    });
    (Sender(sender), from_stream(pieces, length))
}

enum ChannelMessage {
    Data(Bytes),
    End,
}

/// The producer's side of a [`channel`].
#[derive(Debug)]
pub struct Sender(mpsc::Sender<ChannelMessage>);

/// The client has disconnected. The producer should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has disconnected")]
pub struct Gone;

impl From<Gone> for io::Error {
    fn from(gone: Gone) -> Self {
        Self::new(io::ErrorKind::BrokenPipe, gone)
    }
}

impl Sender {
    /// Sends a chunk. Waits while the channel is full.
    ///
    /// # Errors
    /// [`Gone`] if the client has disconnected.
    pub async fn send(&self, data: Bytes) -> Result<(), Gone> {
        self.0
            .send(ChannelMessage::Data(data))
            .await
            .map_err(|_| Gone)
    }

    /// Like [`Self::send`], from a blocking thread. Panics in async code.
    ///
    /// # Errors
    /// [`Gone`] if the client has disconnected.
    pub fn blocking_send(&self, data: Bytes) -> Result<(), Gone> {
        self.0
            .blocking_send(ChannelMessage::Data(data))
            .map_err(|_| Gone)
    }

    /// Completes the body.
    pub async fn finish(self) {
        // If the client has disconnected, there is nothing to complete.
        let _ = self.0.send(ChannelMessage::End).await;
    }

    /// Like [`Self::finish`], from a blocking thread.
    pub fn blocking_finish(self) {
        let _ = self.0.blocking_send(ChannelMessage::End);
    }

    /// Returns whether the client has disconnected.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

struct StreamedBody {
    stream: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    left: Option<u64>,
    error: Option<io::Error>,
    ended: bool,
}

impl StreamedBody {
    /// Checks a chunk against the announced length.
    fn count(&mut self, data: &Bytes) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(data.len() as u64)
                .ok_or_else(|| io::Error::other("the body is longer than its Content-Length"))?;
        }
        Ok(())
    }
}

impl http_body::Body for StreamedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(error) = self.error.take() {
                self.ended = true;
                return Poll::Ready(Some(Err(error)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let item = match self.stream.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(item) => item,
            };
            let result = match item {
                // An empty chunk would end a chunked body.
                Some(Ok(data)) if data.is_empty() => continue,
                Some(Ok(data)) => self.count(&data).map(|()| Some(Frame::data(data))),
                Some(Err(error)) => Err(error),
                None if self.left.is_none_or(|left| left == 0) => Ok(None),
                None => Err(io::Error::other(
                    "the body is shorter than its Content-Length",
                )),
            };
            match result {
                Ok(frame) => {
                    self.ended = frame.is_none();
                    return Poll::Ready(frame.map(Ok));
                }
                Err(error) => {
                    // An error discards unwritten data, so wait once to let earlier data reach the
                    // client.
                    self.error = Some(error);
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
