//! gateway
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::blocks::BlockSource;
use crate::net::server::{self, Handler, Request, Response};

/// A trustless and path gateway over local blocks; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    source: Arc<dyn BlockSource>,
}

impl Gateway {
    /// A gateway that serves what a source has.
    pub fn new(source: Arc<dyn BlockSource>) -> Self {
        Self { source }
    }

    /// Whether a URL path is the gateway's to answer.
    pub fn owns(path: &str) -> bool {
        path == "/ipfs" || path.starts_with("/ipfs/")
    }

    /// Answers one request for `/ipfs/…`.
    pub async fn handle(&self, request: Request) -> Response {
        let _ = (&self.source, request);
        server::not_found()
    }
}

impl Handler for Gateway {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Self::handle(self, request))
    }
}
