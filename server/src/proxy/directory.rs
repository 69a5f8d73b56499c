//! An upstream that is a directory on IPFS: `ipfs://<cid>`, or the target of a name,
//! `ipns://<key>`.
//!
//! ```text
//! gateways ─► records, each verified with the name's key
//!          ─► the newest, never older than the last one ─► root ─► narinfos, NARs
//! ```
//! The last record is stored in `<cache>/ipns/<name>`. After a restart it prevents the use of an
//! older record, and it needs no gateway while it is valid. A new record is requested when the TTL
//! of the last one is over.
//!
//! Restriction: a record must point to `/ipfs/…`, not to another name.

use super::cache::Cache;
use super::metrics::Metrics;
use crate::atomic;
use crate::net::client::{fetch_ipfs, get_small};
use crate::task;
use crate::unix_time::now;
use bytes::BytesMut;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::fetch::{FetchError, GatewayPool, Options};
use interplanar_core::install::PATIENCE;
use interplanar_core::ipns::{MAX_RECORD, Name, Record};
use interplanar_core::unixfs::{Budget, UnixFsError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::Url;

/// Limits for the time between two requests for a record, whatever its TTL.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Time until the next request when no gateway had a record.
const RETRY: Duration = Duration::from_secs(10);
/// Maximum number of blocks for a small file: those on its path and its own. No directory has so
/// many levels.
const MAX_BLOCKS: u64 = 64;

/// A cache in a directory on IPFS. See the module.
pub(super) struct Directory {
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    /// Gateways that are asked for records.
    urls: Vec<Url>,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    root: DirectoryRoot,
}

enum DirectoryRoot {
    Fixed(IpfsUrl),
    Name(Box<NameState>),
}

struct NameState {
    name: Name,
    /// File in which the last record is stored.
    record_file: PathBuf,
    known: tokio::sync::Mutex<LastRecord>,
}

/// The last record of a name.
#[derive(Default)]
struct LastRecord {
    record: Option<Record>,
    /// When to request a newer record.
    next_request: Option<Instant>,
}

/// Configuration of a [`Directory`].
pub(super) struct DirectoryConfig {
    pub(super) client: reqwest::Client,
    pub(super) gateways: Arc<Mutex<GatewayPool>>,
    pub(super) urls: Vec<Url>,
    pub(super) cache: Arc<Cache>,
    pub(super) metrics: Arc<Metrics>,
    /// The proxy's cache folder.
    pub(super) dir: PathBuf,
}

/// Result of reading a file in the directory.
pub(super) enum FileResult {
    Found { body: Vec<u8>, root: String },
    Absent,
    Failed,
}

impl Directory {
    /// Reads the stored record. Returns `None` if the URL is not a directory on IPFS. Blocking.
    pub(super) fn new(url: &Url, config: DirectoryConfig) -> Option<Self> {
        let root = match parse_target(url)? {
            UpstreamTarget::Ipfs(url) => DirectoryRoot::Fixed(url),
            UpstreamTarget::Ipns(name) => {
                let record_file = config.dir.join("ipns").join(name.to_string());
                let record = std::fs::read(&record_file).ok();
                let record = record.and_then(|bytes| Record::verify(&name, &bytes).ok());
                let known = LastRecord {
                    record,
                    next_request: None,
                };
                DirectoryRoot::Name(Box::new(NameState {
                    name,
                    record_file,
                    known: tokio::sync::Mutex::new(known),
                }))
            }
        };
        Some(Self {
            client: config.client,
            gateways: config.gateways,
            urls: config.urls,
            cache: config.cache,
            metrics: config.metrics,
            root,
        })
    }

    /// Reads a small file in the directory, verified block by block. Returns it with the
    /// directory's root.
    pub(super) async fn file(&self, name: &str, limit: usize) -> FileResult {
        let Some(root) = self.root().await else {
            return FileResult::Failed;
        };
        let mut url = root.clone();
        url.path.push(name.to_owned());
        let budget = Budget {
            blocks: MAX_BLOCKS,
            output: limit as u64,
            ..Budget::default()
        };
        let options = Options {
            budget,
            ..Options::default()
        };
        let blocks = Some(self.cache.for_fetch(&url.cid));
        let gateways = Arc::clone(&self.gateways);
        let mut stream = fetch_ipfs(&self.client, &url, options, gateways, blocks, |_| {});
        let mut body = BytesMut::new();
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(FetchError::Walk(UnixFsError::NotFound { .. })) => return FileResult::Absent,
                Err(error) => {
                    tracing::warn!(%url, %error, "can't read from the upstream");
                    return FileResult::Failed;
                }
            }
        }
        if stream.summary().is_none() {
            return FileResult::Failed;
        }
        FileResult::Found {
            body: body.to_vec(),
            root: root.to_string(),
        }
    }

    async fn root(&self) -> Option<IpfsUrl> {
        let NameState {
            name,
            record_file,
            known,
        } = match &self.root {
            DirectoryRoot::Fixed(url) => return Some(url.clone()),
            DirectoryRoot::Name(name) => name.as_ref(),
        };
        let mut known = known.lock().await;
        if known
            .next_request
            .is_none_or(|next_request| next_request <= Instant::now())
        {
            let found = self.newest_record(name, known.record.as_ref()).await;
            let ttl = found.as_ref().map_or(RETRY, |(record, _)| record.ttl());
            known.next_request = Some(Instant::now() + ttl.clamp(*TTL.start(), *TTL.end()));
            if let Some((record, bytes)) = found {
                if known.record.as_ref() != Some(&record) {
                    tracing::info!(%name, sequence = record.sequence(), value = record.value(), "found a newer IPNS record");
                    store_record(record_file.clone(), bytes).await;
                }
                known.record = Some(record);
            }
        }
        let record = known.record.as_ref()?;
        if !record.is_valid_at(now()) {
            tracing::warn!(%name, "the last IPNS record has expired, and no gateway has a newer one");
            return None;
        }
        record.ipfs()
    }

    /// Returns the newest record of all gateways, if it is not older than the known one.
    async fn newest_record(
        &self,
        name: &Name,
        known: Option<&Record>,
    ) -> Option<(Record, Vec<u8>)> {
        let requests = self
            .urls
            .iter()
            .map(|gateway| self.ask(gateway, name, known));
        let mut pending: FuturesUnordered<_> = requests.collect();
        let mut best: Option<(Record, Vec<u8>)> = None;
        loop {
            // After the first answer, wait a little for gateways with a newer record.
            let next = match best {
                None => pending.next().await,
                Some(_) => tokio::time::timeout(PATIENCE, pending.next())
                    .await
                    .unwrap_or(None),
            };
            let Some(answer) = next else {
                return best;
            };
            if let Some((record, bytes)) = answer
                && best
                    .as_ref()
                    .is_none_or(|(best, _)| order(best) < order(&record))
            {
                best = Some((record, bytes));
            }
        }
    }

    async fn ask(
        &self,
        gateway: &Url,
        name: &Name,
        known: Option<&Record>,
    ) -> Option<(Record, Vec<u8>)> {
        let url = gateway
            .join(&format!("ipns/{name}?format=ipns-record"))
            .ok()?;
        let response = match get_small(&self.client, &url, MAX_RECORD).await {
            Ok(response) if response.status == StatusCode::OK => response,
            Ok(response) => {
                tracing::warn!(%gateway, %name, status = %response.status, "the gateway sent no IPNS record");
                return None;
            }
            Err(error) => {
                tracing::warn!(%gateway, %name, %error, "can't get an IPNS record");
                return None;
            }
        };
        let reject = |reason: &dyn std::fmt::Display| {
            tracing::warn!(%gateway, %name, %reason, "rejected an IPNS record");
            self.metrics.records_refused.add(1);
        };
        let record = match Record::verify(name, &response.body) {
            Ok(record) => record,
            Err(error) => {
                reject(&error);
                return None;
            }
        };
        if known.is_some_and(|known| order(&record) < order(known)) {
            reject(&"it is older than an earlier record");
        } else if !record.is_valid_at(now()) {
            reject(&"it has expired");
        } else if record.ipfs().is_none() {
            reject(&"it points to another name, not to /ipfs/");
        } else {
            return Some((record, response.body.to_vec()));
        }
        None
    }
}

/// Returns the numbers that order records by age. The newer record has the larger ones.
fn order(record: &Record) -> (u64, u64) {
    (record.sequence(), record.valid_until())
}

/// Writes a record atomically. If that fails, it is requested again after a restart.
async fn store_record(path: PathBuf, bytes: Vec<u8>) {
    let written = task::blocking("storing an IPNS record", move || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        atomic::write(&path, &bytes)
    });
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "can't store the IPNS record"),
        Err(error) => tracing::warn!(%error, "can't store the IPNS record"),
    }
}

/// The address of an upstream on IPFS.
pub(crate) enum UpstreamTarget {
    /// A directory.
    Ipfs(IpfsUrl),
    /// An IPNS name.
    Ipns(Name),
}

/// Parses `ipfs://<cid>[/path]` and `ipns://<name>`.
pub(crate) fn parse_target(url: &Url) -> Option<UpstreamTarget> {
    match url.scheme() {
        "ipfs" => IpfsUrl::parse(url.as_str()).ok().map(UpstreamTarget::Ipfs),
        "ipns" => Name::parse(url.as_str()).ok().map(UpstreamTarget::Ipns),
        _ => None,
    }
}
