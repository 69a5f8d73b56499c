//! Narinfos by hash part: from memory, from the runtime's cache, or from the upstreams. A narinfo
//! is accepted only if a trusted key signed it.

use super::gateways::warn;
use super::{Task, allow_pages, fresh_for, not_found};
use crate::page::Problem;
use crate::reply::Reply;
use crate::runtime_cache::{CachedNarinfo, cache_key};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::install::{
    self, Answer, Disbelief, Expected, Known, PATIENCE, Said, is_hash_part,
};
use interplanar_core::narinfo::{MAX_NARINFO, NarInfo};
use interplanar_core::trust::Hints;
use interplanar_wasm::driver::{HttpError, get_small, sleep};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a NAR per millisecond of CPU time: to hash its blocks, decompress, and hash the NAR.
const BYTES_PER_MS: u64 = 40 << 10;
/// How long to remember the CIDs in a narinfo, in milliseconds.
const NAMED_MS: f64 = 24.0 * 3600.0 * 1000.0;

impl Task {
    pub(super) async fn narinfo(&self, hash_part: &str) -> Result<Reply, Problem> {
        if !is_hash_part(hash_part) {
            return Err(not_found(hash_part));
        }
        match self.lookup(hash_part).await {
            (Answer::Found(known), left) => {
                let text = self.for_clients(&known);
                let mut reply = Reply::new(StatusCode::OK, "text/x-nix-narinfo", text);
                allow_pages(&mut reply.headers);
                Ok(fresh_for(reply, left))
            }
            (Answer::Absent, left) => {
                let text = "no upstream has this store item with a signature by a trusted key\n";
                let reply = Reply::new(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text);
                Ok(fresh_for(reply, left))
            }
            (Answer::Unreachable, _) => Err(unreachable_upstreams()),
        }
    }

    /// Returns the narinfo for clients. Its URL is this worker, or the upstream if the NAR needs
    /// more CPU time than the platform allows.
    fn for_clients(&self, known: &Known) -> bytes::Bytes {
        let limit = self
            .config()
            .cpu_ms
            .map(|ms| ms.saturating_mul(BYTES_PER_MS));
        let too_large = limit.is_some_and(|limit| known.signed.nar_size() > limit);
        let redirected = too_large.then(|| install::redirect(known)).flatten();
        redirected.unwrap_or_else(|| known.rewritten.clone())
    }

    /// Looks up a store item. Returns also how long the answer is valid.
    pub(super) async fn lookup(&self, hash_part: &str) -> (Answer, Duration) {
        let now_ms = js_sys::Date::now();
        let remembered = self
            .state
            .narinfos
            .borrow()
            .get(&hash_part.to_owned(), now_ms);
        if let Some((answer, left_ms)) = remembered {
            return (answer, millis(left_ms));
        }
        let key = cache_key("narinfo", hash_part);
        let cached = self.runtime_cache.narinfo(&key).await;
        let verified = cached
            .as_ref()
            .and_then(|cached| self.verify(cached, hash_part));
        let until_ms = cached.as_ref().map_or(0.0, |cached| cached.until_ms as f64);
        if let Some(known) = &verified
            && until_ms > now_ms
        {
            let answer = Answer::Found(Arc::clone(known));
            return self.remember(hash_part, answer, millis(until_ms - now_ms));
        }
        match (self.ask_upstreams(hash_part).await, verified) {
            // A signature doesn't expire, so an expired narinfo is still usable.
            ((Answer::Unreachable, _), Some(known)) => (Answer::Found(known), Duration::ZERO),
            ((Answer::Unreachable, ttl), None) => (Answer::Unreachable, ttl),
            ((answer, ttl), _) => {
                if let Answer::Found(known) = &answer {
                    self.store(&key, known, ttl).await;
                }
                self.remember(hash_part, answer, ttl)
            }
        }
    }

    /// Verifies a narinfo from the runtime's cache.
    fn verify(&self, cached: &CachedNarinfo, hash_part: &str) -> Option<Arc<Known>> {
        let known = self
            .believe(&cached.body, hash_part, &cached.upstream)
            .ok()?;
        // The upstream may no longer be configured.
        let configured = self.config().upstreams.contains(&known.upstream);
        configured.then(|| Arc::new(known))
    }

    fn believe(&self, body: &[u8], hash_part: &str, upstream: &str) -> Result<Known, Disbelief> {
        let config = self.config();
        let read = self.state.store_dir.borrow();
        let of_upstream = read.as_ref().filter(|(from, _)| from == upstream);
        let store_dir = config
            .store_dir
            .as_ref()
            .or(of_upstream.map(|(_, dir)| dir));
        let expected = Expected {
            hash_part,
            store_dir: store_dir.map(String::as_str),
        };
        Known::believe(body, expected, upstream, &config.keys)
    }

    fn remember(&self, hash_part: &str, answer: Answer, ttl: Duration) -> (Answer, Duration) {
        let now_ms = js_sys::Date::now();
        if let Answer::Found(known) = &answer {
            for cid in roots(&known.hints) {
                let until_ms = now_ms + NAMED_MS;
                self.state.signed_cids.borrow_mut().put(cid, (), until_ms);
            }
        }
        let until_ms = now_ms + ttl.as_secs_f64() * 1000.0;
        let mut narinfos = self.state.narinfos.borrow_mut();
        narinfos.put(hash_part.to_owned(), answer.clone(), until_ms);
        (answer, ttl)
    }

    async fn store(&self, key: &str, known: &Known, ttl: Duration) {
        let entry = CachedNarinfo {
            body: known.hints.text().to_owned().into(),
            upstream: known.upstream.clone(),
            until_ms: (js_sys::Date::now() + ttl.as_secs_f64() * 1000.0) as u64,
        };
        self.runtime_cache
            .store_narinfo(key, &entry, ttl.as_secs())
            .await;
        if !self.config().open {
            // Another isolate may answer the next request, and it needs this too.
            for cid in roots(&known.hints) {
                self.runtime_cache
                    .store_narinfo(&named_key(&cid), &entry, 24 * 3600)
                    .await;
            }
        }
    }

    /// Whether the worker may serve this CID: it serves any CID, or a signed narinfo names this
    /// one.
    pub(super) async fn may_serve(&self, cid: &Cid) -> bool {
        if self.config().open {
            return true;
        }
        let now_ms = js_sys::Date::now();
        if self.state.signed_cids.borrow().get(cid, now_ms).is_some() {
            return true;
        }
        let Some(cached) = self.runtime_cache.narinfo(&named_key(cid)).await else {
            return false;
        };
        // The entry is the narinfo itself, so its signature proves that it names the CID.
        let Some(hash_part) = NarInfo::parse(&cached.body)
            .ok()
            .map(|narinfo| narinfo.store_path().hash_part().to_owned())
        else {
            return false;
        };
        let known = self.verify(&cached, &hash_part);
        known.is_some_and(|known| roots(&known.hints).any(|root| root == *cid))
    }

    async fn ask_upstreams(&self, hash_part: &str) -> (Answer, Duration) {
        let urls = &self.config().upstreams;
        let indexed = urls.iter().enumerate();
        let mut asking: FuturesUnordered<_> = indexed
            .map(|(rank, url)| async move { (rank, self.ask_one(url, hash_part).await) })
            .collect();
        let mut replies: Vec<Option<Said>> = vec![None; urls.len()];
        while !install::is_settled(&replies) {
            let next = if replies.iter().flatten().any(Said::is_found) {
                match select(asking.next(), pin!(sleep(PATIENCE))).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => None,
                }
            } else {
                asking.next().await
            };
            let Some((rank, reply)) = next else { break };
            if let Some(slot) = replies.get_mut(rank) {
                *slot = Some(reply);
            }
        }
        install::summary(replies)
    }

    async fn ask_one(&self, upstream: &str, hash_part: &str) -> Said {
        let url = format!("{upstream}{hash_part}.narinfo");
        let small = match get_small(&self.client, &url, MAX_NARINFO).await {
            Ok(small) => small,
            Err(error @ HttpError::TooLong { .. }) => return refuse(&url, &error),
            Err(error) => {
                warn(&format!("{url}: {error}"));
                return Said::Failed;
            }
        };
        if small.status != 200 {
            return Said::absent(small.fresh_for);
        }
        match self.believe(&small.body, hash_part, upstream) {
            Ok(known) => Said::found(known, small.fresh_for),
            Err(error) => refuse(&url, &error),
        }
    }

    pub(super) async fn cache_info(&self) -> Result<Reply, Problem> {
        let store_dir = self.store_dir().await.ok_or_else(unreachable_upstreams)?;
        let priority = self.config().priority;
        let text = format!("StoreDir: {store_dir}\nWantMassQuery: 1\nPriority: {priority}\n");
        Ok(Reply::new(StatusCode::OK, "text/x-nix-cache-info", text))
    }

    async fn store_dir(&self) -> Option<String> {
        if let Some(configured) = &self.config().store_dir {
            return Some(configured.clone());
        }
        let known = self.state.store_dir.borrow().clone();
        if let Some((_, store_dir)) = known {
            return Some(store_dir);
        }
        for upstream in &self.config().upstreams {
            let url = format!("{upstream}nix-cache-info");
            let Ok(small) = get_small(&self.client, &url, MAX_NARINFO).await else {
                continue;
            };
            if let Some(store_dir) = install::store_dir(&small.body) {
                let known = (upstream.clone(), store_dir.to_owned());
                *self.state.store_dir.borrow_mut() = Some(known);
                return Some(store_dir.to_owned());
            }
        }
        None
    }
}

fn refuse(url: &str, reason: &dyn std::fmt::Display) -> Said {
    warn(&format!("rejected {url}: {reason}"));
    Said::absent(None)
}

/// Returns the CIDs in a narinfo's entries.
fn roots(hints: &Hints) -> impl Iterator<Item = Cid> + '_ {
    hints.entries().iter().filter_map(|entry| {
        let url = IpfsUrl::parse(&entry.url).or_else(|_| IpfsUrl::parse_gateway(&entry.url));
        url.ok().map(|url| url.cid)
    })
}

fn named_key(cid: &Cid) -> String {
    cache_key("named", cid)
}

fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

pub(super) fn unreachable_upstreams() -> Problem {
    let detail = "This cache can't reach any of its upstreams. Try again later.";
    Problem::new(StatusCode::BAD_GATEWAY, "No upstream answers", detail)
}
