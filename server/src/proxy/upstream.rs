//! The caches behind the proxy. Asks all of them for a narinfo at once.
//! [`interplanar_core::install`] decides which answer is valid; the others are logged.

use super::directory::{Directory, FileResult};
use super::metrics::Metrics;
use crate::net::client::{HttpError, get_small};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use interplanar_core::install::{self, Answer, Expected, Known, PATIENCE, Said};
use interplanar_core::narinfo::MAX_NARINFO;
use interplanar_core::trust::TrustedKeys;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::OnceCell;
use url::Url;

/// A cache.
pub(super) struct Upstream {
    address: Address,
    /// The store directory in its `nix-cache-info`, once that was read.
    store_dir: OnceLock<String>,
}

/// The address of a cache.
pub(super) enum Address {
    /// The URL of a server. Ends in a slash.
    Http(Url),
    /// A directory on IPFS.
    Directory(Box<Directory>),
}

/// The upstreams, in order of preference.
pub(super) struct Upstreams {
    pub(super) client: reqwest::Client,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) keys: TrustedKeys,
    pub(super) metrics: Arc<Metrics>,
    /// The configured store directory.
    pub(super) store_dir: Option<String>,
    /// The store directory of the first upstream that answered.
    pub(super) first_store_dir: OnceCell<String>,
}

impl Upstream {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            store_dir: OnceLock::new(),
        }
    }
}

impl Upstreams {
    /// Asks all upstreams for the narinfo of `hash_part`. Returns the answer and how long it may be
    /// cached.
    pub(super) async fn ask(&self, hash_part: &str) -> (Answer, Duration) {
        let requests = self.upstreams.iter().enumerate();
        let mut pending: FuturesUnordered<_> = requests
            .map(|(rank, url)| async move { (rank, self.ask_one(url, hash_part).await) })
            .collect();
        let mut answers: Vec<Option<Said>> = vec![None; self.upstreams.len()];
        while !install::is_settled(&answers) {
            let next = if answers.iter().flatten().any(Said::is_found) {
                tokio::time::timeout(PATIENCE, pending.next())
                    .await
                    .unwrap_or(None)
            } else {
                pending.next().await
            };
            let Some((rank, answer)) = next else { break };
            if let Some(slot) = answers.get_mut(rank) {
                *slot = Some(answer);
            }
        }
        install::summary(answers)
    }

    async fn ask_one(&self, upstream: &Upstream, hash_part: &str) -> Said {
        let configured = self.store_dir.as_ref();
        let store_dir = configured.or_else(|| upstream.store_dir.get());
        let expected = Expected {
            hash_part,
            store_dir: store_dir.map(String::as_str),
        };
        match &upstream.address {
            Address::Http(url) => self.ask_server(url, expected).await,
            Address::Directory(directory) => self.read(directory, expected).await,
        }
    }

    async fn read(&self, directory: &Directory, expected: Expected<'_>) -> Said {
        let name = format!("{}.narinfo", expected.hash_part);
        let (body, root) = match directory.file(&name, MAX_NARINFO).await {
            FileResult::Found { body, root } => (body, root),
            FileResult::Absent => return Said::absent(None),
            FileResult::Failed => return Said::Failed,
        };
        match Known::believe(&body, expected, &root, &self.keys) {
            Ok(known) => Said::found(known, None),
            Err(error) => self.reject(&format_args!("{root}/{name}"), &error),
        }
    }

    async fn ask_server(&self, upstream: &Url, expected: Expected<'_>) -> Said {
        let Ok(url) = upstream.join(&format!("{}.narinfo", expected.hash_part)) else {
            return Said::Failed;
        };
        let response = match get_small(&self.client, &url, MAX_NARINFO).await {
            Ok(response) => response,
            Err(error @ HttpError::TooLong { .. }) => return self.reject(&url, &error),
            Err(error) => {
                tracing::warn!(%url, %error, "can't reach the upstream");
                return Said::Failed;
            }
        };
        if response.status != StatusCode::OK {
            return Said::absent(response.fresh_for);
        }
        match Known::believe(&response.body, expected, upstream.as_str(), &self.keys) {
            Ok(known) => Said::found(known, response.fresh_for),
            Err(error) => self.reject(&url, &error),
        }
    }

    fn reject(&self, url: &dyn std::fmt::Display, reason: &dyn std::fmt::Display) -> Said {
        tracing::warn!(%url, %reason, "rejected a narinfo");
        self.metrics.narinfo_refused.add(1);
        Said::absent(None)
    }

    /// Returns the configured store directory, else that of the first upstream that answers.
    pub(super) async fn store_dir(&self) -> Option<String> {
        if let Some(configured) = &self.store_dir {
            return Some(configured.clone());
        }
        let ask = || async { self.ask_store_dir().await.ok_or(()) };
        self.first_store_dir
            .get_or_try_init(ask)
            .await
            .ok()
            .cloned()
    }

    async fn ask_store_dir(&self) -> Option<String> {
        const NAME: &str = "nix-cache-info";
        for upstream in &self.upstreams {
            let body = match &upstream.address {
                Address::Http(url) => {
                    let url = url.join(NAME).ok()?;
                    match get_small(&self.client, &url, MAX_NARINFO).await {
                        Ok(response) => response.body.to_vec(),
                        Err(_) => continue,
                    }
                }
                Address::Directory(directory) => match directory.file(NAME, MAX_NARINFO).await {
                    FileResult::Found { body, .. } => body,
                    FileResult::Absent | FileResult::Failed => continue,
                },
            };
            if let Some(directory) = install::store_dir(&body) {
                return Some(
                    upstream
                        .store_dir
                        .get_or_init(|| directory.to_owned())
                        .clone(),
                );
            }
        }
        None
    }
}
