//! A path and trustless gateway over local blocks: `/ipfs/<cid>[/path]`, GET and HEAD.
//!
//! It answers as Kubo 0.43 does on the same blocks, offline: raw blocks, CARs with every parameter of the specification, files with
//! ranges, directories (their `index.html`, or a listing), and documents in their own codec. What differs on purpose:
//!
//! - a CAR whose root isn't here is a 404, and one that breaks off midway ends the connection (Kubo answers 200 and appends a text);
//! - a suffix range longer than the content gives all of it (Kubo: 500); `If-Range` that doesn't match gives the whole content;
//! - no TAR, no IPNS, no conversion between codecs, no `_redirects`, no subdomains.
//!
//! A `?format=` beats the `Accept` header. Nothing is fetched: what isn't here is a 404.
//!
//! ```no_run
//! # async fn example(store: interplanar_server::blocks::BlockStore) {
//! use interplanar_server::gateway::Gateway;
//! let gateway = Gateway::new(std::sync::Arc::new(store));
//! let request = http::Request::get("/ipfs/bafkqaaa?format=raw").body(()).unwrap();
//! assert_eq!(gateway.handle(request).await.status(), 200);
//! # }
//! ```

mod answer;
mod browse;
mod car;
mod car_query;
mod content;
mod dag;
mod directory;
mod early;
mod etag;
mod file;
mod format;
mod hamt;
mod headers;
mod mime;
mod path;
mod query;
mod refusal;
mod resolve;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};

use crate::blocks::BlockSource;
use crate::net::server::{self, Handler, Request, Response};
use dag::Dag;

/// A trustless and path gateway over local blocks; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    dag: Dag,
}

impl Gateway {
    /// A gateway that serves what a source has.
    pub fn new(source: Arc<dyn BlockSource>) -> Self {
        Self { dag: Dag(source) }
    }

    /// Whether a URL path is the gateway's to answer.
    pub fn owns(path: &str) -> bool {
        path == "/ipfs" || path.starts_with("/ipfs/")
    }

    /// Answers one request for `/ipfs/…`. The body of an answer to `HEAD` is for the server to drop.
    pub async fn handle(&self, request: Request) -> Response {
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return allow(StatusCode::OK),
            _ => return allow(StatusCode::METHOD_NOT_ALLOWED),
        }
        let dag = self.dag.clone();
        let answered = tokio::task::spawn_blocking(move || answer::answer(&dag, &request)).await;
        answered.unwrap_or_else(|error| {
            tracing::error!(%error, "a gateway request panicked");
            server::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
        })
    }
}

/// An answer that says which methods there are.
fn allow(status: StatusCode) -> Response {
    let mut headers = headers::common();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    if status == StatusCode::OK {
        return content::with(status, headers, server::empty());
    }
    refusal::Refusal::new(status, "only GET, HEAD and OPTIONS").response(headers)
}

impl Handler for Gateway {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Self::handle(self, request))
    }
}
