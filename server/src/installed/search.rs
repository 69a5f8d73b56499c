//! Looks for the pieces of an item that is wanted, in all that is known of installed ones.
//!
//! ```text
//! items of the same package: from the index, or cut now
//! all others:                the item that has most of what is missing in a sample ─► its pieces ─► once more for what is missing then
//! ```
//! A sample is enough where an item has much: so an installed item of any size is found by a few hundred questions. Where none of the sample
//! is known, all that is missing is asked for, once.

use super::index::{Look, Row, cut_by, start};
use super::pieces::Piece;
use super::{Candidate, Installed, MAX_WAIT, Pieces, Spot};
use crate::store::SourceError;
use crate::unix_time;
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Items that are used for one that is wanted: each is read by a thread of its own, a megabyte ahead.
const MAX_ITEMS: usize = 16;
/// Items that are looked at until there are so many.
const MAX_TRIED: usize = 48;
/// Pieces that are asked for to choose an item.
const SAMPLE: usize = 256;
/// An item of another package is used if at most so many bytes of it are read for one that is needed: a disk is some 30 times as fast as a line, and a piece
/// is found by reading what stands before it.
const MAX_READ: u64 = 32;

impl Installed {
    /// Where pieces are, of which SHA-256 and length are given: in these items, which are cut so if they aren't indexed, and in all others that are. Blocks,
    /// not much longer than [`MAX_WAIT`].
    #[must_use]
    pub fn pieces(
        self: &Arc<Self>,
        candidates: Vec<Candidate>,
        parameters: &Parameters,
        wanted: &[(Sha256, u32)],
    ) -> Pieces {
        let (mut search, mut of_use) = (Search::new(wanted), Vec::new());
        search.pieces.index = Some(Arc::clone(&self.own));
        let deadline = Instant::now() + MAX_WAIT;
        for candidate in candidates {
            let noted = self.noted(&candidate, cut_by(parameters));
            let listed = noted.or_else(|| self.cut_until(&candidate, parameters, deadline));
            if let Some(listed) = listed {
                search.take(candidate, &listed, true);
            }
        }
        for look in self.looks() {
            let is_own = std::ptr::eq(look, self.own.look());
            let found = search.through(look, &|row| self.candidate(row, is_own));
            match found {
                Ok(ids) if is_own => of_use = ids,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "an index of installed items can't be read"),
            }
        }
        let now = i64::try_from(unix_time::now()).unwrap_or(i64::MAX);
        if !of_use.is_empty()
            && let Err(error) = self.own.used(&of_use, now)
        {
            tracing::debug!(%error, "the use of the index can't be noted");
        }
        search.pieces
    }

    /// What an index has of an item.
    pub(super) fn noted(&self, candidate: &Candidate, cut: i64) -> Option<Vec<Piece>> {
        let item = &candidate.item;
        let mut rows = self.looks().map(|look| {
            let row = look.named(item.store_path.as_str(), cut).ok()??;
            let is_current = row.nar_hash == Some(item.nar_hash);
            row.pieces.filter(|_| is_current)
        });
        rows.find_map(|pieces| pieces)
    }

    /// What a row is about, if that is still installed. If it isn't, our own index forgets it.
    fn candidate(&self, row: &Row, is_own: bool) -> Option<Candidate> {
        let path = StorePath::parse(&row.path).ok()?;
        let store = self.stores.of(&path)?;
        let item = store.find_path(&path).ok()?;
        let current = item.filter(|item| row.nar_hash == Some(item.nar_hash));
        if current.is_none() || row.pieces.is_none() {
            if is_own && let Err(error) = self.own.distrust(&row.path) {
                tracing::warn!(%error, "the index of installed items can't be written");
            }
            return None;
        }
        current.map(|item| Candidate { store, item })
    }
}

/// What is found so far.
pub(super) struct Search<'w> {
    /// The pieces that are wanted, and their lengths.
    wanted: &'w [(Sha256, u32)],
    lengths: HashMap<&'w Sha256, u32>,
    pub(super) pieces: Pieces,
}

impl<'w> Search<'w> {
    pub(super) fn new(wanted: &'w [(Sha256, u32)]) -> Self {
        Self {
            wanted,
            lengths: wanted
                .iter()
                .map(|(plain, length)| (plain, *length))
                .collect(),
            pieces: Pieces::default(),
        }
    }

    /// Takes what a candidate has; if it is `alike`, however little.
    pub(super) fn take(&mut self, candidate: Candidate, listed: &[Piece], alike: bool) -> bool {
        let (mut found, mut bytes, mut end) = (Vec::new(), 0, 0);
        for piece in listed {
            let piece_end = piece.offset.saturating_add(u64::from(piece.length));
            // What has another length is no such piece, whatever the index says.
            if self.lengths.get(&piece.plain) == Some(&piece.length)
                && !self.pieces.spots.contains_key(&piece.plain)
                && piece_end <= candidate.item.nar_size
            {
                found.push(piece);
                bytes += u64::from(piece.length);
                end = piece_end.max(end);
            }
        }
        if !alike && (bytes == 0 || bytes.saturating_mul(MAX_READ) < end) {
            return false;
        }
        let item = self.pieces.items.len();
        for piece in found {
            let spot = Spot {
                item,
                offset: piece.offset,
                length: piece.length,
            };
            self.pieces.spots.entry(piece.plain).or_insert(spot);
        }
        self.pieces.items.push(candidate);
        true
    }

    /// Looks through an index; `candidate` gives what a row is about, if that is still installed. Gives the ids of the rows that were of use.
    pub(super) fn through(
        &mut self,
        look: &Look,
        candidate: &dyn Fn(&Row) -> Option<Candidate>,
    ) -> Result<Vec<i64>, SourceError> {
        let (mut tried, mut of_use) = (HashSet::new(), Vec::new());
        let mut sample = SAMPLE;
        while self.pieces.items.len() < MAX_ITEMS && tried.len() < MAX_TRIED {
            let missing = self.missing();
            let step = missing.len().div_ceil(sample).max(1);
            let asked: Vec<(i64, u32)> = missing.iter().copied().step_by(step).collect();
            let Some(id) = look.best_holder(&asked, &tried)? else {
                if step == 1 {
                    break;
                }
                sample = usize::MAX;
                continue;
            };
            tried.insert(id);
            if let Some(row) = look.item(id)?
                && let Some(candidate) = candidate(&row)
                && self.take(candidate, row.pieces.as_deref().unwrap_or_default(), false)
            {
                of_use.push(id);
            }
        }
        Ok(of_use)
    }

    /// The starts and lengths of what isn't found yet.
    fn missing(&self) -> Vec<(i64, u32)> {
        let missing = self
            .wanted
            .iter()
            .filter(|(plain, _)| !self.pieces.spots.contains_key(plain));
        missing
            .map(|(plain, length)| (start(plain), *length))
            .collect()
    }
}
