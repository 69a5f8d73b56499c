//! The HTTP/1 server loop that `publish`, `proxy` and the gateway share.
//!
//! A [`Handler`] gets the head of each request and gives a response; everything that a stranger on the network could use to hold the
//! process up is bounded here by [`Limits`]: the size of a head, the time to send it, idle connections, clients that stop reading, the
//! number of connections. Bodies of requests are never read. `HEAD` is handled here: handlers answer as to `GET`, and the body is dropped while
//! its length stays. A handler that panics gives a 500.
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
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use body::{Body, Gone, Sender, channel, empty, from_blocking, from_stream, whole};
pub use respond::{full, method_not_allowed, not_found, stream, text};

/// The head of a request. Its extensions hold a [`Peer`].
pub type Request = http::Request<()>;
/// A response; see [`full`], [`stream`] and [`channel`] for its body.
pub type Response = http::Response<Body>;
/// Ends a server when cancelled; clones cancel together.
pub type Shutdown = tokio_util::sync::CancellationToken;

/// The address of the client, in the extensions of a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Answers requests, many at a time.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request of any method. A `HEAD` request is answered as the `GET` it stands for; the body is dropped by the server.
    fn handle(&self, request: Request) -> BoxFuture<'_, Response>;
}

/// What a client may take of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request line with its headers.
    pub head_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// From the first byte of a head to its last.
    pub head_time: Duration,
    /// Between two requests of a connection (and before the first).
    pub idle_time: Duration,
    /// A client that reads nothing of a response for so long is dropped.
    pub stall_time: Duration,
    /// Open connections; further ones wait in the backlog of the kernel.
    pub connections: usize,
    /// How long a shutdown waits for responses under way.
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

/// Listens on every address; port 0 takes a free one, which `local_addr` then tells.
///
/// # Errors
/// The first address that cannot be bound, named in the message.
pub async fn bind(addresses: &[SocketAddr]) -> std::io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Serves one listener until `shutdown`, then lets responses under way end within [`Limits::grace`].
///
/// # Errors
/// None today but those of the listener's own set-up; failed accepts are logged and tried again.
pub async fn serve(
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    shutdown: Shutdown,
    limits: Limits,
) -> std::io::Result<()> {
    serve_all(vec![listener], handler, shutdown, limits).await
}

/// Serves several listeners with one handler and one set of limits, as [`serve`] does.
///
/// # Errors
/// As [`serve`].
pub async fn serve_all(
    listeners: Vec<TcpListener>,
    handler: Arc<dyn Handler>,
    shutdown: Shutdown,
    limits: Limits,
) -> std::io::Result<()> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let limits = Arc::new(limits);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            listener,
            Arc::clone(&handler),
            shutdown.clone(),
            Arc::clone(&limits),
            Arc::clone(&slots),
        ));
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

/// Accepts until `shutdown`, then waits for the connections of this listener.
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
                let connection = connection(
                    stream,
                    peer,
                    Arc::clone(&handler),
                    shutdown.clone(),
                    Arc::clone(&limits),
                );
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: a pause lets connections end instead of spinning.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tracing::warn!("some responses were cut off by the shutdown");
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
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let phase = Arc::new(io::Phase::default());
    let service = service_fn(|request: http::Request<Incoming>| {
        phase.answering();
        let (handler, phase) = (Arc::clone(&handler), Arc::clone(&phase));
        async move {
            let response = answer(&*handler, request, peer).await;
            Ok::<_, Infallible>(response.map(|body| phase.until_end_of(body)))
        }
    });
    let timed = io::Timed::new(
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
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

/// One request through the handler: panics become 500, `HEAD` loses its body, the access is logged.
async fn answer(
    handler: &dyn Handler,
    request: http::Request<Incoming>,
    peer: SocketAddr,
) -> Response {
    let begun = Instant::now();
    let (parts, _unread) = request.into_parts();
    let mut request = Request::from_parts(parts, ());
    request.extensions_mut().insert(Peer(peer));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let handled = AssertUnwindSafe(async { handler.handle(request).await })
        .catch_unwind()
        .await;
    let mut response = handled.unwrap_or_else(|_| {
        tracing::error!(%method, %uri, "the handler panicked");
        text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
    });
    if method == Method::HEAD {
        response = without_body(response);
    }
    tracing::debug!(%peer, %method, %uri, status = response.status().as_u16(), ms = begun.elapsed().as_millis(), "answered");
    response
}

/// The answer to `HEAD`: `Content-Length` as `GET` would have it, and no body.
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
