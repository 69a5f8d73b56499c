//! An HTTP server that forwards to a real one and counts requests. It can damage responses as a
//! hostile or broken gateway does.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What a relay does to responses. Narinfos and `nix-cache-info` always pass unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Passes them on unchanged.
    None,
    /// Flips one bit in the middle of each body.
    Corrupt,
    /// Reads the request, and never responds.
    Hang,
    /// Passes on half of the body, and then ends the response as if it were complete.
    Truncate,
    /// Responds with a web page and status 200.
    Html,
}

/// A running relay, which stops when it is dropped.
pub struct Relay {
    /// Its URL, `http://127.0.0.1:port`.
    pub url: String,
    seen: Arc<Mutex<Vec<RelayedRequest>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A request that a relay forwarded.
#[derive(Debug, Clone)]
pub struct RelayedRequest {
    /// Its method and target, as in `GET /path?query`.
    pub line: String,
    /// Bytes of the response's body that were passed on so far.
    pub bytes: u64,
}

#[derive(Clone)]
struct RelayState {
    target: String,
    fault: Fault,
    seen: Arc<Mutex<Vec<RelayedRequest>>>,
    client: reqwest::Client,
}

impl Relay {
    /// Starts a relay to the server `target` on a free port of loopback.
    ///
    /// # Panics
    /// If it can't listen.
    #[must_use]
    pub fn new(target: &str, fault: Fault) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let seen = Arc::default();
        let state = RelayState {
            target: target.trim_end_matches('/').to_owned(),
            fault,
            seen: Arc::clone(&seen),
            client: reqwest::Client::new(),
        };
        runtime.spawn(accept(listener, state));
        Self {
            url,
            seen,
            runtime: Some(runtime),
        }
    }

    /// Returns all requests up to now.
    ///
    /// # Panics
    /// If a task of the relay panicked.
    #[must_use]
    pub fn seen(&self) -> Vec<RelayedRequest> {
        self.seen.lock().expect("the list").clone()
    }

    /// Returns the number of requests whose line contains `part`.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.line.contains(part))
            .count()
    }

    /// Returns the bytes of all bodies that were passed on.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.seen().iter().map(|seen| seen.bytes).sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, state: RelayState) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(state.clone(), request));
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(
    state: RelayState,
    request: Request<Incoming>,
) -> Result<Response<Body>, reqwest::Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let index = {
        let mut seen = state.seen.lock().expect("the list");
        seen.push(RelayedRequest {
            line: format!("{} {path}", request.method()),
            bytes: 0,
        });
        seen.len() - 1
    };
    // Only the sources of NARs are faulty, so descriptions of items pass unchanged.
    let description = path.ends_with(".narinfo") || path.ends_with("/nix-cache-info");
    let fault = if description {
        Fault::None
    } else {
        state.fault
    };
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Html => return Ok(page()),
        Fault::None | Fault::Corrupt | Fault::Truncate => {}
    }
    let mut forward = state
        .client
        .request(request.method().clone(), format!("{}{path}", state.target));
    for (name, value) in request.headers() {
        if name != http::header::HOST && name != http::header::CONNECTION {
            forward = forward.header(name, value);
        }
    }
    let upstream = forward.send().await?;
    let mut response = Response::builder().status(upstream.status());
    for (name, value) in upstream.headers() {
        let framing =
            name == http::header::CONTENT_LENGTH || name == http::header::TRANSFER_ENCODING;
        if name != http::header::CONNECTION && (!framing || fault == Fault::None) {
            response = response.header(name, value);
        }
    }
    let body = pass(RelayState { fault, ..state }, index, upstream);
    Ok(response.body(body).unwrap_or_else(|_| page()))
}

/// Returns the upstream's body with the fault applied.
fn pass(state: RelayState, index: usize, mut upstream: reqwest::Response) -> Body {
    let (send, receive) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(2);
    tokio::spawn(async move {
        let length = upstream.content_length().unwrap_or(200_000);
        let mut at = 0_u64;
        loop {
            let chunk = match upstream.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return,
                Err(error) => {
                    drop(send.send(Err(std::io::Error::other(error))).await);
                    return;
                }
            };
            let (chunk, last) = spoil(state.fault, chunk, at, length / 2);
            at += chunk.len() as u64;
            if let Some(seen) = state.seen.lock().expect("the list").get_mut(index) {
                seen.bytes = at;
            }
            if send.send(Ok(Frame::data(chunk))).await.is_err() || last {
                return;
            }
        }
    });
    let stream = futures_util::stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|frame| (frame, receive))
    });
    StreamBody::new(stream).boxed_unsync()
}

/// Applies the fault to a chunk at offset `at` of a body. Returns it, and whether the body ends
/// with it.
fn spoil(fault: Fault, chunk: Bytes, at: u64, middle: u64) -> (Bytes, bool) {
    let Some(inside) = middle.checked_sub(at).and_then(|n| usize::try_from(n).ok()) else {
        return (chunk, false);
    };
    if inside >= chunk.len() {
        return (chunk, false);
    }
    match fault {
        Fault::Corrupt => {
            let mut bytes = chunk.to_vec();
            bytes[inside] ^= 1;
            (bytes.into(), false)
        }
        Fault::Truncate => (chunk.slice(..inside), true),
        Fault::None | Fault::Hang | Fault::Html => (chunk, false),
    }
}

/// Returns the login page of a hotel's network.
fn page() -> Response<Body> {
    let text = "<!DOCTYPE html><title>Welcome</title><p>Please log in to the hotel's network.";
    let body = Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/html"),
    );
    response
}
