//! Cuts what is needed now, as long as somebody can wait for it.

use super::cut::cut;
use super::index::{Entry, cut_by};
use super::pieces::Piece;
use super::{Candidate, IndexError, Installed};
use crate::unix_time;
use interplanar_core::dedup::Parameters;
use std::collections::HashSet;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Items that are cut at once for those who wait; others do without.
const MAX_AT_ONCE: usize = 2;

/// What is being cut: store paths, and by what.
#[derive(Default)]
pub(super) struct Cutting {
    now: Mutex<HashSet<Key>>,
    done: Condvar,
}

type Key = (String, i64);

/// Whether somebody cuts it now.
enum Turn {
    /// The caller shall.
    Ours,
    /// Somebody did meanwhile.
    Done,
    /// It isn't to be had in time.
    No,
}

impl Cutting {
    fn begin(&self, key: &Key, deadline: Instant) -> Turn {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if !now.contains(key) {
            if now.len() >= MAX_AT_ONCE {
                return Turn::No;
            }
            now.insert(key.clone());
            return Turn::Ours;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .done
            .wait_timeout_while(now, left, |now| now.contains(key));
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match now.contains(key) {
            true => Turn::No,
            false => Turn::Done,
        }
    }

    fn end(&self, key: &Key) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.remove(key);
        self.done.notify_all();
    }
}

impl Installed {
    /// The pieces of an item that isn't in the index, if they can be had until then. It is cut to its end in any case, so that the next one finds it.
    pub(super) fn cut_until(
        self: &Arc<Self>,
        candidate: &Candidate,
        parameters: &Parameters,
        deadline: Instant,
    ) -> Option<Vec<Piece>> {
        let key = (candidate.item.store_path.to_string(), cut_by(parameters));
        match self.cutting.begin(&key, deadline) {
            Turn::Ours => {}
            Turn::Done => return self.noted(candidate, key.1),
            Turn::No => return None,
        }
        let (sender, receiver) = sync_channel(1);
        let (this, candidate, parameters) = (Arc::clone(self), candidate.clone(), *parameters);
        let ended = key.clone();
        let work = move || {
            let pieces = this.cut_and_note(&candidate, &parameters);
            this.cutting.end(&ended);
            // Nobody may wait any more.
            let _ = sender.send(pieces);
        };
        let thread = std::thread::Builder::new().name("cutting".to_owned());
        if let Err(error) = thread.spawn(work) {
            tracing::warn!(%error, "no thread to cut an installed item");
            self.cutting.end(&key);
            return None;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).ok().flatten()
    }

    fn cut_and_note(&self, candidate: &Candidate, parameters: &Parameters) -> Option<Vec<Piece>> {
        let item = candidate.item.store_path.as_str();
        let pieces = cut(candidate, parameters, &mut || true)
            .map_err(|error| tracing::warn!(item, %error, "an installed item can't be compared"))
            .ok()?;
        let entry = Entry {
            path: &candidate.item.store_path,
            nar_hash: &candidate.item.nar_hash,
            cut: cut_by(parameters),
            rank: i64::try_from(unix_time::now()).unwrap_or(i64::MAX),
        };
        match self.own.put(&entry, &pieces) {
            Ok(true) => {}
            Ok(false) => tracing::debug!(item, "the index has no room for it"),
            Err(error) => tracing::warn!(item, %error, "the index can't be written"),
        }
        Some(pieces)
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Source(error.into())
    }
}
