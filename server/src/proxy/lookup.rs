//! Narinfos by hash part: from memory, else from the upstreams, each asked once however many clients wait.

use super::metrics::Metrics;
use super::ttl_cache::TtlCache;
use super::upstream::Upstreams;
use interplanar_core::install::Answer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// Bytes of narinfos kept, their rewritten forms included.
const MAX_KEPT: usize = 16 << 20;
/// What an entry costs beside its text.
const OVERHEAD: usize = 512;
/// Narinfos asked for at once.
const MAX_ASKED: usize = 64;

type Waiting = Arc<OnceCell<(Answer, Instant)>>;

/// See the module.
pub(super) struct Lookup {
    upstreams: Upstreams,
    metrics: Arc<Metrics>,
    kept: Mutex<TtlCache<Answer>>,
    waiting: Mutex<HashMap<String, Waiting>>,
    slots: Semaphore,
}

impl Lookup {
    pub(super) fn new(upstreams: Upstreams, metrics: Arc<Metrics>) -> Self {
        Self {
            upstreams,
            metrics,
            kept: Mutex::new(TtlCache::new(MAX_KEPT)),
            waiting: Mutex::default(),
            slots: Semaphore::new(MAX_ASKED),
        }
    }

    pub(super) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// The narinfo of `hash_part` (which must be one), and how long the answer may be kept.
    pub(super) async fn find(&self, hash_part: &str) -> (Answer, Duration) {
        if let Some((answer, left)) = self.kept().get(hash_part, Instant::now()) {
            self.metrics.narinfo_cached.add(1);
            return (answer.clone(), left);
        }
        let seat = Seat {
            lookup: self,
            hash_part,
            cell: self.cell(hash_part),
        };
        // Whoever is first asks; if that client goes away, the next one that waits asks again.
        let (answer, end) = seat.cell.get_or_init(|| self.ask(hash_part)).await.clone();
        (answer, end.saturating_duration_since(Instant::now()))
    }

    fn cell(&self, hash_part: &str) -> Waiting {
        Arc::clone(self.waiting().entry(hash_part.to_owned()).or_default())
    }

    async fn ask(&self, hash_part: &str) -> (Answer, Instant) {
        // The semaphore is never closed; without a permit this would only be less polite.
        let _permit = self.slots.acquire().await;
        let (answer, ttl) = self.upstreams.ask(hash_part).await;
        let now = Instant::now();
        if !matches!(answer, Answer::Unreachable) {
            let text = if let Answer::Found(known) = &answer {
                known.rewritten.len() * 3
            } else {
                0
            };
            self.kept().insert(
                hash_part.to_owned(),
                answer.clone(),
                text + OVERHEAD,
                ttl,
                now,
            );
        }
        (answer, now + ttl)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, TtlCache<Answer>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place in the queue for one narinfo; the last one to leave takes the queue away, answered or not.
struct Seat<'a> {
    lookup: &'a Lookup,
    hash_part: &'a str,
    cell: Waiting,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut waiting = self.lookup.waiting();
        let ours = waiting
            .get(self.hash_part)
            .is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // Nobody can join while the map is locked; the map and this seat hold one each.
        if ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            waiting.remove(self.hash_part);
        }
    }
}
