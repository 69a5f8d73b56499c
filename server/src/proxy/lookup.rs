//! Looks up narinfos by hash part, in memory or at the upstreams. Concurrent requests for one
//! narinfo share one lookup.

use super::metrics::Metrics;
use super::ttl_cache::TtlCache;
use super::upstream::Upstreams;
use interplanar_core::install::Answer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// Bytes of narinfos in memory, including their rewritten forms.
const MAX_BYTES: usize = 16 << 20;
/// Bytes of memory for an entry besides its text.
const OVERHEAD: usize = 512;
/// Narinfos that are looked up at once.
const MAX_CONCURRENT: usize = 64;

type SharedAnswer = Arc<OnceCell<(Answer, Instant)>>;

/// Looks up and caches narinfos. See the module.
pub(super) struct Lookup {
    upstreams: Upstreams,
    metrics: Arc<Metrics>,
    cached: Mutex<TtlCache<Answer>>,
    waiting: Mutex<HashMap<String, SharedAnswer>>,
    slots: Semaphore,
}

impl Lookup {
    pub(super) fn new(upstreams: Upstreams, metrics: Arc<Metrics>) -> Self {
        Self {
            upstreams,
            metrics,
            cached: Mutex::new(TtlCache::new(MAX_BYTES)),
            waiting: Mutex::default(),
            slots: Semaphore::new(MAX_CONCURRENT),
        }
    }

    pub(super) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// Returns the narinfo of `hash_part`, which must be valid, and how long clients may cache the
    /// answer.
    pub(super) async fn find(&self, hash_part: &str) -> (Answer, Duration) {
        if let Some((answer, left)) = self.cached().get(hash_part, Instant::now()) {
            self.metrics.narinfo_cached.add(1);
            return (answer.clone(), left);
        }
        let share = LookupShare {
            lookup: self,
            hash_part,
            cell: self.cell(hash_part),
        };
        // The first request asks the upstreams. If its client disconnects, the next waiting request
        // asks again.
        let (answer, end) = share.cell.get_or_init(|| self.ask(hash_part)).await.clone();
        (answer, end.saturating_duration_since(Instant::now()))
    }

    fn cell(&self, hash_part: &str) -> SharedAnswer {
        Arc::clone(self.waiting().entry(hash_part.to_owned()).or_default())
    }

    async fn ask(&self, hash_part: &str) -> (Answer, Instant) {
        // The semaphore is never closed. Without a permit the lookup would still work.
        let _permit = self.slots.acquire().await;
        let (answer, ttl) = self.upstreams.ask(hash_part).await;
        let now = Instant::now();
        if !matches!(answer, Answer::Unreachable) {
            let text = if let Answer::Found(known) = &answer {
                // The text, the fields parsed from it twice, and the form for clients.
                known.hints.text().len() * 3 + known.rewritten.len()
            } else {
                0
            };
            self.cached().insert(
                hash_part.to_owned(),
                answer.clone(),
                text + OVERHEAD,
                ttl,
                now,
            );
        }
        (answer, now + ttl)
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, TtlCache<Answer>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, SharedAnswer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's share in the lookup of a narinfo. The last one removes the lookup from the map,
/// answered or not.
struct LookupShare<'a> {
    lookup: &'a Lookup,
    hash_part: &'a str,
    cell: SharedAnswer,
}

impl Drop for LookupShare<'_> {
    fn drop(&mut self) {
        let mut waiting = self.lookup.waiting();
        let ours = waiting
            .get(self.hash_part)
            .is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // No request can join while the map is locked. The map and this share hold one reference
        // each.
        if ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            waiting.remove(self.hash_part);
        }
    }
}
