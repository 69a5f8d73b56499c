//! A counting HTTP relay in front of a real server, which can misbehave as hostile or broken gateways do.

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

/// What a relay does with answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Passes them on.
    None,
    /// Flips one bit in the middle of each body.
    Corrupt,
    /// Takes the request and never answers.
    Hang,
    /// Passes half of the body on, then closes the connection in good order.
    Truncate,
    /// Answers a page instead, with status 200.
    Html,
}

/// A running relay; ends when dropped.
pub struct Relay {
    /// Its address.
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A request that a relay saw, and what it answered.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /path?query`.
    pub line: String,
    /// Bytes of the body that were passed on until now.
    pub bytes: u64,
}

#[derive(Clone)]
struct State {
    target: String,
    fault: Fault,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: reqwest::Client,
}

impl Relay {
    /// Relays to `target` on a free loopback port.
    ///
    /// # Panics
    /// When it can't listen.
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
        let state = State {
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

    /// Every request until now.
    ///
    /// # Panics
    /// When a handler panicked.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the list").clone()
    }

    /// How many requests had `part` in their line.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.line.contains(part))
            .count()
    }

    /// Bytes passed on in answers.
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

async fn accept(listener: TcpListener, state: State) {
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
    state: State,
    request: Request<Incoming>,
) -> Result<Response<Body>, reqwest::Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let index = {
        let mut seen = state.seen.lock().expect("the list");
        seen.push(Seen {
            line: format!("{} {path}", request.method()),
            bytes: 0,
        });
        seen.len() - 1
    };
    // What a cache says of its items is passed on as it is: the faults are those of where the NARs come from.
    let about = path.ends_with(".narinfo") || path.ends_with("/nix-cache-info");
    let fault = if about { Fault::None } else { state.fault };
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
    let body = pass(State { fault, ..state }, index, upstream);
    Ok(response.body(body).unwrap_or_else(|_| page()))
}

/// The upstream's body, as the fault has it.
fn pass(state: State, index: usize, mut upstream: reqwest::Response) -> Body {
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

/// A chunk at offset `at` as the fault has it, and whether the body ends with it.
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
