//! `interplanar proxy`: a substitute server for unmodified clients that fetches NARs over IPFS.
//!
//! | path | answer |
//! |---|---|
//! | `/nix-cache-info` | store directory, priority |
//! | `/<hash part>.narinfo` | the upstream's narinfo, if trusted; its `URL` is the next line |
//! | `/nar/<hash part>-<NarHash>.nar` | the plain NAR; complete only if it has that hash |
//! | `/ipfs/<cid>…` | the blocks in the cache folder, as a trustless gateway |
//! | `/signing-key.pub` | the first trusted Guix key |
//! | `/inspect/` | the cache inspector |
//! | `/healthz`, `/metrics` | for monitoring |
//!
//! Only the signed lines of a narinfo are trusted. A narinfo for another store directory than that
//! of its cache is rejected, once the proxy knows that directory: it is configured, or in the
//! `nix-cache-info` that the proxy has read for a client. The proxy takes a NAR from local blocks, else
//! from the gateways, else over HTTP from the upstream. It decompresses, hashes and parses every NAR
//! while it passes, and never completes a wrong response.
//!
//! [`interplanar_core::install`] makes all decisions. This module has the sockets, the block store
//! and the threads.
//!
//! If a narinfo names a chunk index and installed items contain pieces of the NAR, the proxy
//! rebuilds the NAR from them. It then fetches only the rest ([`crate::installed`]).
//!
//! Restrictions: GET and HEAD; ranges only under `/ipfs/`.

mod cache;
mod delta;
mod direct;
mod directory;
mod keys;
mod lookup;
mod metrics;
mod nar;
mod prefetch;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod ttl_cache;
mod upstream;

use crate::blocks::BlocksError;
use crate::gateway::Gateway;
use crate::installed::{self, Indexer, Installed};
use crate::net::client::http_client;
use cache::Cache;
use interplanar_core::dedup::Prefer;
use interplanar_core::fetch::{self, GatewayPool, Policy};
use interplanar_core::trust::TrustedKeys;
use lookup::Lookup;
use metrics::Metrics;
use nar::NarServer;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;
use upstream::{Address, Upstream, Upstreams};
use url::Url;

pub use delta::EXPLAIN;
pub use direct::{Available, Found};
pub(crate) use directory::parse_target;
pub use keys::{KeyError, load as load_keys};
pub use ttl_cache::TtlCache;

/// Configuration of a proxy.
#[derive(Debug, Clone)]
pub struct Config {
    /// Caches, in order of preference. An HTTP URL ends in a slash. `ipfs://<cid>` and
    /// `ipns://<name>` are directories on IPFS.
    pub upstreams: Vec<Url>,
    /// IPFS gateways.
    pub gateways: Vec<Url>,
    /// Keys whose signatures are accepted.
    pub keys: TrustedKeys,
    /// Cache folder; created if it doesn't exist.
    pub cache: PathBuf,
    /// Maximum size of the block store, in bytes.
    pub cache_size: u64,
    /// Stores of this machine. Pieces that their items contain are not downloaded again.
    pub installed: installed::Config,
    /// What to optimise delta downloads for.
    pub prefer: Prefer,
    /// Store directory for `nix-cache-info`, and of all items. `None`: that of the upstreams.
    pub store_dir: Option<String>,
    /// Priority for `nix-cache-info`.
    pub priority: u32,
}

/// Why a proxy can't start.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The block store can't be used.
    #[error("can't open the block store")]
    Blocks(#[from] BlocksError),
    /// The HTTP client can't be set up.
    #[error("can't set up HTTP")]
    Http(#[from] reqwest::Error),
}

/// The proxy; a [`crate::net::server::Handler`].
pub struct Proxy {
    lookup: Lookup,
    nars: Arc<NarServer>,
    gateway: Gateway,
    metrics: Arc<Metrics>,
    keys: TrustedKeys,
    priority: u32,
    installed: Option<Arc<Installed>>,
    /// Stops when the proxy is dropped.
    _indexer: Option<Indexer>,
}

impl Proxy {
    /// Opens the block store and creates the proxy. Blocking.
    ///
    /// # Errors
    /// The block store is in use or damaged, or the HTTP client can't be set up.
    pub fn open(config: Config) -> Result<Self, ProxyError> {
        let client = http_client()?;
        let cache = Cache::open(&config.cache, config.cache_size)?;
        let metrics = Arc::new(Metrics::default());
        let gateways = config.gateways.iter().map(|url| fetch::Gateway {
            url: url.to_string(),
        });
        let gateways = Arc::new(Mutex::new(GatewayPool::new(gateways, Policy::default())));
        let upstream = |url: Url| {
            let settings = directory::DirectoryConfig {
                client: client.clone(),
                gateways: Arc::clone(&gateways),
                urls: config.gateways.clone(),
                cache: Arc::clone(&cache),
                metrics: Arc::clone(&metrics),
                dir: config.cache.clone(),
            };
            Upstream::new(match directory::Directory::new(&url, settings) {
                Some(directory) => Address::Directory(Box::new(directory)),
                None => Address::Http(url),
            })
        };
        let installed = installed(&config);
        let indexer = indexer(&config, installed.as_ref());
        let upstreams = Upstreams {
            client: client.clone(),
            upstreams: config.upstreams.into_iter().map(upstream).collect(),
            keys: config.keys.clone(),
            metrics: Arc::clone(&metrics),
            store_dir: config.store_dir,
            first_store_dir: OnceCell::new(),
        };
        Ok(Self {
            lookup: Lookup::new(upstreams, Arc::clone(&metrics)),
            gateway: Gateway::new(Arc::new(cache.blocks().clone())),
            nars: Arc::new(NarServer::new(
                client,
                gateways,
                cache,
                Arc::clone(&metrics),
                installed
                    .clone()
                    .map(|installed| (installed, config.prefer)),
            )),
            metrics,
            keys: config.keys,
            priority: config.priority,
            installed,
            _indexer: indexer,
        })
    }
}

/// Opens the installed index. Returns `None` if no store is configured or the index can't be
/// opened; then NARs are always fetched whole.
fn installed(config: &Config) -> Option<Arc<Installed>> {
    if config.installed.stores.is_empty() {
        return None;
    }
    let dir = config.cache.join(installed::FOLDER);
    Installed::open(&config.installed, &dir)
        .map_err(
            |error| tracing::warn!(%error, "can't open the installed index, so items are fetched whole"),
        )
        .ok()
        .map(Arc::new)
}

/// Starts the background indexer, if configured.
fn indexer(config: &Config, installed: Option<&Arc<Installed>>) -> Option<Indexer> {
    let installed = installed.filter(|_| config.installed.background)?;
    installed
        .start()
        .map_err(|error| tracing::warn!(%error, "can't start indexing installed items"))
        .ok()
}
