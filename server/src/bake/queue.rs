//! The queue of items to bake. An item is queued once, however many clients request it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{BakeError, Baked};
use crate::store::Item;

/// After a failed bake, an item isn't tried again for this time.
const RETRY: Duration = Duration::from_secs(60);
/// Most failures that are remembered.
const MAX_FAILURES: usize = 1024;

/// The result of a bake.
pub(super) type BakeResult = Result<Arc<Baked>, BakeError>;

/// The priority of a bake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A client requested the item.
    Requested,
    /// Nobody has requested the item yet. Such items are baked after all others.
    Eager,
}

#[derive(Default)]
pub(super) struct BakeQueue {
    state: Mutex<QueueState>,
    wake: Condvar,
}

#[derive(Default)]
struct QueueState {
    requested: VecDeque<Item>,
    eager: VecDeque<Item>,
    /// The items that are queued or being baked, by hash part, with the senders of those who
    /// wait.
    in_flight: HashMap<String, Vec<oneshot::Sender<BakeResult>>>,
    failed: HashMap<String, Instant>,
    /// The numbers of the running bakes.
    running: BTreeSet<u64>,
    /// The number of bakes started so far.
    started: u64,
    /// Successful bakes that ran beside a bake that still runs: the value of `started` at their
    /// end, and their hash part.
    finished: Vec<(u64, String)>,
    /// Threads that want to remove blocks. No bake starts before they have.
    cleaners: usize,
    /// Those of them whose bake failed; it still counts as running.
    failing: usize,
    /// Whether one of them removes blocks now.
    cleaning: bool,
    closed: bool,
}

/// A bake that was taken from the queue.
pub(super) struct RunningBake {
    pub(super) item: Item,
    number: u64,
}

impl BakeQueue {
    /// Adds an item unless it is queued already. `waiter` gets the result, at once if the last bake
    /// has just failed.
    pub(super) fn request(
        &self,
        item: Item,
        urgency: Urgency,
        waiter: Option<oneshot::Sender<BakeResult>>,
    ) {
        let hash_part = item.store_path.hash_part().to_owned();
        let mut state = self.lock();
        let recent = state
            .failed
            .get(&hash_part)
            .is_some_and(|at| at.elapsed() < RETRY);
        if state.closed || recent {
            let error = if recent {
                BakeError::Recent
            } else {
                BakeError::Stopped
            };
            // The waiter may be gone; here and below that is fine.
            let _ = waiter.map(|waiter| waiter.send(Err(error)));
            return;
        }
        if let Some(waiters) = state.in_flight.get_mut(&hash_part) {
            waiters.extend(waiter);
            if urgency == Urgency::Requested {
                state.prioritize(&hash_part);
            }
            return;
        }
        state.in_flight.insert(hash_part, Vec::from_iter(waiter));
        match urgency {
            Urgency::Requested => state.requested.push_back(item),
            Urgency::Eager => state.eager.push_back(item),
        }
        drop(state);
        self.wake.notify_all();
    }

    /// Waits for an item; returns `None` when the program stops.
    pub(super) fn take(&self) -> Option<RunningBake> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if state.cleaners == 0
                && let Some(item) = state.next()
            {
                state.started += 1;
                let number = state.started;
                state.running.insert(number);
                return Some(RunningBake { item, number });
            }
            state = self.wait(state);
        }
    }

    /// Sends the result to all who wait.
    pub(super) fn finish(&self, bake: &RunningBake, result: &BakeResult) {
        let hash_part = bake.item.store_path.hash_part();
        let mut state = self.lock();
        state.running.remove(&bake.number);
        if result.is_err() {
            if state.failed.len() >= MAX_FAILURES {
                state.failed.clear();
            }
            state.failed.insert(hash_part.to_owned(), Instant::now());
        } else {
            state.failed.remove(hash_part);
            let started = state.started;
            state.finished.push((started, hash_part.to_owned()));
        }
        let oldest = state.running.first().copied().unwrap_or(u64::MAX);
        state.finished.retain(|(started, _)| *started >= oldest);
        let waiters = state.in_flight.remove(hash_part).unwrap_or_default();
        drop(state);
        self.wake.notify_all();
        for waiter in waiters {
            let _ = waiter.send(result.clone());
        }
    }

    /// Runs `work` while no bake runs: waits for the running ones, and lets others wait. Returns
    /// `None` when the program stops.
    pub(super) fn without_bakes<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.exclusively(None, |_| work())
    }

    /// Does the same for a failed bake. `clean` gets the items that were baked at the same time:
    /// they may share blocks with it.
    pub(super) fn clean_up(&self, bake: &RunningBake, clean: impl FnOnce(&[String])) {
        self.exclusively(Some(bake.number), clean);
    }

    fn exclusively<T>(&self, failing: Option<u64>, work: impl FnOnce(&[String]) -> T) -> Option<T> {
        let mut state = self.lock();
        state.cleaners += 1;
        state.failing += usize::from(failing.is_some());
        while !state.closed && (state.cleaning || state.running.len() > state.failing) {
            state = self.wait(state);
        }
        let mut done = None;
        if !state.closed {
            state.cleaning = true;
            let first = failing.unwrap_or(u64::MAX);
            let concurrent = state
                .finished
                .iter()
                .filter(|(started, _)| *started >= first);
            let concurrent: Vec<String> =
                concurrent.map(|(_, hash_part)| hash_part.clone()).collect();
            drop(state);
            done = Some(work(&concurrent));
            state = self.lock();
            state.cleaning = false;
        }
        state.cleaners -= 1;
        state.failing -= usize::from(failing.is_some());
        drop(state);
        self.wake.notify_all();
        done
    }

    /// Waits until fewer than `most` eager items are queued; returns `false` when the program
    /// stops.
    pub(super) fn wait_for_room(&self, most: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && state.eager.len() >= most {
            state = self.wait(state);
        }
        !state.closed
    }

    /// Stops each worker after its current item.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        // Dropping the senders tells those who wait that there will be no result.
        state.in_flight.clear();
        drop(state);
        self.wake.notify_all();
    }

    /// Returns the numbers of waiting and of running bakes.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let state = self.lock();
        (
            state.requested.len() + state.eager.len(),
            state.running.len(),
        )
    }

    fn wait<'a>(&self, state: MutexGuard<'a, QueueState>) -> MutexGuard<'a, QueueState> {
        self.wake
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn next(&mut self) -> Option<Item> {
        self.requested
            .pop_front()
            .or_else(|| self.eager.pop_front())
    }

    /// Moves an eager item to the requested ones.
    fn prioritize(&mut self, hash_part: &str) {
        let is_it = |item: &Item| item.store_path.hash_part() == hash_part;
        let place = self.eager.iter().position(is_it);
        let item = place.and_then(|place| self.eager.remove(place));
        self.requested.extend(item);
    }
}
