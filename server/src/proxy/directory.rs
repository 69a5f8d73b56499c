//! An upstream that is a directory on IPFS: `ipfs://<cid>`, or what a name leads to, `ipns://<key>`.
//!
//! ```text
//! gateways ─► records, each verified by the name's key ─► the newest one, never an older one than before ─► root ─► narinfos, NARs
//! ```
//! The last record is kept in `<cache>/ipns/<name>`, so that a restart doesn't go back either, and does without gateways while it is valid. A new one is
//! looked for when the record's TTL is over.
//!
//! Restriction: a record must lead to `/ipfs/…`, not to another name.

use super::cache::Cache;
use super::metrics::Metrics;
use crate::atomic;
use crate::net::client::{fetch_ipfs, get_small};
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

/// Bounds of the time for which a record isn't looked for again, whatever its TTL says.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// How soon it is looked for again when no gateway has given one.
const RETRY: Duration = Duration::from_secs(10);
/// Blocks on the way to a small file, and of it: more than a directory of any size has levels.
const MAX_BLOCKS: u64 = 64;

/// See the module.
pub(super) struct Directory {
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    /// Asked for records.
    urls: Vec<Url>,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    root: Root,
}

enum Root {
    Fixed(IpfsUrl),
    Named(Box<Named>),
}

struct Named {
    name: Name,
    /// The file of the last record.
    kept: PathBuf,
    known: tokio::sync::Mutex<Known>,
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    record: Option<Record>,
    /// When to look again.
    until: Option<Instant>,
}

/// What a directory is made from.
pub(super) struct Parts {
    pub(super) client: reqwest::Client,
    pub(super) gateways: Arc<Mutex<GatewayPool>>,
    pub(super) urls: Vec<Url>,
    pub(super) cache: Arc<Cache>,
    pub(super) metrics: Arc<Metrics>,
    /// Folder of the proxy's cache.
    pub(super) dir: PathBuf,
}

/// A file of the directory.
pub(super) enum File {
    Here { body: Vec<u8>, root: String },
    Absent,
    Failed,
}

impl Directory {
    /// `None` unless the URL is one of a directory on IPFS; reads the record that was kept. Blocks.
    pub(super) fn new(url: &Url, parts: Parts) -> Option<Self> {
        let root = match target(url)? {
            Target::Ipfs(url) => Root::Fixed(url),
            Target::Ipns(name) => {
                let kept = parts.dir.join("ipns").join(name.to_string());
                let record = std::fs::read(&kept).ok();
                let record = record.and_then(|bytes| Record::verify(&name, &bytes).ok());
                let known = Known {
                    record,
                    until: None,
                };
                Root::Named(Box::new(Named {
                    name,
                    kept,
                    known: tokio::sync::Mutex::new(known),
                }))
            }
        };
        Some(Self {
            client: parts.client,
            gateways: parts.gateways,
            urls: parts.urls,
            cache: parts.cache,
            metrics: parts.metrics,
            root,
        })
    }

    /// A small file at the root, verified block by block, with the root that it is in.
    pub(super) async fn file(&self, name: &str, limit: usize) -> File {
        let Some(root) = self.root().await else {
            return File::Failed;
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
                Err(FetchError::Walk(UnixFsError::NotFound { .. })) => return File::Absent,
                Err(error) => {
                    tracing::warn!(%url, %error, "the upstream can't be read");
                    return File::Failed;
                }
            }
        }
        if stream.summary().is_none() {
            return File::Failed;
        }
        File::Here {
            body: body.to_vec(),
            root: root.to_string(),
        }
    }

    async fn root(&self) -> Option<IpfsUrl> {
        let Named { name, kept, known } = match &self.root {
            Root::Fixed(url) => return Some(url.clone()),
            Root::Named(named) => named.as_ref(),
        };
        let mut known = known.lock().await;
        if known.until.is_none_or(|until| until <= Instant::now()) {
            let found = self.look(name, known.record.as_ref()).await;
            let ttl = found.as_ref().map_or(RETRY, |(record, _)| record.ttl());
            known.until = Some(Instant::now() + ttl.clamp(*TTL.start(), *TTL.end()));
            if let Some((record, bytes)) = found {
                if known.record.as_ref() != Some(&record) {
                    tracing::info!(%name, sequence = record.sequence(), value = record.value(), "a newer record");
                    keep(kept.clone(), bytes).await;
                }
                known.record = Some(record);
            }
        }
        let record = known.record.as_ref()?;
        if !record.is_valid_at(now()) {
            tracing::warn!(%name, "the last record has expired, and no gateway has a newer one");
            return None;
        }
        record.ipfs()
    }

    /// The newest record that a gateway gives, if it isn't older than the one that is known.
    async fn look(&self, name: &Name, known: Option<&Record>) -> Option<(Record, Vec<u8>)> {
        let asked = self
            .urls
            .iter()
            .map(|gateway| self.ask(gateway, name, known));
        let mut asking: FuturesUnordered<_> = asked.collect();
        let mut best: Option<(Record, Vec<u8>)> = None;
        loop {
            // Whoever has an answer waits for those that may have a newer one, but not for long.
            let next = match best {
                None => asking.next().await,
                Some(_) => tokio::time::timeout(PATIENCE, asking.next())
                    .await
                    .unwrap_or(None),
            };
            let Some(answer) = next else {
                return best;
            };
            if let Some((record, bytes)) = answer
                && best
                    .as_ref()
                    .is_none_or(|(best, _)| age(best) < age(&record))
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
        let small = match get_small(&self.client, &url, MAX_RECORD).await {
            Ok(small) if small.status == StatusCode::OK => small,
            Ok(small) => {
                tracing::warn!(%gateway, %name, status = %small.status, "no record");
                return None;
            }
            Err(error) => {
                tracing::warn!(%gateway, %name, %error, "no record");
                return None;
            }
        };
        let refuse = |reason: &dyn std::fmt::Display| {
            tracing::warn!(%gateway, %name, %reason, "record refused");
            self.metrics.records_refused.add(1);
        };
        let record = match Record::verify(name, &small.body) {
            Ok(record) => record,
            Err(error) => {
                refuse(&error);
                return None;
            }
        };
        if known.is_some_and(|known| age(&record) < age(known)) {
            refuse(&"it is older than one that was seen");
        } else if !record.is_valid_at(now()) {
            refuse(&"it has expired");
        } else if record.ipfs().is_none() {
            refuse(&"it leads to another name, and not to /ipfs/");
        } else {
            return Some((record, small.body.to_vec()));
        }
        None
    }
}

/// What decides which of two records is the newer one.
fn age(record: &Record) -> (u64, u64) {
    (record.sequence(), record.valid_until())
}

/// Writes a record whole or not at all; one that isn't kept is asked for again.
async fn keep(path: PathBuf, bytes: Vec<u8>) {
    let kept = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        atomic::write(&path, &bytes)
    });
    match kept.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the record can't be kept"),
        Err(error) => tracing::warn!(%error, "the record can't be kept"),
    }
}

/// Where an upstream on IPFS is.
pub(crate) enum Target {
    /// A directory.
    Ipfs(IpfsUrl),
    /// What a name leads to.
    Ipns(Name),
}

/// Reads `ipfs://<cid>[/path]` and `ipns://<name>`.
pub(crate) fn target(url: &Url) -> Option<Target> {
    match url.scheme() {
        "ipfs" => IpfsUrl::parse(url.as_str()).ok().map(Target::Ipfs),
        "ipns" => Name::parse(url.as_str()).ok().map(Target::Ipns),
        _ => None,
    }
}
