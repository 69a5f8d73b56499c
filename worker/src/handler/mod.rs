//! Routes requests to their answers.

mod car_feed;
mod gateways;
mod ipfs;
mod listing;
mod nar;
mod narinfo;

use crate::config::{Config, Platform};
use crate::expiring_map::ExpiringMap;
use crate::page::Problem;
use crate::reply::{Reply, ReplyBody};
use crate::runtime_cache::RuntimeCache;
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

/// Most narinfos, CIDs and failed sources that an isolate remembers.
const MAX_REMEMBERED: usize = 2_000;
/// Requests that the fetch of a NAR or file must not use, because the rest of the answer needs
/// them.
const RESERVE: u64 = 2;
/// Most bytes of blocks that a fetch holds: two of the largest.
const MAX_BUFFER: usize = 4 << 20;

/// The data that an isolate keeps between requests. It must not contain I/O objects of the runtime:
/// a request can't use those of another.
pub(crate) struct IsolateState {
    config: Config,
    cache: Option<Cache>,
    client: Client,
    pool: RefCell<Option<Rc<RefCell<GatewayPool>>>>,
    narinfos: RefCell<ExpiringMap<String, Answer>>,
    /// CIDs in narinfos that a trusted key signed.
    signed_cids: RefCell<ExpiringMap<Cid, ()>>,
    /// Sources that sent wrong data.
    bad_sources: RefCell<ExpiringMap<String, ()>>,
    /// The first upstream that sent its `nix-cache-info`, and its store directory.
    store_dir: RefCell<Option<(String, String)>>,
}

/// One running request.
#[derive(Clone)]
pub(crate) struct Task {
    state: Rc<IsolateState>,
    /// Counts the requests that this task sends.
    client: Client,
    runtime_cache: RuntimeCache,
}

impl IsolateState {
    pub(crate) fn new(config: Config, cache: Option<Cache>) -> Self {
        // Without permission for private addresses, don't follow redirects: they could lead there.
        let redirect = match config.allow_private {
            true => Redirect::Follow,
            false => Redirect::Manual,
        };
        Self {
            config,
            cache,
            client: Client::new(redirect, HttpCache::NoStore),
            pool: RefCell::default(),
            narinfos: RefCell::new(ExpiringMap::new(MAX_REMEMBERED)),
            signed_cids: RefCell::new(ExpiringMap::new(MAX_REMEMBERED)),
            bad_sources: RefCell::new(ExpiringMap::new(MAX_REMEMBERED)),
            store_dir: RefCell::default(),
        }
    }

    pub(crate) fn task(self: &Rc<Self>) -> Task {
        let client = self.client.with_new_count();
        Task {
            state: Rc::clone(self),
            runtime_cache: RuntimeCache::new(self.cache.clone(), client.clone()),
            client,
        }
    }
}

impl Task {
    fn config(&self) -> &Config {
        &self.state.config
    }

    /// Returns the options of a fetch, with the number of requests that are left.
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
            // One CAR needs fewer requests than separate nodes and leaves.
            near_ms: 0,
            ..Options::default()
        }
    }

    /// Answers a request.
    pub(crate) async fn reply(&self, request: Request<()>) -> Reply {
        let path = request.uri().path().to_owned();
        let headers = request.headers().clone();
        let answered = if interplanar_gateway::owns(&path) {
            self.ipfs(request).await
        } else {
            self.substitutes(&path, request.method()).await
        };
        answered.unwrap_or_else(|problem| problem.reply(&headers))
    }

    async fn substitutes(&self, path: &str, method: &Method) -> Result<Reply, Problem> {
        let head = match *method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Ok(only_reads()),
        };
        match path.trim_start_matches('/') {
            "" => Ok(Reply::text(
                "interplanar: substitutes for Guix and Nix from IPFS\n",
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
                    && self.config().platform == Platform::Service
                {
                    self.listing(hash_part).await
                } else {
                    Err(not_found(path))
                }
            }
        }
    }

    fn version(&self) -> Reply {
        let platform = match self.config().platform {
            Platform::Edge => "edge",
            Platform::Service => "service worker",
        };
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "{{\"name\":\"interplanar\",\"version\":\"{version}\",\"place\":\"{platform}\"}}\n"
        );
        Reply::new(StatusCode::OK, "application/json", text).with(CACHE_CONTROL, "no-store")
    }
}

fn not_found(path: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Not found", format!("/{path}"))
}

fn only_reads() -> Reply {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Reply::new(status, "text/plain; charset=utf-8", "only GET and HEAD\n").with(ALLOW, "GET, HEAD")
}

/// Adds a header that allows clients to cache the answer for this time.
fn fresh_for(reply: Reply, left: Duration) -> Reply {
    reply.with(CACHE_CONTROL, format!("max-age={}", left.as_secs()))
}

/// Adds a header that allows web pages to read the answer, because all answers are public.
fn allow_pages(headers: &mut HeaderMap) {
    let name = HeaderName::from_static("access-control-allow-origin");
    headers.insert(name, http::HeaderValue::from_static("*"));
}

/// Creates an answer without a body.
fn empty_reply(headers: HeaderMap) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers,
        body: ReplyBody::Empty,
    }
}
