//! Cuts items on demand, for a download that waits for them.

use super::cut::cut;
use super::index::{IndexEntry, parameters_id};
use super::piece_list::IndexedPiece;
use super::{Candidate, IndexError, Installed};
use crate::task;
use crate::unix_time;
use interplanar_core::dedup::Parameters;
use std::collections::HashSet;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Items that are cut on demand at once. Further ones are not used.
const MAX_AT_ONCE: usize = 2;

/// Items that are being cut now.
#[derive(Default)]
pub(super) struct ActiveCuts {
    now: Mutex<HashSet<Key>>,
    done: Condvar,
}

type Key = (String, i64);

/// Result of asking to cut an item.
enum Claim {
    /// The caller must cut it.
    Claimed,
    /// Another thread has cut it meanwhile.
    Done,
    /// It can't be cut in time.
    Unavailable,
}

impl ActiveCuts {
    fn begin(&self, key: &Key, deadline: Instant) -> Claim {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if !now.contains(key) {
            if now.len() >= MAX_AT_ONCE {
                return Claim::Unavailable;
            }
            now.insert(key.clone());
            return Claim::Claimed;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .done
            .wait_timeout_while(now, left, |now| now.contains(key));
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match now.contains(key) {
            true => Claim::Unavailable,
            false => Claim::Done,
        }
    }

    fn end(&self, key: &Key) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.remove(key);
        self.done.notify_all();
    }
}

impl Installed {
    /// Returns the pieces of an item that is not indexed, if they are ready before `deadline`. The
    /// item is cut to its end in any case, so that the next download finds it.
    pub(super) fn cut_until(
        self: &Arc<Self>,
        candidate: &Candidate,
        parameters: &Parameters,
        deadline: Instant,
    ) -> Option<Vec<IndexedPiece>> {
        let key = (
            candidate.item.store_path.to_string(),
            parameters_id(parameters),
        );
        match self.active_cuts.begin(&key, deadline) {
            Claim::Claimed => {}
            Claim::Done => return self.indexed_pieces(candidate, key.1),
            Claim::Unavailable => return None,
        }
        let (sender, receiver) = sync_channel(1);
        let (this, candidate, parameters) = (Arc::clone(self), candidate.clone(), *parameters);
        let finished = key.clone();
        let work = move || {
            let work = ("cutting an installed item", &candidate.item.store_path);
            let pieces = task::caught(work, || this.cut_and_index(&candidate, &parameters));
            this.active_cuts.end(&finished);
            // The receiver may have stopped waiting.
            let _ = sender.send(pieces.ok().flatten());
        };
        if let Err(error) = task::thread("cutting", work) {
            tracing::warn!(%error, "can't start a thread to cut an installed item");
            self.active_cuts.end(&key);
            return None;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).ok().flatten()
    }

    fn cut_and_index(
        &self,
        candidate: &Candidate,
        parameters: &Parameters,
    ) -> Option<Vec<IndexedPiece>> {
        let item = candidate.item.store_path.as_str();
        let pieces = cut(candidate, parameters, &mut || true)
            .map_err(|error| tracing::warn!(item, %error, "can't cut an installed item"))
            .ok()?;
        let entry = IndexEntry {
            path: &candidate.item.store_path,
            nar_hash: &candidate.item.nar_hash,
            cut: parameters_id(parameters),
            rank: i64::try_from(unix_time::now()).unwrap_or(i64::MAX),
        };
        match self.own.put(&entry, &pieces) {
            Ok(true) => {}
            Ok(false) => tracing::debug!(item, "the index has no space for the item"),
            Err(error) => tracing::warn!(item, %error, "can't write the index"),
        }
        Some(pieces)
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Source(error.into())
    }
}
