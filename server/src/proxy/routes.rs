//! The proxy's URL paths.

use super::Proxy;
use crate::gateway::Gateway;
use crate::inspect;
use crate::installed::Installed;
use crate::net::server::{self, Handler, Request, Response};
use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use http::{HeaderValue, Method, StatusCode};
use interplanar_core::install::{Answer, is_hash_part, parse_nar_name};
use std::sync::Arc;
use std::time::Duration;

impl Handler for Proxy {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(self.route(request))
    }
}

impl Proxy {
    async fn route(&self, request: Request) -> Response {
        if Gateway::owns(request.uri().path()) {
            return self.gateway.handle(request).await;
        }
        if inspect::owns(request.uri().path()) {
            return inspect::answer(request.method(), request.uri().path());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return server::method_not_allowed();
        }
        let path = request.uri().path().trim_start_matches('/');
        match path {
            "" => server::text(
                StatusCode::OK,
                "interplanar proxy: substitutes for Guix and Nix over IPFS; browse them at /inspect/\n",
            ),
            "nix-cache-info" => self.cache_info().await,
            "signing-key.pub" => self.signing_key(),
            "healthz" => server::text(StatusCode::OK, "ok\n"),
            "metrics" => server::full(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                self.metrics
                    .text(self.installed.as_deref().map(Installed::progress)),
            ),
            path => {
                if let Some(hash_part) = path.strip_suffix(".narinfo") {
                    self.narinfo(hash_part).await
                } else if let Some(name) = path.strip_prefix("nar/") {
                    self.nar(name, request.method()).await
                } else {
                    server::not_found()
                }
            }
        }
    }

    async fn narinfo(&self, hash_part: &str) -> Response {
        if !is_hash_part(hash_part) {
            return server::not_found();
        }
        self.metrics.narinfo_requests.add(1);
        match self.lookup.find(hash_part).await {
            (Answer::Found(known), left) => fresh_for(
                server::full(
                    StatusCode::OK,
                    "text/x-nix-narinfo",
                    known.rewritten.clone(),
                ),
                left,
            ),
            (Answer::Absent, left) => {
                self.metrics.narinfo_absent.add(1);
                fresh_for(server::not_found(), left)
            }
            (Answer::Unreachable, _) => unreachable_upstreams(),
        }
    }

    async fn nar(&self, name: &str, method: &Method) -> Response {
        let Some((hash_part, nar_hash)) = parse_nar_name(name) else {
            return server::not_found();
        };
        let known = match self.lookup.find(hash_part).await.0 {
            Answer::Found(known) if known.signed.nar_hash() == nar_hash => known,
            Answer::Found(_) | Answer::Absent => return server::not_found(),
            Answer::Unreachable => return unreachable_upstreams(),
        };
        if method == Method::HEAD {
            // A HEAD request doesn't contact any source.
            let mut response = server::full(StatusCode::OK, super::nar::CONTENT_TYPE, "");
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, known.signed.nar_size().into());
            return response;
        }
        self.metrics.nar_requests.add(1);
        self.nars.respond(Arc::clone(&known)).await
    }

    async fn cache_info(&self) -> Response {
        let Some(store_dir) = self.lookup.upstreams().store_dir().await else {
            return unreachable_upstreams();
        };
        let text = format!(
            "StoreDir: {store_dir}\nWantMassQuery: 1\nPriority: {}\n",
            self.priority
        );
        server::full(StatusCode::OK, "text/x-nix-cache-info", text)
    }

    fn signing_key(&self) -> Response {
        match self.keys.guix.first() {
            Some(key) => server::text(StatusCode::OK, key.to_string()),
            None => server::not_found(),
        }
    }
}

fn unreachable_upstreams() -> Response {
    server::text(StatusCode::BAD_GATEWAY, "can't reach any upstream\n")
}

fn fresh_for(mut response: Response, left: Duration) -> Response {
    if let Ok(value) = HeaderValue::try_from(format!("max-age={}", left.as_secs())) {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    response
}
