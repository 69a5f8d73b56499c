//! Bodies: at hand, from a stream, or from a producer through a bounded channel.

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
use tokio::task::JoinHandle;

/// A body of known or unknown length. An error of it ends the connection, so that the client sees an incomplete response.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body at hand.
pub fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    whole(Bytes::new())
}

/// A body from a stream. With a `length` (bytes) the response says `Content-Length`, and a stream of another length ends the connection.
pub fn from_stream<S>(stream: S, length: Option<u64>) -> Body
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    Streamed {
        stream: Box::pin(stream),
        left: length,
        failed: None,
        ended: false,
    }
    .boxed_unsync()
}

/// A batch of a blocking producer ends when it holds so many bytes or pieces.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_PIECES: usize = 64;

/// A body from an iterator that may block (on files, on blocks). It is pulled on the blocking threads, batch by batch and one batch
/// ahead of the client, so that a slow client holds no thread. An `Err` or a panic ends the connection.
pub fn from_blocking<I>(pieces: I, length: Option<u64>) -> Body
where
    I: Iterator<Item = io::Result<Bytes>> + Send + 'static,
{
    let state = Pulled {
        ready: VecDeque::new(),
        next: Next::Idle(pieces),
    };
    let pulled = futures_util::stream::unfold(state, |mut state| async move {
        let piece = state.piece().await?;
        Some((piece, state))
    });
    from_stream(pulled, length)
}

struct Pulled<I> {
    ready: VecDeque<io::Result<Bytes>>,
    next: Next<I>,
}

enum Next<I> {
    Idle(I),
    Pulling(JoinHandle<(Vec<io::Result<Bytes>>, Option<I>)>),
    End,
}

impl<I: Iterator<Item = io::Result<Bytes>> + Send + 'static> Pulled<I> {
    async fn piece(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            let pulling = match std::mem::replace(&mut self.next, Next::End) {
                Next::End => return None,
                Next::Idle(pieces) => pull(pieces),
                Next::Pulling(pulling) => pulling,
            };
            match pulling.await {
                Ok((batch, rest)) => {
                    self.ready.extend(batch);
                    self.next = rest.map_or(Next::End, |rest| Next::Pulling(pull(rest)));
                }
                Err(_) => return Some(Err(io::Error::other("the producer panicked"))),
            }
        }
    }
}

fn pull<I>(mut pieces: I) -> JoinHandle<(Vec<io::Result<Bytes>>, Option<I>)>
where
    I: Iterator<Item = io::Result<Bytes>> + Send + 'static,
{
    tokio::task::spawn_blocking(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_PIECES {
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

/// How many pieces wait in a [`channel`].
const QUEUE: usize = 4;

/// A body that a producer (a task, or a blocking thread) fills; it waits when the client reads slowly.
///
/// Only [`Sender::finish`] completes the body: a sender that is dropped, by an error or a panic, ends the connection, and the client
/// sees an incomplete response.
pub fn channel(length: Option<u64>) -> (Sender, Body) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let pieces = futures_util::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Piece::Data(data)) => Some((Ok(data), Some(receiver))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("the body was not finished")), None)),
        }
    });
    (Sender(sender), from_stream(pieces, length))
}

enum Piece {
    Data(Bytes),
    End,
}

/// The producer's end of a [`channel`].
#[derive(Debug)]
pub struct Sender(mpsc::Sender<Piece>);

/// The client is gone; stop producing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

impl From<Gone> for io::Error {
    fn from(gone: Gone) -> Self {
        Self::new(io::ErrorKind::BrokenPipe, gone)
    }
}

impl Sender {
    /// Sends a piece when there is room.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn send(&self, data: Bytes) -> Result<(), Gone> {
        self.0.send(Piece::Data(data)).await.map_err(|_| Gone)
    }

    /// As [`Self::send`], from a thread that may block; panics within async code.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn blocking_send(&self, data: Bytes) -> Result<(), Gone> {
        self.0.blocking_send(Piece::Data(data)).map_err(|_| Gone)
    }

    /// Completes the body.
    pub async fn finish(self) {
        // A client that is gone needs no end.
        let _ = self.0.send(Piece::End).await;
    }

    /// As [`Self::finish`], from a thread that may block.
    pub fn blocking_finish(self) {
        let _ = self.0.blocking_send(Piece::End);
    }

    /// Whether the client is gone already.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

struct Streamed {
    stream: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    left: Option<u64>,
    failed: Option<io::Error>,
    ended: bool,
}

impl Streamed {
    /// Checks a piece against the length that was promised.
    fn count(&mut self, data: &Bytes) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(data.len() as u64)
                .ok_or_else(|| io::Error::other("the body is longer than promised"))?;
        }
        Ok(())
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(error) = self.failed.take() {
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
                None => Err(io::Error::other("the body is shorter than promised")),
            };
            match result {
                Ok(frame) => {
                    self.ended = frame.is_none();
                    return Poll::Ready(frame.map(Ok));
                }
                Err(error) => {
                    // The pause lets what came before reach the client: an error drops what isn't written yet.
                    self.failed = Some(error);
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
