//! Searches the indexes for the pieces of a wanted item.
//!
//! ```text
//! items of the same package: their pieces, from the index or cut now
//! all other items: the item with most of a sample of the missing pieces ─► its pieces ─► repeat
//! ```
//! A sample is enough to find an item that has many pieces, so an item of any size is found with a
//! few hundred queries. If no item has any of the sample, one query asks for all missing pieces.

use super::index::{IndexReader, IndexedItem, digest_prefix, parameters_id};
use super::piece_list::IndexedPiece;
use super::{Candidate, FoundPieces, Installed, MAX_WAIT, PieceLocation};
use crate::store::SourceError;
use crate::unix_time;
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Installed items that are used for one wanted item. A thread reads each of them, a megabyte
/// ahead.
const MAX_ITEMS: usize = 16;
/// Items that are tried to find those.
const MAX_TRIED: usize = 48;
/// Pieces in a sample.
const SAMPLE: usize = 256;
/// An item of another package is used only if at most this many of its bytes must be read for each
/// useful one. A disk is about 30 times as fast as a network connection, and all bytes before a
/// piece must be read.
const MAX_READ: u64 = 32;

impl Installed {
    /// Searches pieces by SHA-256 and length: in `candidates`, which are cut if they are not
    /// indexed, and in all indexed items. Blocking, for not much longer than [`MAX_WAIT`].
    #[must_use]
    pub fn pieces(
        self: &Arc<Self>,
        candidates: Vec<Candidate>,
        parameters: &Parameters,
        wanted: &[(Sha256, u32)],
    ) -> FoundPieces {
        let (mut search, mut useful) = (Search::new(wanted), Vec::new());
        search.pieces.index = Some(Arc::clone(&self.own));
        let deadline = Instant::now() + MAX_WAIT;
        for candidate in candidates {
            let indexed_pieces = self.indexed_pieces(&candidate, parameters_id(parameters));
            let listed =
                indexed_pieces.or_else(|| self.cut_until(&candidate, parameters, deadline));
            if let Some(listed) = listed {
                search.add(candidate, &listed, true);
            }
        }
        for reader in self.readers() {
            let is_own = std::ptr::eq(reader, self.own.reader());
            let found = search.search_index(reader, &|row| self.candidate(row, is_own));
            match found {
                Ok(ids) if is_own => useful = ids,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "can't read an index of installed items"),
            }
        }
        let now = i64::try_from(unix_time::now()).unwrap_or(i64::MAX);
        if !useful.is_empty()
            && let Err(error) = self.own.record_use(&useful, now)
        {
            tracing::debug!(%error, "can't record the use of indexed items");
        }
        search.pieces
    }

    /// Returns the pieces of an item from an index.
    pub(super) fn indexed_pieces(
        &self,
        candidate: &Candidate,
        cut: i64,
    ) -> Option<Vec<IndexedPiece>> {
        let item = &candidate.item;
        let mut rows = self.readers().map(|reader| {
            let row = reader.named(item.store_path.as_str(), cut).ok()??;
            let is_current = row.nar_hash == Some(item.nar_hash);
            row.pieces.filter(|_| is_current)
        });
        rows.find_map(|pieces| pieces)
    }

    /// Returns the item of an index row, if it is still installed. Otherwise removes it from our
    /// own index.
    fn candidate(&self, row: &IndexedItem, is_own: bool) -> Option<Candidate> {
        let path = StorePath::parse(&row.path).ok()?;
        let store = self.stores.of(&path)?;
        let item = store.find_path(&path).ok()?;
        let current = item.filter(|item| row.nar_hash == Some(item.nar_hash));
        if current.is_none() || row.pieces.is_none() {
            if is_own && let Err(error) = self.own.invalidate(&row.path) {
                tracing::warn!(%error, "can't write the index of installed items");
            }
            return None;
        }
        current.map(|item| Candidate { store, item })
    }
}

/// A search and the pieces found so far.
pub(super) struct Search<'w> {
    /// The SHA-256 and length of each wanted piece.
    wanted: &'w [(Sha256, u32)],
    lengths: HashMap<&'w Sha256, u32>,
    pub(super) pieces: FoundPieces,
}

impl<'w> Search<'w> {
    pub(super) fn new(wanted: &'w [(Sha256, u32)]) -> Self {
        Self {
            wanted,
            lengths: wanted
                .iter()
                .map(|(plain, length)| (plain, *length))
                .collect(),
            pieces: FoundPieces::default(),
        }
    }

    /// Adds the pieces of a candidate. Items of the same package are used however few pieces they
    /// have.
    pub(super) fn add(
        &mut self,
        candidate: Candidate,
        listed: &[IndexedPiece],
        same_package: bool,
    ) -> bool {
        let (mut found, mut bytes, mut end) = (Vec::new(), 0, 0);
        for piece in listed {
            let piece_end = piece.offset.saturating_add(u64::from(piece.length));
            // A different length means that the index is wrong.
            if self.lengths.get(&piece.plain) == Some(&piece.length)
                && !self.pieces.locations.contains_key(&piece.plain)
                && piece_end <= candidate.item.nar_size
            {
                found.push(piece);
                bytes += u64::from(piece.length);
                end = piece_end.max(end);
            }
        }
        if !same_package && (bytes == 0 || bytes.saturating_mul(MAX_READ) < end) {
            return false;
        }
        let item = self.pieces.items.len();
        for piece in found {
            let location = PieceLocation {
                item,
                offset: piece.offset,
                length: piece.length,
            };
            self.pieces.locations.entry(piece.plain).or_insert(location);
        }
        self.pieces.items.push(candidate);
        true
    }

    /// Searches an index. `candidate` returns the item of a row, if it is still installed. Returns
    /// the ids of rows that had pieces.
    pub(super) fn search_index(
        &mut self,
        reader: &IndexReader,
        candidate: &dyn Fn(&IndexedItem) -> Option<Candidate>,
    ) -> Result<Vec<i64>, SourceError> {
        let (mut tried, mut useful) = (HashSet::new(), Vec::new());
        let mut sample = SAMPLE;
        while self.pieces.items.len() < MAX_ITEMS && tried.len() < MAX_TRIED {
            let missing = self.missing();
            let step = missing.len().div_ceil(sample).max(1);
            let sampled: Vec<(i64, u32)> = missing.iter().copied().step_by(step).collect();
            let Some(id) = reader.best_holder(&sampled, &tried)? else {
                if step == 1 {
                    break;
                }
                sample = usize::MAX;
                continue;
            };
            tried.insert(id);
            if let Some(row) = reader.item(id)?
                && let Some(candidate) = candidate(&row)
                && self.add(candidate, row.pieces.as_deref().unwrap_or_default(), false)
            {
                useful.push(id);
            }
        }
        Ok(useful)
    }

    /// Returns digest prefix and length of the pieces that are not found yet.
    fn missing(&self) -> Vec<(i64, u32)> {
        let missing = self
            .wanted
            .iter()
            .filter(|(plain, _)| !self.pieces.locations.contains_key(plain));
        missing
            .map(|(plain, length)| (digest_prefix(plain), *length))
            .collect()
    }
}
