//! Narinfos by hash part: remembered, kept, or asked for; believed only with a signature by a key that we trust, wherever they come
//! from.

use super::gateways::warn;
use super::{Task, fresh_for, not_found, shared_with_pages};
use crate::kept::{self, Note};
use crate::page::Problem;
use crate::reply::Reply;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::install::{self, Answer, Known, PATIENCE, Said, is_hash_part};
use interplanar_core::narinfo::{MAX_NARINFO, NarInfo};
use interplanar_wasm::driver::{HttpError, get_small, sleep};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What a millisecond of CPU is good for, in bytes of a NAR: its blocks hashed, decoded, and hashed once more.
const BYTES_PER_MS: u64 = 40 << 10;
/// How long it is remembered that a narinfo names a CID, in milliseconds.
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
                shared_with_pages(&mut reply.headers);
                Ok(fresh_for(reply, left))
            }
            (Answer::Absent, left) => {
                let text = "no upstream has this store item, signed by a trusted key\n";
                let reply = Reply::new(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text);
                Ok(fresh_for(reply, left))
            }
            (Answer::Unreachable, _) => Err(unreachable_upstreams()),
        }
    }

    /// The narinfo that leads here; or, where the NAR would take more CPU than the platform gives, to the upstream.
    fn for_clients(&self, known: &Known) -> bytes::Bytes {
        let limit = self
            .config()
            .cpu_ms
            .map(|ms| ms.saturating_mul(BYTES_PER_MS));
        let too_large = limit.is_some_and(|limit| known.narinfo.nar_size() > limit);
        let redirected = too_large.then(|| install::redirect(known)).flatten();
        redirected.unwrap_or_else(|| known.rewritten.clone())
    }

    /// What is known of a store item, and how long that holds.
    pub(super) async fn lookup(&self, hash_part: &str) -> (Answer, Duration) {
        let now_ms = js_sys::Date::now();
        let remembered = self
            .shared
            .narinfos
            .borrow()
            .get(&hash_part.to_owned(), now_ms);
        if let Some((answer, left_ms)) = remembered {
            return (answer, millis(left_ms));
        }
        let key = kept::url("narinfo", hash_part);
        let note = self.kept.note(&key).await;
        let kept = note.as_ref().and_then(|note| self.believe(note, hash_part));
        let until_ms = note.as_ref().map_or(0.0, |note| note.until_ms as f64);
        if let Some(known) = &kept
            && until_ms > now_ms
        {
            let answer = Answer::Found(Arc::clone(known));
            return self.remember(hash_part, answer, millis(until_ms - now_ms));
        }
        match (self.ask(hash_part).await, kept) {
            // A signature doesn't expire: what held before is better than nothing.
            ((Answer::Unreachable, _), Some(known)) => (Answer::Found(known), Duration::ZERO),
            ((Answer::Unreachable, ttl), None) => (Answer::Unreachable, ttl),
            ((answer, ttl), _) => {
                if let Answer::Found(known) = &answer {
                    self.keep(&key, known, ttl).await;
                }
                self.remember(hash_part, answer, ttl)
            }
        }
    }

    fn believe(&self, note: &Note, hash_part: &str) -> Option<Arc<Known>> {
        let config = self.config();
        let known = Known::believe(&note.body, hash_part, &note.upstream, &config.keys).ok()?;
        // Of an upstream that is none any more nothing is taken.
        config
            .upstreams
            .contains(&known.upstream)
            .then(|| Arc::new(known))
    }

    fn remember(&self, hash_part: &str, answer: Answer, ttl: Duration) -> (Answer, Duration) {
        let now_ms = js_sys::Date::now();
        if let Answer::Found(known) = &answer {
            for cid in roots(&known.narinfo) {
                let until_ms = now_ms + NAMED_MS;
                self.shared.named.borrow_mut().put(cid, (), until_ms);
            }
        }
        let until_ms = now_ms + ttl.as_secs_f64() * 1000.0;
        let mut narinfos = self.shared.narinfos.borrow_mut();
        narinfos.put(hash_part.to_owned(), answer.clone(), until_ms);
        (answer, ttl)
    }

    async fn keep(&self, key: &str, known: &Known, ttl: Duration) {
        let note = Note {
            body: known.narinfo.to_string().into(),
            upstream: known.upstream.clone(),
            until_ms: (js_sys::Date::now() + ttl.as_secs_f64() * 1000.0) as u64,
        };
        self.kept.keep_note(key, &note, ttl.as_secs()).await;
        if !self.config().open {
            // The next request may come to an isolate that remembers nothing.
            for cid in roots(&known.narinfo) {
                self.kept.keep_note(&named(&cid), &note, 24 * 3600).await;
            }
        }
    }

    /// Whether a narinfo that our keys signed names this CID, or any CID is served.
    pub(super) async fn may_serve(&self, cid: &Cid) -> bool {
        if self.config().open {
            return true;
        }
        let now_ms = js_sys::Date::now();
        if self.shared.named.borrow().get(cid, now_ms).is_some() {
            return true;
        }
        let Some(note) = self.kept.note(&named(cid)).await else {
            return false;
        };
        // The note is the narinfo itself, so that it proves what it says.
        let Some(hash_part) = NarInfo::parse(&note.body)
            .ok()
            .map(|narinfo| narinfo.store_path().hash_part().to_owned())
        else {
            return false;
        };
        let known = self.believe(&note, &hash_part);
        known.is_some_and(|known| roots(&known.narinfo).any(|root| root == *cid))
    }

    async fn ask(&self, hash_part: &str) -> (Answer, Duration) {
        let urls = &self.config().upstreams;
        let asked = urls.iter().enumerate();
        let mut asking: FuturesUnordered<_> = asked
            .map(|(rank, url)| async move { (rank, self.ask_one(url, hash_part).await) })
            .collect();
        let mut said: Vec<Option<Said>> = vec![None; urls.len()];
        while !install::is_settled(&said) {
            let next = if said.iter().flatten().any(Said::is_found) {
                match select(asking.next(), pin!(sleep(PATIENCE))).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => None,
                }
            } else {
                asking.next().await
            };
            let Some((rank, one)) = next else { break };
            if let Some(place) = said.get_mut(rank) {
                *place = Some(one);
            }
        }
        install::summary(said)
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
        match Known::believe(&small.body, hash_part, upstream, &self.config().keys) {
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
        let known = self.shared.store_dir.borrow().clone();
        if known.is_some() {
            return known;
        }
        for upstream in &self.config().upstreams {
            let url = format!("{upstream}nix-cache-info");
            let Ok(small) = get_small(&self.client, &url, MAX_NARINFO).await else {
                continue;
            };
            if let Some(told) = install::store_dir(&small.body) {
                *self.shared.store_dir.borrow_mut() = Some(told.to_owned());
                return Some(told.to_owned());
            }
        }
        None
    }
}

fn refuse(url: &str, reason: &dyn std::fmt::Display) -> Said {
    warn(&format!("{url} is not believed: {reason}"));
    Said::absent(None)
}

/// The CIDs that a narinfo leads to.
fn roots(narinfo: &NarInfo) -> impl Iterator<Item = Cid> + '_ {
    narinfo.entries().iter().filter_map(|entry| {
        let url = IpfsUrl::parse(&entry.url).or_else(|_| IpfsUrl::parse_gateway(&entry.url));
        url.ok().map(|url| url.cid)
    })
}

fn named(cid: &Cid) -> String {
    kept::url("named", cid)
}

fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

pub(super) fn unreachable_upstreams() -> Problem {
    let detail = "None of the caches behind this one could be asked. Try again later.";
    Problem::new(StatusCode::BAD_GATEWAY, "No upstream answers", detail)
}
