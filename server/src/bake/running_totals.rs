//! Sums over all records, kept up to date as records change, so that telling them costs no walk over the cache.
//!
//! ```text
//! begin(names) ─► count(name, record), one by one ─► whole: Totals
//!      change(name, before, after) whenever a record changes, also meanwhile
//! ```
//! Before [`RunningTotals::begin`] nothing is kept: what changed is in the records by then. A record that changes before its turn is counted as it is
//! after the change, and its turn is skipped.

use std::collections::HashSet;

use super::Record;

/// What the baked items of a cache are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Items.
    pub items: u64,
    /// Bytes of their NARs.
    pub nar_bytes: u64,
    /// Bytes of all forms that clients can fetch of them: what they would take if nothing were shared.
    pub offered_bytes: u64,
}

impl Totals {
    fn add(&mut self, record: &Record) {
        self.items = self.items.saturating_add(1);
        self.nar_bytes = self.nar_bytes.saturating_add(record.item.nar_size);
        self.offered_bytes = self.offered_bytes.saturating_add(offered(record));
    }

    fn take(&mut self, record: &Record) {
        self.items = self.items.saturating_sub(1);
        self.nar_bytes = self.nar_bytes.saturating_sub(record.item.nar_size);
        self.offered_bytes = self.offered_bytes.saturating_sub(offered(record));
    }
}

fn offered(record: &Record) -> u64 {
    let sizes = record.representations.iter().map(|one| one.file_size);
    sizes.fold(0, u64::saturating_add)
}

/// The sums, and whose turn is still to come.
#[derive(Debug, Default)]
pub(super) struct RunningTotals {
    totals: Totals,
    /// Hash parts of records that are not counted yet; `None` before the beginning.
    uncounted: Option<HashSet<String>>,
}

impl RunningTotals {
    /// Starts anew with these records, none of which may have changed since they were listed.
    pub(super) fn begin(&mut self, hash_parts: impl Iterator<Item = String>) {
        self.totals = Totals::default();
        self.uncounted = Some(hash_parts.collect());
    }

    /// A record whose turn has not come.
    pub(super) fn next(&self) -> Option<String> {
        self.uncounted.as_ref()?.iter().next().cloned()
    }

    /// Counts it; `None` of a file that is no record.
    pub(super) fn count(&mut self, hash_part: &str, record: Option<&Record>) {
        let waiting = self.uncounted.as_mut();
        if waiting.is_some_and(|waiting| waiting.remove(hash_part))
            && let Some(record) = record
        {
            self.totals.add(record);
        }
    }

    /// A record changed, came or went.
    pub(super) fn change(
        &mut self,
        hash_part: &str,
        before: Option<&Record>,
        after: Option<&Record>,
    ) {
        let Some(waiting) = self.uncounted.as_mut() else {
            return;
        };
        let was_counted = !waiting.remove(hash_part);
        if let Some(before) = before.filter(|_| was_counted) {
            self.totals.take(before);
        }
        if let Some(after) = after {
            self.totals.add(after);
        }
    }

    /// The sums, once all records are counted.
    pub(super) fn totals(&self) -> Option<Totals> {
        let counted = self.uncounted.as_ref().is_some_and(HashSet::is_empty);
        counted.then_some(self.totals)
    }
}
