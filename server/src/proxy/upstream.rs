//! The caches behind the proxy: asks them for narinfos, all at once, and believes what [`interplanar_core::install`] says is to be
//! believed. What isn't is logged.

use super::directory::{Directory, File};
use super::metrics::Metrics;
use crate::net::client::{HttpError, get_small};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use interplanar_core::install::{self, Answer, Known, PATIENCE, Said};
use interplanar_core::narinfo::MAX_NARINFO;
use interplanar_core::trust::TrustedKeys;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Where a cache is.
pub(super) enum Upstream {
    /// Behind a server; ends in a slash.
    Http(Url),
    /// On IPFS.
    Directory(Box<Directory>),
}

/// The upstreams, in order of preference.
pub(super) struct Upstreams {
    pub(super) client: reqwest::Client,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) keys: TrustedKeys,
    pub(super) metrics: Arc<Metrics>,
}

impl Upstreams {
    /// Asks all of them for the narinfo of `hash_part`; with the time that the answer may be kept.
    pub(super) async fn ask(&self, hash_part: &str) -> (Answer, Duration) {
        let asked = self.upstreams.iter().enumerate();
        let mut asking: FuturesUnordered<_> = asked
            .map(|(rank, url)| async move { (rank, self.ask_one(url, hash_part).await) })
            .collect();
        let mut answers: Vec<Option<Said>> = vec![None; self.upstreams.len()];
        while !install::is_settled(&answers) {
            let next = if answers.iter().flatten().any(Said::is_found) {
                tokio::time::timeout(PATIENCE, asking.next())
                    .await
                    .unwrap_or(None)
            } else {
                asking.next().await
            };
            let Some((rank, said)) = next else { break };
            if let Some(answer) = answers.get_mut(rank) {
                *answer = Some(said);
            }
        }
        install::summary(answers)
    }

    async fn ask_one(&self, upstream: &Upstream, hash_part: &str) -> Said {
        match upstream {
            Upstream::Http(url) => self.ask_server(url, hash_part).await,
            Upstream::Directory(directory) => self.read(directory, hash_part).await,
        }
    }

    async fn read(&self, directory: &Directory, hash_part: &str) -> Said {
        let name = format!("{hash_part}.narinfo");
        let (body, root) = match directory.file(&name, MAX_NARINFO).await {
            File::Here { body, root } => (body, root),
            File::Absent => return Said::absent(None),
            File::Failed => return Said::Failed,
        };
        match Known::believe(&body, hash_part, &root, &self.keys) {
            Ok(known) => Said::found(known, None),
            Err(error) => self.refuse(&format_args!("{root}/{name}"), &error),
        }
    }

    async fn ask_server(&self, upstream: &Url, hash_part: &str) -> Said {
        let Ok(url) = upstream.join(&format!("{hash_part}.narinfo")) else {
            return Said::Failed;
        };
        let small = match get_small(&self.client, &url, MAX_NARINFO).await {
            Ok(small) => small,
            Err(error @ HttpError::TooLong { .. }) => return self.refuse(&url, &error),
            Err(error) => {
                tracing::warn!(%url, %error, "upstream can't be asked");
                return Said::Failed;
            }
        };
        if small.status != StatusCode::OK {
            return Said::absent(small.fresh_for);
        }
        match Known::believe(&small.body, hash_part, upstream.as_str(), &self.keys) {
            Ok(known) => Said::found(known, small.fresh_for),
            Err(error) => self.refuse(&url, &error),
        }
    }

    fn refuse(&self, url: &dyn std::fmt::Display, reason: &dyn std::fmt::Display) -> Said {
        tracing::warn!(%url, %reason, "narinfo not believed");
        self.metrics.narinfo_refused.add(1);
        Said::absent(None)
    }

    /// The store directory that the first upstream that answers tells.
    pub(super) async fn store_dir(&self) -> Option<String> {
        const NAME: &str = "nix-cache-info";
        for upstream in &self.upstreams {
            let body = match upstream {
                Upstream::Http(url) => {
                    let url = url.join(NAME).ok()?;
                    match get_small(&self.client, &url, MAX_NARINFO).await {
                        Ok(small) => small.body.to_vec(),
                        Err(_) => continue,
                    }
                }
                Upstream::Directory(directory) => match directory.file(NAME, MAX_NARINFO).await {
                    File::Here { body, .. } => body,
                    File::Absent | File::Failed => continue,
                },
            };
            if let Some(directory) = install::store_dir(&body) {
                return Some(directory.to_owned());
            }
        }
        None
    }
}
