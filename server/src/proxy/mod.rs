//! `interplanar proxy`: a substitute server for stock clients that gets its NARs from IPFS.
//!
//! | path | answer |
//! |---|---|
//! | `/nix-cache-info` | store directory, priority |
//! | `/<hash part>.narinfo` | the upstream's narinfo, if a trusted key signed it, leading to the next line |
//! | `/nar/<hash part>-<NarHash>.nar` | the plain NAR; complete only if it has that hash |
//! | `/ipfs/<cid>…` | the blocks kept here, as a trustless gateway gives them |
//! | `/signing-key.pub` | the first Guix key that is trusted here |
//! | `/inspect/` | the cache inspector, for people |
//! | `/healthz`, `/metrics` | for those who watch over it |
//!
//! The signed lines of a narinfo are the only thing that is trusted. A NAR comes from local blocks, else from the gateways, else over
//! HTTP from the upstream; whatever the source, it is decoded and hashed on its way, and a response that isn't right
//! is never completed.
//!
//! What is decided on the way is [`interplanar_core::install`]'s; here are the sockets, the block store and the threads.
//!
//! Where a narinfo names a chunk index and installed items have pieces of the NAR, it is rebuilt from them, and only the rest is fetched
//! ([`crate::installed`]).
//!
//! Restrictions: GET and HEAD; ranges only under `/ipfs/`.

mod ahead;
mod cache;
mod delta;
mod direct;
mod directory;
mod keys;
mod lookup;
mod metrics;
mod nar;
mod routes;
#[cfg(test)]
mod tests;
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
use nar::Nars;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use upstream::{Upstream, Upstreams};
use url::Url;

pub use delta::EXPLAIN;
pub use direct::{Available, Found};
pub(crate) use directory::target;
pub use keys::{KeyError, load as load_keys};
pub use ttl_cache::TtlCache;

/// What a proxy is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Caches, in order of preference; each URL of http ends in a slash. Also directories on IPFS, `ipfs://<cid>` and `ipns://<name>`.
    pub upstreams: Vec<Url>,
    /// IPFS gateways.
    pub gateways: Vec<Url>,
    /// Keys whose narinfos are believed.
    pub keys: TrustedKeys,
    /// Folder of the block store; made if it is not there.
    pub cache: PathBuf,
    /// Bytes of blocks that are kept.
    pub cache_size: u64,
    /// Stores of this machine, whose items are not fetched anew where others share pieces with them.
    pub installed: installed::Config,
    /// What a NAR that is put together of them should cost little of.
    pub prefer: Prefer,
    /// Told to clients; if none, what an upstream tells.
    pub store_dir: Option<String>,
    /// Told to Nix clients.
    pub priority: u32,
}

/// Why a proxy can't begin.
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
    nars: Arc<Nars>,
    gateway: Gateway,
    metrics: Arc<Metrics>,
    keys: TrustedKeys,
    store_dir: tokio::sync::OnceCell<String>,
    configured_store_dir: Option<String>,
    priority: u32,
    installed: Option<Arc<Installed>>,
    /// Ends with the proxy.
    _indexer: Option<Indexer>,
}

impl Proxy {
    /// Opens the block store and makes the proxy. Blocking.
    ///
    /// # Errors
    /// The block store is in use or broken, or HTTP can't be set up.
    pub fn open(config: Config) -> Result<Self, ProxyError> {
        let client = http_client()?;
        let cache = Cache::open(&config.cache, config.cache_size)?;
        let metrics = Arc::new(Metrics::default());
        let gateways = config.gateways.iter().map(|url| fetch::Gateway {
            url: url.to_string(),
        });
        let gateways = Arc::new(Mutex::new(GatewayPool::new(gateways, Policy::default())));
        let upstream = |url: Url| {
            let parts = directory::Parts {
                client: client.clone(),
                gateways: Arc::clone(&gateways),
                urls: config.gateways.clone(),
                cache: Arc::clone(&cache),
                metrics: Arc::clone(&metrics),
                dir: config.cache.clone(),
            };
            match directory::Directory::new(&url, parts) {
                Some(directory) => Upstream::Directory(Box::new(directory)),
                None => Upstream::Http(url),
            }
        };
        let installed = installed(&config);
        let indexer = indexer(&config, installed.as_ref());
        let upstreams = Upstreams {
            client: client.clone(),
            upstreams: config.upstreams.into_iter().map(upstream).collect(),
            keys: config.keys.clone(),
            metrics: Arc::clone(&metrics),
        };
        Ok(Self {
            lookup: Lookup::new(upstreams, Arc::clone(&metrics)),
            gateway: Gateway::new(Arc::new(cache.blocks().clone())),
            nars: Arc::new(Nars::new(
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
            store_dir: tokio::sync::OnceCell::new(),
            configured_store_dir: config.store_dir,
            priority: config.priority,
            installed,
            _indexer: indexer,
        })
    }
}

/// What is installed; `None` where nobody asks for it, or nothing can be noted: then all is fetched.
fn installed(config: &Config) -> Option<Arc<Installed>> {
    if config.installed.stores.is_empty() {
        return None;
    }
    let dir = config.cache.join(installed::FOLDER);
    Installed::open(&config.installed, &dir)
        .map_err(
            |error| tracing::warn!(%error, "what is installed can't be noted, so all is fetched"),
        )
        .ok()
        .map(Arc::new)
}

/// Keeps the index, if that is wanted.
fn indexer(config: &Config, installed: Option<&Arc<Installed>>) -> Option<Indexer> {
    let installed = installed.filter(|_| config.installed.background)?;
    installed
        .start()
        .map_err(|error| tracing::warn!(%error, "installed items aren't indexed"))
        .ok()
}
