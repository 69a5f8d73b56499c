//! Time limits around a connection: heads that trickle in and clients that stop reading.

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

/// Whether a connection is answering a request (then the client owes no bytes) or waits for one.
#[derive(Debug, Default)]
pub(super) struct Phase(AtomicBool);

impl Phase {
    /// A head is complete.
    pub(super) fn answering(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_answering(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same body, after whose end the connection waits for a request again.
    pub(super) fn until_end_of(self: Arc<Self>, body: Body) -> Body {
        Watched { body, phase: self }.boxed_unsync()
    }
}

struct Watched {
    body: Body,
    phase: Arc<Phase>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.phase.0.store(false, Ordering::Relaxed);
    }
}

impl http_body::Body for Watched {
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

/// A timer that runs while something is awaited.
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

    /// `Err` once the time is up; wakes the task then.
    fn check(&mut self, context: &mut Context<'_>, what: &'static str) -> io::Result<()> {
        if self.running && self.sleep.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        Ok(())
    }
}

/// A stream whose reads of a head and whose writes must get on.
pub(super) struct Timed {
    stream: TcpStream,
    phase: Arc<Phase>,
    head: Deadline,
    stall: Deadline,
}

impl Timed {
    pub(super) fn new(
        stream: TcpStream,
        phase: Arc<Phase>,
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

    /// Every way of writing ends here: progress stops the timer, waiting starts it.
    fn written<T>(
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
            .check(context, "the client doesn't read")
            .map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }
}

impl AsyncRead for Timed {
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
                .check(context, "the request doesn't come")
                .map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
            Poll::Ready(result) => {
                if !this.phase.is_answering() && buffer.filled().len() > before {
                    this.head.start();
                    this.head.check(context, "the request doesn't come")?;
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, data);
        self.written(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.written(context, result)
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
