//! The caches behind the proxy: asks them for narinfos and believes only what a trusted key signed.
//!
//! All are asked at once. The answer of the first in order wins; one further back is taken when those before it don't answer
//! within [`PATIENCE`] of it. A narinfo that is unsigned, signed by nobody we trust, wrongly signed, or of another store item is
//! as good as none, and logged.

use super::known::Known;
use super::metrics::Metrics;
use crate::net::client::{HttpError, get_small};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use interplanar_core::narinfo::{MAX_NARINFO, NarInfo};
use interplanar_core::trust::{TrustedKeys, Unverified};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long an answer waits for those of upstreams that are preferred.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a narinfo is believed whose upstream doesn't say: those of store items hardly ever change.
const FOUND_TTL: Duration = Duration::from_secs(3600);
/// How long an absence is believed whose upstream doesn't say.
const ABSENT_TTL: Duration = Duration::from_secs(30);
/// How long an absence is believed when some upstream couldn't be asked.
const UNSURE_TTL: Duration = Duration::from_secs(5);
/// Longest time that an upstream can ask for.
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the upstreams say of one store item.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// It is there.
    Found(Arc<Known>),
    /// At least one answered, and none has it.
    Absent,
    /// None could be asked.
    Unreachable,
}

/// The upstreams, in order of preference.
pub(super) struct Upstreams {
    pub(super) client: reqwest::Client,
    pub(super) urls: Vec<Url>,
    pub(super) keys: TrustedKeys,
    pub(super) metrics: Arc<Metrics>,
}

impl Upstreams {
    /// Asks all of them for the narinfo of `hash_part`; with the time that the answer may be kept.
    pub(super) async fn ask(&self, hash_part: &str) -> (Answer, Duration) {
        let asked = self.urls.iter().enumerate();
        let mut asking: FuturesUnordered<_> = asked
            .map(|(rank, url)| async move { (rank, self.ask_one(url, hash_part).await) })
            .collect();
        let mut answers: Vec<Option<One>> = Vec::new();
        answers.resize_with(self.urls.len(), || None);
        loop {
            // The best answer is final when nobody before it is still being asked.
            let settled = answers.iter().take_while(|answer| answer.is_some());
            if settled.flatten().any(|one| matches!(one, One::Found(..))) {
                break;
            }
            let found = answers
                .iter()
                .flatten()
                .any(|one| matches!(one, One::Found(..)));
            let next = if found {
                tokio::time::timeout(PATIENCE, asking.next())
                    .await
                    .unwrap_or(None)
            } else {
                asking.next().await
            };
            let Some((rank, one)) = next else { break };
            if let Some(answer) = answers.get_mut(rank) {
                *answer = Some(one);
            }
        }
        summary(answers)
    }

    async fn ask_one(&self, upstream: &Url, hash_part: &str) -> One {
        let Ok(url) = upstream.join(&format!("{hash_part}.narinfo")) else {
            return One::Failed;
        };
        let small = match get_small(&self.client, &url, MAX_NARINFO).await {
            Ok(small) => small,
            Err(error @ HttpError::TooLong { .. }) => return self.refuse(&url, &error),
            Err(error) => {
                tracing::warn!(%url, %error, "upstream can't be asked");
                return One::Failed;
            }
        };
        if small.status != StatusCode::OK {
            return One::Absent(small.fresh_for.unwrap_or(ABSENT_TTL).min(MAX_TTL));
        }
        let narinfo = match NarInfo::parse(&small.body) {
            Ok(narinfo) => narinfo,
            Err(error) => return self.refuse(&url, &error),
        };
        match self.keys.verify(Unverified::new(narinfo)) {
            Err(error) => self.refuse(&url, &error),
            Ok(narinfo) if narinfo.store_path().hash_part() != hash_part => {
                self.refuse(&url, &"it is the narinfo of another store item")
            }
            Ok(narinfo) => {
                let ttl = small.fresh_for.unwrap_or(FOUND_TTL).min(MAX_TTL);
                One::Found(Arc::new(Known::new(narinfo, upstream.clone())), ttl)
            }
        }
    }

    fn refuse(&self, url: &Url, reason: &dyn std::fmt::Display) -> One {
        tracing::warn!(%url, %reason, "narinfo not believed");
        self.metrics.narinfo_refused.add(1);
        One::Absent(ABSENT_TTL)
    }

    /// The store directory that the first upstream that answers tells.
    pub(super) async fn store_dir(&self) -> Option<String> {
        for upstream in &self.urls {
            let url = upstream.join("nix-cache-info").ok()?;
            let Ok(small) = get_small(&self.client, &url, MAX_NARINFO).await else {
                continue;
            };
            let text = std::str::from_utf8(&small.body).unwrap_or_default();
            let mut values = text
                .lines()
                .filter_map(|line| line.strip_prefix("StoreDir:"));
            if let Some(directory) = values
                .next()
                .map(str::trim)
                .filter(|directory| directory.starts_with('/'))
            {
                return Some(directory.to_owned());
            }
        }
        None
    }
}

/// What one upstream says.
enum One {
    Found(Arc<Known>, Duration),
    Absent(Duration),
    Failed,
}

fn summary(answers: Vec<Option<One>>) -> (Answer, Duration) {
    let mut absent = None;
    let mut failed = false;
    for answer in answers {
        match answer {
            Some(One::Found(known, ttl)) => return (Answer::Found(known), ttl),
            Some(One::Absent(ttl)) => absent = Some(absent.map_or(ttl, |other| ttl.min(other))),
            Some(One::Failed) | None => failed = true,
        }
    }
    match (absent, failed) {
        (Some(ttl), false) => (Answer::Absent, ttl),
        (Some(ttl), true) => (Answer::Absent, ttl.min(UNSURE_TTL)),
        (None, _) => (Answer::Unreachable, Duration::ZERO),
    }
}
