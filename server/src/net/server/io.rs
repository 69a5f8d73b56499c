//! Time limits of a connection: for slow request heads, and for clients that stop reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::Body;

/// Whether a connection is answering a request or waits for one. While it answers, the client needs
/// to send nothing.
#[derive(Debug, Default)]
pub(super) struct ConnectionPhase(AtomicBool);

impl ConnectionPhase {
    /// Marks that a request head is complete.
    pub(super) fn start_answer(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_answering(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Wraps a body. When it is dropped, the connection waits for a request again.
    pub(super) fn until_end_of(self: Arc<Self>, body: Body) -> Body {
        WatchedBody { body, phase: self }.boxed_unsync()
    }
}

struct WatchedBody {
    body: Body,
    phase: Arc<ConnectionPhase>,
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.phase.0.store(false, Ordering::Relaxed);
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A timer that runs while the connection waits for something.
struct Deadline {
    after: Duration,
    sleep: Pin<Box<Sleep>>,
    running: bool,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        Self {
            after,
            sleep: Box::pin(sleep_until(Instant::now())),
            running: false,
        }
    }

    fn start(&mut self) {
        if !self.running {
            self.running = true;
            self.sleep.as_mut().reset(Instant::now() + self.after);
        }
    }

    fn stop(&mut self) {
        self.running = false;
    }

    /// Returns an error when the time is over. Wakes the task then.
    fn check(&mut self, context: &mut Context<'_>, what: &'static str) -> io::Result<()> {
        if self.running && self.sleep.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        Ok(())
    }
}

/// A stream with time limits for reading a head and for writing.
pub(super) struct TimedStream {
    stream: TcpStream,
    phase: Arc<ConnectionPhase>,
    head: Deadline,
    stall: Deadline,
}

impl TimedStream {
    pub(super) fn new(
        stream: TcpStream,
        phase: Arc<ConnectionPhase>,
        head: Duration,
        stall: Duration,
    ) -> Self {
        Self {
            stream,
            phase,
            head: Deadline::new(head),
            stall: Deadline::new(stall),
        }
    }

    /// Called with the result of each write. Progress stops the timer; waiting starts it.
    fn after_write<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall.stop();
            return result;
        }
        self.stall.start();
        self.stall
            .check(context, "the client stopped reading")
            .map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.phase.is_answering() {
            this.head.stop();
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => this
                .head
                .check(context, "the request head took too long")
                .map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
            Poll::Ready(result) => {
                if !this.phase.is_answering() && buffer.filled().len() > before {
                    this.head.start();
                    this.head.check(context, "the request head took too long")?;
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, data);
        self.after_write(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.after_write(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        Poll::Ready(result)
    }
}
