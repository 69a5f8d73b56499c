//! Who bakes what next: each item is in here once, however many ask for it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{BakeError, Baked};
use crate::store::Item;

/// An item that failed isn't tried again for so long.
const RETRY: Duration = Duration::from_secs(60);
/// Failures that are remembered, at most.
const MAX_FAILURES: usize = 1024;

/// How a bake ended.
pub(super) type Outcome = Result<Arc<Baked>, BakeError>;

/// Whether somebody waits for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A client asked for it.
    Asked,
    /// It may be asked for one day.
    Eager,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    asked: VecDeque<Item>,
    eager: VecDeque<Item>,
    /// Every item that is queued or being baked, by hash part, with those who wait for it.
    in_flight: HashMap<String, Vec<oneshot::Sender<Outcome>>>,
    failed: HashMap<String, Instant>,
    /// The numbers of the bakes that run.
    running: BTreeSet<u64>,
    /// Counts the bakes begun.
    begun: u64,
    /// Bakes that went well while others ran that still run: how many had begun by then, and the hash part.
    ended: Vec<(u64, String)>,
    /// Those who want to remove blocks: no bake begins before they have.
    cleaners: usize,
    /// Of these, bakes that failed; they count as running.
    failing: usize,
    /// One of them does it now.
    cleaning: bool,
    closed: bool,
}

/// An item to be baked now.
pub(super) struct Turn {
    pub(super) item: Item,
    number: u64,
}

impl Queue {
    /// Adds an item unless it is here already. Whoever waits hears how it ends; at once, if it failed a short while ago.
    pub(super) fn ask(
        &self,
        item: Item,
        urgency: Urgency,
        waiter: Option<oneshot::Sender<Outcome>>,
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
            // A waiter that has gone needs no answer, here and below.
            let _ = waiter.map(|waiter| waiter.send(Err(error)));
            return;
        }
        if let Some(waiters) = state.in_flight.get_mut(&hash_part) {
            waiters.extend(waiter);
            if urgency == Urgency::Asked {
                state.hurry(&hash_part);
            }
            return;
        }
        state.in_flight.insert(hash_part, Vec::from_iter(waiter));
        match urgency {
            Urgency::Asked => state.asked.push_back(item),
            Urgency::Eager => state.eager.push_back(item),
        }
        drop(state);
        self.wake.notify_all();
    }

    /// Waits for an item; `None` when the program ends.
    pub(super) fn take(&self) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if state.cleaners == 0
                && let Some(item) = state.next()
            {
                state.begun += 1;
                let number = state.begun;
                state.running.insert(number);
                return Some(Turn { item, number });
            }
            state = self.wait(state);
        }
    }

    /// Tells everyone how it ended.
    pub(super) fn done(&self, turn: &Turn, outcome: &Outcome) {
        let hash_part = turn.item.store_path.hash_part();
        let mut state = self.lock();
        state.running.remove(&turn.number);
        if outcome.is_err() {
            if state.failed.len() >= MAX_FAILURES {
                state.failed.clear();
            }
            state.failed.insert(hash_part.to_owned(), Instant::now());
        } else {
            state.failed.remove(hash_part);
            let begun = state.begun;
            state.ended.push((begun, hash_part.to_owned()));
        }
        let oldest = state.running.first().copied().unwrap_or(u64::MAX);
        state.ended.retain(|(begun, _)| *begun >= oldest);
        let waiters = state.in_flight.remove(hash_part).unwrap_or_default();
        drop(state);
        self.wake.notify_all();
        for waiter in waiters {
            let _ = waiter.send(outcome.clone());
        }
    }

    /// Runs `work` while no bake runs: those that run are waited for, and others wait. `None` when the program ends.
    pub(super) fn quiet<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.alone(None, |_| work())
    }

    /// The same for a bake that failed. `clean` hears which items were baked at the same time, and so may share its blocks.
    pub(super) fn clean_up(&self, turn: &Turn, clean: impl FnOnce(&[String])) {
        self.alone(Some(turn.number), clean);
    }

    fn alone<T>(&self, failing: Option<u64>, work: impl FnOnce(&[String]) -> T) -> Option<T> {
        let mut state = self.lock();
        state.cleaners += 1;
        state.failing += usize::from(failing.is_some());
        while !state.closed && (state.cleaning || state.running.len() > state.failing) {
            state = self.wait(state);
        }
        let mut done = None;
        if !state.closed {
            state.cleaning = true;
            let began = failing.unwrap_or(u64::MAX);
            let beside = state.ended.iter().filter(|(begun, _)| *begun >= began);
            let beside: Vec<String> = beside.map(|(_, hash_part)| hash_part.clone()).collect();
            drop(state);
            done = Some(work(&beside));
            state = self.lock();
            state.cleaning = false;
        }
        state.cleaners -= 1;
        state.failing -= usize::from(failing.is_some());
        drop(state);
        self.wake.notify_all();
        done
    }

    /// Waits until fewer than `most` eager items wait; `false` when the program ends.
    pub(super) fn wait_for_room(&self, most: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && state.eager.len() >= most {
            state = self.wait(state);
        }
        !state.closed
    }

    /// Lets workers end after the item that they have.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        // Those who wait hear that nobody will answer.
        state.in_flight.clear();
        drop(state);
        self.wake.notify_all();
    }

    /// Items that wait, and items being baked.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let state = self.lock();
        (state.asked.len() + state.eager.len(), state.running.len())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.wake
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Item> {
        self.asked.pop_front().or_else(|| self.eager.pop_front())
    }

    /// Moves an eager item to those that were asked for.
    fn hurry(&mut self, hash_part: &str) {
        let is_it = |item: &Item| item.store_path.hash_part() == hash_part;
        let place = self.eager.iter().position(is_it);
        let item = place.and_then(|place| self.eager.remove(place));
        self.asked.extend(item);
    }
}
