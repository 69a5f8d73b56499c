//! The gateway of [`interplanar_gateway`] over the blocks of this machine, for the server loop.
//!
//! Nothing is fetched: what isn't here is a 404.
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

/// A trustless and path gateway over local blocks; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    source: Arc<dyn gateway::BlockSource>,
}

impl Gateway {
    /// A gateway that serves what a source has.
    pub fn new(source: Arc<dyn BlockSource>) -> Self {
        let source = Arc::new(Local(source));
        Self { source }
    }

    /// Whether a URL path is the gateway's to answer.
    pub fn owns(path: &str) -> bool {
        gateway::owns(path)
    }

    /// Answers one request for `/ipfs/…`. The body of an answer to `HEAD` is for the server to drop.
    pub async fn handle(&self, request: Request) -> Response {
        let source = Arc::clone(&self.source);
        let answering = move || gateway::answer(&source, &request);
        match tokio::task::spawn_blocking(answering).await {
            Ok(Ok(answer)) => answer.map(body),
            Ok(Err(pending)) => broken(&pending),
            Err(panicked) => broken(&panicked),
        }
    }
}

impl Handler for Gateway {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Self::handle(self, request))
    }
}

fn broken(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a gateway request failed");
    server::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
}

/// The body as the server sends it; a refusal in the middle ends the connection.
fn body(body: gateway::Body) -> Body {
    match body {
        gateway::Body::Empty => server::empty(),
        gateway::Body::Whole(bytes) => server::whole(bytes),
        stepped => {
            let length = stepped.length();
            server::from_blocking(Pieces(stepped), length)
        }
    }
}

struct Pieces(gateway::Body);

impl Iterator for Pieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.0.next()?;
        Some(piece.map_err(|stop| {
            tracing::debug!(%stop, "a body ended early");
            io::Error::other("the content is incomplete")
        }))
    }
}

/// Blocks of this machine: they are there or they aren't.
struct Local(Arc<dyn BlockSource>);

impl gateway::BlockSource for Local {
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
            tracing::error!(%error, "the gateway cannot read its blocks");
            Lookup::Failed
        }
    }
}
