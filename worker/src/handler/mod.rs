//! From a request to its answer.

mod feed;
mod gateways;
mod ipfs;
mod listing;
mod nar;
mod narinfo;

use crate::config::{Config, Place};
use crate::kept::Kept;
use crate::memory::Memory;
use crate::page::Problem;
use crate::reply::{Body, Reply};
use http::header::{ALLOW, CACHE_CONTROL, HeaderName};
use http::{HeaderMap, Method, Request, StatusCode};
use interplanar_core::cid::Cid;
use interplanar_core::fetch::{GatewayPool, Options};
use interplanar_core::install::Answer;
use interplanar_wasm::driver::{Client, HttpCache, Redirect};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use web_sys::Cache;

/// Narinfos, names and wrong sources that an isolate remembers.
const MAX_REMEMBERED: usize = 2_000;
/// Requests that a NAR or a file may not use, so that something is left to end with.
const RESERVE: u64 = 2;
/// Bytes of blocks that a fetch holds: two of the largest.
const MAX_BUFFER: usize = 4 << 20;

/// What an isolate holds between requests. Nothing of the runtime's I/O may be here: a request can't use another's.
pub(crate) struct Shared {
    config: Config,
    cache: Option<Cache>,
    client: Client,
    pool: RefCell<Option<Rc<RefCell<GatewayPool>>>>,
    narinfos: RefCell<Memory<String, Answer>>,
    /// CIDs that narinfos name which our keys signed.
    named: RefCell<Memory<Cid, ()>>,
    /// Sources that were wrong.
    bad: RefCell<Memory<String, ()>>,
    store_dir: RefCell<Option<String>>,
}

/// One request under way.
#[derive(Clone)]
pub(crate) struct Task {
    shared: Rc<Shared>,
    /// Counts the requests that this one makes.
    client: Client,
    kept: Kept,
}

impl Shared {
    pub(crate) fn new(config: Config, cache: Option<Cache>) -> Self {
        // Who must not reach private addresses must not be led there either.
        let redirect = match config.allow_private {
            true => Redirect::Follow,
            false => Redirect::Manual,
        };
        Self {
            config,
            cache,
            client: Client::new(redirect, HttpCache::NoStore),
            pool: RefCell::default(),
            narinfos: RefCell::new(Memory::new(MAX_REMEMBERED)),
            named: RefCell::new(Memory::new(MAX_REMEMBERED)),
            bad: RefCell::new(Memory::new(MAX_REMEMBERED)),
            store_dir: RefCell::default(),
        }
    }

    pub(crate) fn task(self: &Rc<Self>) -> Task {
        let client = self.client.fresh();
        Task {
            shared: Rc::clone(self),
            kept: Kept::new(self.cache.clone(), client.clone()),
            client,
        }
    }
}

impl Task {
    fn config(&self) -> &Config {
        &self.shared.config
    }

    /// How to fetch, with the requests that are left.
    fn options(&self) -> Options {
        let allowed = self.config().subrequests;
        let left = allowed.saturating_sub(self.client.sent().saturating_add(RESERVE));
        let counted = allowed != u64::MAX;
        if !counted {
            return Options::default();
        }
        Options {
            max_buffer: MAX_BUFFER,
            max_requests: left,
            // A plain file wants its nodes as well: more requests than one CAR.
            near_ms: 0,
            ..Options::default()
        }
    }

    /// Answers a request.
    pub(crate) async fn reply(&self, request: Request<()>) -> Reply {
        let path = request.uri().path().to_owned();
        let asked = request.headers().clone();
        let answered = if interplanar_gateway::owns(&path) {
            self.ipfs(request).await
        } else {
            self.substitutes(&path, request.method()).await
        };
        answered.unwrap_or_else(|problem| problem.reply(&asked))
    }

    async fn substitutes(&self, path: &str, method: &Method) -> Result<Reply, Problem> {
        let head = match *method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Ok(only_reads()),
        };
        match path.trim_start_matches('/') {
            "" => Ok(Reply::text(
                "interplanar: substitutes for Guix and Nix, by way of IPFS\n",
            )),
            "healthz" => Ok(Reply::text("ok\n").with(CACHE_CONTROL, "no-store")),
            "version" => Ok(self.version()),
            "nix-cache-info" => self.cache_info().await,
            path => {
                if let Some(hash_part) = path.strip_suffix(".narinfo") {
                    self.narinfo(hash_part).await
                } else if let Some(name) = path.strip_prefix("nar/") {
                    self.nar(name, head).await
                } else if let Some(hash_part) = path.strip_suffix(".ls")
                    && self.config().place == Place::Service
                {
                    self.listing(hash_part).await
                } else {
                    Err(not_found(path))
                }
            }
        }
    }

    fn version(&self) -> Reply {
        let place = match self.config().place {
            Place::Edge => "edge",
            Place::Service => "service worker",
        };
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "{{\"name\":\"interplanar\",\"version\":\"{version}\",\"place\":\"{place}\"}}\n"
        );
        Reply::new(StatusCode::OK, "application/json", text).with(CACHE_CONTROL, "no-store")
    }
}

fn not_found(path: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "There is nothing here",
        format!("/{path}"),
    )
}

fn only_reads() -> Reply {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Reply::new(status, "text/plain; charset=utf-8", "only GET and HEAD\n").with(ALLOW, "GET, HEAD")
}

/// How long an answer may be kept.
fn fresh_for(reply: Reply, left: Duration) -> Reply {
    reply.with(CACHE_CONTROL, format!("max-age={}", left.as_secs()))
}

/// Where a browser's page may read it: everything here is public.
fn shared_with_pages(headers: &mut HeaderMap) {
    let name = HeaderName::from_static("access-control-allow-origin");
    headers.insert(name, http::HeaderValue::from_static("*"));
}

/// An answer without a body.
fn bare(headers: HeaderMap) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers,
        body: Body::Empty,
    }
}
