//! HTTP handler of [`interplanar_gateway`] over the blocks of this machine.
//!
//! It fetches nothing: a missing block is a 404.
//!
//! ```no_run
//! # async fn example(store: interplanar_server::blocks::BlockStore) {
//! use interplanar_server::gateway::Gateway;
//! let gateway = Gateway::new(std::sync::Arc::new(store));
//! let request = http::Request::get("/ipfs/bafkqaaa?format=raw").body(()).unwrap();
//! assert_eq!(gateway.handle(request).await.status(), 200);
//! # }
//! ```

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use interplanar_core::cid::Cid;
use interplanar_gateway::{self as gateway, Lookup};

use crate::blocks::{BlockSource, BlocksError};
use crate::net::server::{self, Body, Handler, Request, Response};
use crate::task;

/// A trustless and path gateway over local blocks. Cloning is cheap.
#[derive(Clone)]
pub struct Gateway {
    source: Arc<dyn gateway::BlockSource>,
}

impl Gateway {
    /// Creates a gateway that serves the blocks of `source`.
    pub fn new(source: Arc<dyn BlockSource>) -> Self {
        let source = Arc::new(LocalBlocks(source));
        Self { source }
    }

    /// Returns whether the gateway answers this URL path.
    pub fn owns(path: &str) -> bool {
        gateway::owns(path)
    }

    /// Answers one request for `/ipfs/…`. For `HEAD`, the server drops the body.
    pub async fn handle(&self, request: Request) -> Response {
        let source = Arc::clone(&self.source);
        let work = (
            "answering a gateway request",
            request.uri().path().to_owned(),
        );
        let answer = move || gateway::answer(&source, &request);
        match task::blocking(work, answer).await {
            Ok(Ok(answer)) => answer.map(body),
            Ok(Err(pending)) => internal_error(&pending),
            Err(panicked) => internal_error(&panicked),
        }
    }
}

impl Handler for Gateway {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Self::handle(self, request))
    }
}

fn internal_error(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a gateway request failed");
    server::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
}

/// Converts the body for the server. An error in the middle ends the connection.
fn body(body: gateway::Body) -> Body {
    match body {
        gateway::Body::Empty => server::empty(),
        gateway::Body::Whole(bytes) => server::whole(bytes),
        chunked => {
            let length = chunked.length();
            server::from_blocking(BodyChunks(chunked), length)
        }
    }
}

struct BodyChunks(gateway::Body);

impl Iterator for BodyChunks {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.0.next()?;
        Some(piece.map_err(|stop| {
            tracing::debug!(%stop, "a response ended early");
            io::Error::other("the content is incomplete")
        }))
    }
}

/// The blocks of this machine. A lookup never has to wait.
struct LocalBlocks(Arc<dyn BlockSource>);

impl gateway::BlockSource for LocalBlocks {
    fn get(&self, cid: &Cid) -> Lookup<Bytes> {
        lookup(self.0.get(cid))
    }

    fn has(&self, cid: &Cid) -> Lookup<()> {
        lookup(self.0.has(cid).map(|here| here.then_some(())))
    }
}

fn lookup<T>(found: Result<Option<T>, BlocksError>) -> Lookup<T> {
    match found {
        Ok(found) => found.map_or(Lookup::Absent, Lookup::Here),
        Err(error) => {
            tracing::error!(%error, "the gateway can't read the block store");
            Lookup::Failed
        }
    }
}
