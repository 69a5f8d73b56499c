//! Sums over all records. They are updated when a record changes, so that `/metrics` doesn't read
//! the whole cache.
//!
//! ```text
//! begin(names) ─► count(name, record), one by one ─► complete: Totals
//!      change(name, before, after) whenever a record changes, also in between
//! ```
//! Before [`RunningTotals::begin`], changes are ignored: the records contain them when they are
//! counted. A record that changes before it is counted is counted then, in its new state, and not
//! again.

use std::collections::HashSet;

use super::Record;

/// The sums over the baked items of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Items.
    pub items: u64,
    /// Bytes of their NARs.
    pub nar_bytes: u64,
    /// Bytes of all forms that clients can fetch: the size of the cache if items shared no
    /// blocks.
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

/// The sums, and the records that are not counted yet.
#[derive(Debug, Default)]
pub(super) struct RunningTotals {
    totals: Totals,
    /// Hash parts of records that are not counted yet; `None` before [`Self::begin`].
    uncounted: Option<HashSet<String>>,
}

impl RunningTotals {
    /// Starts again with these records. None of them may have changed since they were listed.
    pub(super) fn begin(&mut self, hash_parts: impl Iterator<Item = String>) {
        self.totals = Totals::default();
        self.uncounted = Some(hash_parts.collect());
    }

    /// Returns a record that is not counted yet.
    pub(super) fn next(&self) -> Option<String> {
        self.uncounted.as_ref()?.iter().next().cloned()
    }

    /// Counts a record; `None` for a file that isn't a record.
    pub(super) fn count(&mut self, hash_part: &str, record: Option<&Record>) {
        let waiting = self.uncounted.as_mut();
        if waiting.is_some_and(|waiting| waiting.remove(hash_part))
            && let Some(record) = record
        {
            self.totals.add(record);
        }
    }

    /// Counts a record that was changed, added or removed.
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

    /// Returns the sums, once all records are counted.
    pub(super) fn totals(&self) -> Option<Totals> {
        let counted = self.uncounted.as_ref().is_some_and(HashSet::is_empty);
        counted.then_some(self.totals)
    }
}
