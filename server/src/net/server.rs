//! The HTTP/1 server loop that `publish`, `proxy` and the gateway share.
//!
//! A [`Handler`] gets the head of each request and returns a response. [`Limits`] bounds everything
//! that a client could use to block the process: the size of a head, the time to send it, idle
//! connections, clients that stop reading, and the number of connections. Request bodies are never
//! read. For `HEAD`, handlers answer like for `GET`; the server drops the body and keeps its
//! length. If a handler panics, the response is a 500.
//!
//! ```no_run
//! use interplanar_server::net::server::{self, Handler, Limits, Request, Response};
//! use futures_util::future::BoxFuture;
//! use std::sync::Arc;
//!
//! struct Hello;
//! impl Handler for Hello {
//!     fn handle(&self, _: Request) -> BoxFuture<'_, Response> {
//!         Box::pin(async { server::full(http::StatusCode::OK, "text/plain", "hello\n") })
//!     }
//! }
//! # async fn example() -> std::io::Result<()> {
//! let listeners = server::bind(&["127.0.0.1:0".parse().unwrap()]).await?;
//! println!("http://{}", listeners[0].local_addr()?);
//! let shutdown = server::Shutdown::new(); // .cancel() from a signal
//! server::serve_all(listeners, Arc::new(Hello), shutdown, Limits::default()).await
//! # }
//! ```

mod body;
mod io;
mod respond;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::task;
pub use body::{Body, Gone, Sender, channel, empty, from_blocking, from_stream, whole};
pub use respond::{full, method_not_allowed, not_found, stream, text};

/// The head of a request. Its extensions contain a [`Peer`].
pub type Request = http::Request<()>;
/// A response; see [`full`], [`stream`] and [`channel`] for its body.
pub type Response = http::Response<Body>;
/// Stops a server when cancelled. Clones are cancelled together.
pub type Shutdown = tokio_util::sync::CancellationToken;

/// The address of the client, in the extensions of a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Answers requests, many at once.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request of any method. For `HEAD`, return the response to `GET`; the server
    /// drops its body.
    fn handle(&self, request: Request) -> BoxFuture<'_, Response>;
}

/// Limits for clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum bytes of a request line with its headers.
    pub head_bytes: usize,
    /// Maximum number of header lines in a request.
    pub headers: usize,
    /// Maximum time from the first byte of a head to its last.
    pub head_time: Duration,
    /// Maximum time between two requests of a connection, and before the first.
    pub idle_time: Duration,
    /// Time after which a client that reads nothing of a response is disconnected.
    pub stall_time: Duration,
    /// Maximum number of open connections. Further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Time that a shutdown waits for running responses.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            headers: 100,
            head_time: Duration::from_secs(20),
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_secs(60),
            connections: 4096,
            grace: Duration::from_secs(10),
        }
    }
}

/// Listens on every address. Port 0 picks a free port; `local_addr` returns it.
///
/// # Errors
/// The first address that can't be bound. The message names it.
pub async fn bind(addresses: &[SocketAddr]) -> std::io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| cannot_listen(*address, &error))?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Returns the error with the address that can't be bound, and with what to do.
pub fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> std::io::Error {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "stop the other program, or choose another --port",
        ErrorKind::AddrNotAvailable => "name an address of this machine with --listen",
        ErrorKind::PermissionDenied => "run as root, or choose a --port above 1023",
        _ => "choose another --listen or --port",
    };
    let message = format!("can't listen on {address}: {error}; {advice}");
    std::io::Error::new(error.kind(), message)
}

/// Serves one listener until `shutdown`. Running responses then have [`Limits::grace`] to end.
///
/// # Errors
/// A panic. Failed accepts are logged and retried.
pub async fn serve(
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    shutdown: Shutdown,
    limits: Limits,
) -> std::io::Result<()> {
    serve_all(vec![listener], handler, shutdown, limits).await
}

/// Serves several listeners with one handler and one set of limits. See [`serve`].
///
/// # Errors
/// See [`serve`].
pub async fn serve_all(
    listeners: Vec<TcpListener>,
    handler: Arc<dyn Handler>,
    shutdown: Shutdown,
    limits: Limits,
) -> std::io::Result<()> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let limits = Arc::new(limits);
    let mut accept_tasks = JoinSet::new();
    for listener in listeners {
        let accepting = accept(
            listener,
            Arc::clone(&handler),
            shutdown.clone(),
            Arc::clone(&limits),
            Arc::clone(&slots),
        );
        accept_tasks.spawn(task::watched("accepting connections", accepting));
    }
    while let Some(ended) = accept_tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Accepts connections until `shutdown`, then waits for those of this listener.
async fn accept(
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    shutdown: Shutdown,
    limits: Arc<Limits>,
    slots: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = task::watched(
                    ("serving a connection", peer),
                    connection(
                        stream,
                        peer,
                        Arc::clone(&handler),
                        shutdown.clone(),
                        Arc::clone(&limits),
                    ),
                );
                connections.spawn(async move {
                    // A panic was logged. It closes only this connection.
                    let _ = connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Usually the process has no free file descriptors. A pause lets connections end.
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tracing::warn!("the shutdown interrupted some responses");
    }
}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    shutdown: Shutdown,
    limits: Arc<Limits>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "can't set TCP_NODELAY");
    }
    let phase = Arc::new(io::ConnectionPhase::default());
    let service = service_fn(|request: http::Request<Incoming>| {
        phase.start_answer();
        let (handler, phase) = (Arc::clone(&handler), Arc::clone(&phase));
        async move {
            let response = answer(&*handler, request, peer).await;
            Ok::<_, Infallible>(response.map(|body| phase.until_end_of(body)))
        }
    });
    let timed = io::TimedStream::new(
        stream,
        Arc::clone(&phase),
        limits.head_time,
        limits.stall_time,
    );
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes.max(8192))
        .serve_connection(TokioIo::new(timed), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Passes one request to the handler. Turns panics into 500, drops the body for `HEAD`, and logs
/// the request.
async fn answer(
    handler: &dyn Handler,
    request: http::Request<Incoming>,
    peer: SocketAddr,
) -> Response {
    let started = Instant::now();
    let (parts, _unread) = request.into_parts();
    let mut request = Request::from_parts(parts, ());
    request.extensions_mut().insert(Peer(peer));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let work = ("answering a request", &uri);
    let handled = task::watched(work, async { handler.handle(request).await }).await;
    let mut response =
        handled.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n"));
    if method == Method::HEAD {
        response = without_body(response);
    }
    tracing::debug!(%peer, %method, %uri, status = response.status().as_u16(), ms = started.elapsed().as_millis(), "answered a request");
    response
}

/// Makes the response to `HEAD`: the `Content-Length` of `GET`, without a body.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    if let (Some(length), false) = (
        length,
        parts.headers.contains_key(http::header::CONTENT_LENGTH),
    ) {
        parts
            .headers
            .insert(http::header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, empty())
}
