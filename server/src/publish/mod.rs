//! `interplanar publish`: a substitute server like `guix publish` and like a Nix binary cache,
//! which also shares its NARs over IPFS.
//!
//! `routes` lists the paths. Statuses, headers and 404 bodies are those of `guix publish` 1.5.0,
//! request by request; so requests other than `GET` and `HEAD` get its 404. Beyond it there are
//! `HEAD`, ranges, `.ls`, `/items.json`, `/inspect/`, `/healthz`, `/metrics`, and a trustless
//! gateway at `/ipfs/` over the same blocks. Items are baked ([`crate::bake`]) when they are
//! requested; then their narinfos contain sizes and `ipfs://` URLs.
//!
//! ```no_run
//! # use interplanar_server::store::Source;
//! # use std::{error::Error, sync::Arc};
//! # async fn example(source: Arc<dyn Source>) -> Result<(), Box<dyn Error>> {
//! use interplanar_server::bake;
//! use interplanar_server::net::server::{self, Limits, Shutdown};
//! use interplanar_server::publish::{Config, Publisher};
//!
//! let config = Config::new(bake::Config::new("/var/cache/interplanar/publish"));
//! let open = || Publisher::open(source, config);
//! let publisher = interplanar_server::task::blocking("opening", open).await??;
//! let shutdown = Shutdown::new();
//! publisher.start(&shutdown);
//! let listeners = server::bind(&["127.0.0.1:8080".parse()?]).await?;
//! server::serve_all(listeners, Arc::new(publisher), shutdown, Limits::default()).await?;
//! # Ok(())
//! # }
//! ```

mod answers;
mod files;
mod items;
pub mod keys;
mod live;
mod metrics;
mod nar;
mod narinfo;
mod narinfo_writer;
mod page;
mod routes;
mod snapshot;
#[cfg(test)]
mod tests;
pub mod units;
pub(crate) mod upkeep;
pub mod user;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use http::{Method, header};
use interplanar_core::narinfo::{Compression, Dialect};
use tokio::sync::Semaphore;

use crate::bake::space::Policy;
use crate::bake::{self, BakeError, Baker, Upload, UploadState, Urgency};
use crate::gateway::Gateway;
use crate::inspect;
use crate::kubo::Kubo;
use crate::net::server::{self, Handler, Request, Response, Shutdown};
use crate::store::Source;
use crate::task::{self, Task, WorkError};
use answers::NotFoundPhrase;
use keys::Keys;
use metrics::{Metrics, RequestKind};
use narinfo_writer::NarinfoWriter;
use page::IndexPage;
use routes::{NarPath, Route};
pub use snapshot::SnapshotConfig;
use snapshot::{SnapshotCounters, SnapshotJob};

/// Most NARs that are compressed while they are sent, at the same time; further requests wait.
const MAX_LIVE: usize = 64;
/// Items smaller than this (bytes) are served before they are baked; the default of `guix publish`.
pub const BYPASS_THRESHOLD: u64 = 10 << 20;

/// What to publish, and how.
#[derive(Debug)]
pub struct Config {
    /// The cache folder, and the compression methods of baked items.
    pub bake: bake::Config,
    /// Whether to behave like `guix publish --cache`: large items are served only once they are
    /// baked.
    pub cached: bool,
    /// With `cached`, items with smaller NARs (bytes) are served before they are baked.
    pub bypass_threshold: u64,
    /// Seconds that clients may keep narinfos.
    pub ttl: Option<u64>,
    /// Seconds that clients may remember that a narinfo doesn't exist.
    pub negative_ttl: Option<u64>,
    /// The path prefix of NAR URLs.
    pub nar_path: String,
    /// The dialect of narinfos; by default that of the store directory.
    pub dialect: Option<Dialect>,
    /// The keys that sign narinfos.
    pub keys: Keys,
    /// Gateways that clients can reach, such as `http://127.0.0.1:8080`.
    pub gateways: Vec<String>,
    /// The Kubo node that all baked items are pinned in.
    pub kubo: Option<Kubo>,
    /// The text of `nix-cache-info`, if it isn't the default.
    pub cache_info: Option<String>,
    /// What is deleted from the cache folder, and when.
    pub upkeep: Option<Policy>,
    /// How to keep a snapshot; `None` for no snapshot.
    pub snapshot: Option<SnapshotConfig>,
}

impl Config {
    /// The settings of `guix publish` without options; nothing is signed.
    pub fn new(bake: bake::Config) -> Self {
        Self {
            bake,
            cached: false,
            bypass_threshold: BYPASS_THRESHOLD,
            ttl: None,
            negative_ttl: None,
            nar_path: "nar".to_owned(),
            dialect: None,
            keys: Keys::default(),
            gateways: Vec::new(),
            kubo: None,
            cache_info: None,
            upkeep: None,
            snapshot: None,
        }
    }
}

/// Serves a store. Clones share their state.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    baker: Baker,
    gateway: Gateway,
    narinfo_writer: NarinfoWriter,
    cached: bool,
    bypass_threshold: u64,
    ttl: Option<u64>,
    negative_ttl: Option<u64>,
    cache_info: String,
    public_keys: String,
    metrics: Metrics,
    live: Arc<Semaphore>,
    unbaked: Mutex<narinfo::Unbaked>,
    /// `None` once [`Publisher::start`] has started it.
    upload: Mutex<Option<Upload>>,
    /// `None` once [`Publisher::start`] has started it.
    upkeep: Mutex<Option<(Policy, Option<Kubo>)>>,
    uploaded: Option<Arc<UploadState>>,
    /// `None` once [`Publisher::start`] has started it.
    snapshot: Mutex<Option<SnapshotJob>>,
    /// The running job, once it has started.
    snapshot_task: Mutex<Option<Task<()>>>,
    snapshots: Option<Arc<SnapshotCounters>>,
}

impl Publisher {
    /// Opens the cache folder and starts the baking threads. Blocks.
    ///
    /// # Errors
    /// The cache folder can't be used, or another process uses it.
    pub fn open(source: Arc<dyn Source>, config: Config) -> Result<Self, BakeError> {
        let store_dir = source.store_dir().to_owned();
        let dialect = config.dialect.unwrap_or(match store_dir.as_str() {
            "/gnu/store" => Dialect::Guix,
            _ => Dialect::Nix,
        });
        let baker = Baker::open(source, config.bake)?;
        let upkeep = config.upkeep.map(|policy| (policy, config.kubo.clone()));
        let kubo = config.kubo.clone();
        let upload = config.kubo.and_then(|kubo| Upload::new(&baker, kubo));
        let public_keys = public_keys(dialect, &config.keys);
        let trim = |url: &String| url.trim_end_matches('/').to_owned();
        let keys = Arc::new(config.keys);
        let narinfo_writer = NarinfoWriter {
            dialect,
            nar_path: NarPath::new(&config.nar_path),
            keys: Arc::clone(&keys),
            host: narinfo_writer::host_name(),
            gateways: config.gateways.iter().map(trim).collect(),
            published_only: upload.is_some(),
        };
        let cache_info = config
            .cache_info
            .unwrap_or_else(|| cache_info(dialect, &store_dir));
        let snapshot = config.snapshot.map(|config| SnapshotJob {
            baker: baker.clone(),
            narinfo_writer: Arc::new(NarinfoWriter {
                dialect,
                nar_path: NarPath::new(snapshot::NAR_FOLDER),
                keys,
                host: narinfo_writer::host_name(),
                gateways: Vec::new(),
                published_only: upload.is_some(),
            }),
            kubo,
            config,
            files: snapshot_files(&cache_info, &public_keys),
            state: Arc::default(),
            may_lack_changes: true,
            next_check: snapshot::MAX_CHECK_INTERVAL,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                gateway: Gateway::new(Arc::new(baker.blocks().clone())),
                baker,
                narinfo_writer,
                cached: config.cached,
                bypass_threshold: config.bypass_threshold,
                ttl: config.ttl,
                negative_ttl: config.negative_ttl,
                cache_info,
                public_keys,
                metrics: Metrics::default(),
                live: Arc::new(Semaphore::new(MAX_LIVE)),
                unbaked: Mutex::default(),
                uploaded: upload.as_ref().map(Upload::state),
                snapshots: snapshot.as_ref().map(|job| Arc::clone(&job.state)),
                snapshot: Mutex::new(snapshot),
                snapshot_task: Mutex::default(),
                upload: Mutex::new(upload),
                upkeep: Mutex::new(upkeep),
            }),
        })
    }

    /// Starts the background work: counting the items, and if configured, publishing into Kubo,
    /// deleting unused items and making snapshots. Needs a tokio runtime.
    pub fn start(&self, shutdown: &Shutdown) {
        let baker = self.inner.baker.clone();
        task::blocking("counting the items", move || {
            if let Err(error) = baker.count() {
                tracing::warn!(%error, "can't count the items; /metrics won't show their sizes");
            }
        });
        let upload = self
            .inner
            .upload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(upload) = upload {
            task::spawn("publishing in Kubo", upload.run(shutdown.clone()));
        }
        let upkeep = self.inner.upkeep.lock();
        if let Some((policy, kubo)) = upkeep.unwrap_or_else(PoisonError::into_inner).take() {
            let baker = self.inner.baker.clone();
            let work = upkeep::run(baker, kubo, policy, shutdown.clone());
            task::spawn("deleting unused items", work);
        }
        let snapshot = lock(&self.inner.snapshot).take();
        if let Some(job) = snapshot {
            let task = task::spawn("making snapshots", job.run(shutdown.clone()));
            *lock(&self.inner.snapshot_task) = Some(task);
        }
    }

    /// Waits, after the shutdown, until the last snapshot is published.
    pub async fn finish(&self) {
        let task = lock(&self.inner.snapshot_task).take();
        if let Some(task) = task {
            // A panic was logged.
            let _ = task.await;
        }
    }

    /// The baker of this publisher.
    pub fn baker(&self) -> &Baker {
        &self.inner.baker
    }

    /// Bakes all items of the store in a thread of its own. Requested items have priority.
    pub fn bake_all(&self) {
        let baker = self.inner.baker.clone();
        task::blocking("baking all items", move || match baker.bake_all() {
            Ok(()) | Err(BakeError::Stopped) => {}
            Err(error) => tracing::error!(%error, "can't bake all items of the store"),
        });
    }
}

impl Handler for Publisher {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            if Gateway::owns(request.uri().path()) {
                let response = self.inner.gateway.handle(request).await;
                let found = !response.status().is_client_error();
                self.inner.metrics.count(RequestKind::Gateway, found);
                return response;
            }
            if inspect::owns(request.uri().path()) {
                return inspect::answer(request.method(), request.uri().path());
            }
            let mut response = self.inner.answer(request).await;
            // Everything is public, and service workers of other origins may read it.
            let anyone = header::HeaderValue::from_static("*");
            response
                .headers_mut()
                .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anyone);
            response
        })
    }
}

impl Inner {
    async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answers::not_found(NotFoundPhrase::NotFound, path, None);
        }
        let route = routes::parse(path, &self.narinfo_writer.nar_path);
        let (kind, response) = match route {
            Route::NarInfo(hash) => (RequestKind::NarInfo, self.narinfo(&hash, path).await),
            Route::Nar {
                method,
                whole,
                item,
            } => (
                RequestKind::Nar,
                self.nar(&request, method, whole, &item).await,
            ),
            other => (RequestKind::Other, self.other(other, &request).await),
        };
        self.metrics.count(kind, response.status().is_success());
        response
    }

    async fn other(self: &Arc<Self>, route: Route, request: &Request) -> Response {
        let path = request.uri().path();
        let found = match route {
            Route::Index => Ok(Some(answers::ok(answers::HTML, self.index(request)))),
            Route::CacheInfo => Ok(Some(answers::ok(answers::TEXT, self.cache_info.clone()))),
            Route::SigningKey => Ok(Some(&self.public_keys)
                .filter(|keys| !keys.is_empty())
                .map(|keys| answers::ok(answers::FILE_TEXT, keys.clone()))),
            Route::Health => Ok(Some(answers::ok(answers::TEXT, "ok\n"))),
            Route::Metrics => {
                let baker = self.baker.clone();
                let space =
                    task::blocking("measuring the cache", move || baker.space().ok().flatten());
                let space = space.await.ok().flatten();
                let text = self.metrics.text(
                    self.baker.counts(),
                    space,
                    self.uploaded.as_deref(),
                    self.snapshots.as_deref(),
                );
                Ok(Some(answers::ok("text/plain; version=0.0.4", text)))
            }
            Route::Listing(hash) => self.listing(hash).await,
            Route::Items => self.items(request).await,
            Route::File { name, hash } => self.fixed_output(&name, &hash).await,
            Route::Log(name) => self.log(name).await,
            Route::NarInfo(_) | Route::Nar { .. } | Route::Unknown => Ok(None),
        };
        match found {
            Ok(Some(response)) => response,
            Ok(None) => answers::not_found(NotFoundPhrase::NotFound, path, None),
            Err(error) => answers::failed(&error, path),
        }
    }

    fn index(&self, request: &Request) -> String {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let page = IndexPage {
            host: &self.narinfo_writer.host,
            dialect: self.narinfo_writer.dialect,
            store_dir: self.baker.source().store_dir(),
            keys: &self.public_keys,
            url: &format!("http://{}", host.unwrap_or("localhost")),
        };
        page.html()
    }

    /// Returns Nix's list of an item's files. If the item isn't baked, requests its bake.
    async fn listing(self: &Arc<Self>, hash: String) -> Found {
        let inner = Arc::clone(self);
        let listing = task::blocking(("reading a listing", hash.clone()), move || {
            let baker = &inner.baker;
            if baker.get(&hash).is_some() {
                return baker.listing(&hash);
            }
            let item = baker.source().find(&hash).ok()??;
            let prepared = baker.source().prepared(&item);
            baker.request(item, Urgency::Requested);
            std::fs::read(prepared?.listing?).ok().map(Into::into)
        });
        let listing = listing.await?;
        Ok(listing.map(|listing| answers::with_ttl(answers::ok(answers::JSON, listing), self.ttl)))
    }

    async fn fixed_output(&self, name: &str, hash: &str) -> Found {
        let source = Arc::clone(self.baker.source());
        let Some(path) = files::fixed_output(source.store_dir(), name, hash) else {
            return Ok(None);
        };
        let (asked, work) = (Arc::clone(&source), ("finding an item", path.clone()));
        let item = task::blocking(work, move || asked.find_path(&path).ok()?);
        let Some(item) = item.await? else {
            return Ok(None);
        };
        let content = files::content(source, item).await?;
        Ok(content.map(|(_, body)| server::stream(http::StatusCode::OK, answers::FILE, body)))
    }

    async fn log(&self, name: String) -> Found {
        let source = Arc::clone(self.baker.source());
        let log = task::blocking(("reading a build log", name.clone()), move || {
            source.log(&name).unwrap_or_else(|error| {
                tracing::warn!(%error, "can't read a build log");
                None
            })
        });
        let Some(log) = log.await? else {
            return Ok(None);
        };
        let content_type = match log.compression {
            Compression::Bzip2 => "application/x-bzip2;charset=ISO-8859-1",
            _ => answers::FILE_TEXT,
        };
        let body = files::body(log.file, 0..log.size);
        let mut response = server::stream(http::StatusCode::OK, content_type, body);
        if log.compression == Compression::Gzip {
            let gzip = http::HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
        }
        Ok(Some(response))
    }
}

/// The response to a request, or `None` for a 404.
type Found = Result<Option<Response>, WorkError>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the files at the root of a snapshot, beside the narinfos.
fn snapshot_files(cache_info: &str, public_keys: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![("nix-cache-info", cache_info.as_bytes().to_vec())];
    if !public_keys.is_empty() {
        files.push(("signing-key.pub", public_keys.as_bytes().to_vec()));
    }
    files
}

fn public_keys(dialect: Dialect, keys: &Keys) -> String {
    match dialect {
        Dialect::Guix => keys
            .guix
            .as_ref()
            .map(|(text, _)| text.clone())
            .unwrap_or_default(),
        Dialect::Nix => keys
            .nix
            .iter()
            .map(|key| format!("{}\n", key.public_key()))
            .collect(),
    }
}

/// Returns the text of `nix-cache-info`. The numbers for Guix are Guix's own; those for Nix make
/// clients ask this server before cache.nixos.org (priority 40).
fn cache_info(dialect: Dialect, store_dir: &str) -> String {
    let (mass_query, priority) = match dialect {
        Dialect::Guix => (0, 100),
        Dialect::Nix => (1, 30),
    };
    format!("StoreDir: {store_dir}\nWantMassQuery: {mass_query}\nPriority: {priority}\n")
}
