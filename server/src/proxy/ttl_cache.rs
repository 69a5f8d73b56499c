//! A cache whose entries have a time to live and a cost. The sum of the costs is bounded.
//!
//! Expired entries are evicted first, then those that expire next.
//!
//! ```
//! use interplanar_server::proxy::TtlCache;
//! use std::time::{Duration, Instant};
//!
//! let (mut cache, now) = (TtlCache::new(100), Instant::now());
//! cache.insert("a".to_owned(), 1, 10, Duration::from_secs(60), now);
//! let later = now + Duration::from_secs(20);
//! assert_eq!(cache.get("a", later), Some((&1, Duration::from_secs(40))));
//! assert_eq!(cache.get("a", now + Duration::from_secs(60)), None);
//! ```

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// A cache with expiry and bounded cost. See the module.
#[derive(Debug)]
pub struct TtlCache<V> {
    slots: HashMap<String, Slot<V>>,
    by_end: BTreeSet<(Instant, String)>,
    cost: usize,
    max_cost: usize,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    cost: usize,
    end: Instant,
}

impl<V> TtlCache<V> {
    /// Creates a cache that holds entries with a total cost of at most `max_cost`, in bytes or any
    /// other unit.
    #[must_use]
    pub fn new(max_cost: usize) -> Self {
        Self {
            slots: HashMap::new(),
            by_end: BTreeSet::new(),
            cost: 0,
            max_cost,
        }
    }

    /// Returns the value of `key` and its remaining lifetime, unless it is missing or expired.
    #[must_use]
    pub fn get(&self, key: &str, now: Instant) -> Option<(&V, Duration)> {
        let slot = self.slots.get(key)?;
        let left = slot
            .end
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        Some((&slot.value, left))
    }

    /// Sets the value of `key` for `ttl` from `now`. A value with no lifetime, or a cost above
    /// `max_cost`, is not stored.
    pub fn insert(&mut self, key: String, value: V, cost: usize, ttl: Duration, now: Instant) {
        self.remove(&key);
        let Some(end) = now
            .checked_add(ttl)
            .filter(|_| !ttl.is_zero() && cost <= self.max_cost)
        else {
            return;
        };
        self.make_room(cost, now);
        self.by_end.insert((end, key.clone()));
        self.slots.insert(key, Slot { value, cost, end });
        self.cost += cost;
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        if let Some((key, slot)) = self.slots.remove_entry(key) {
            self.cost -= slot.cost;
            self.by_end.remove(&(slot.end, key));
        }
    }

    /// Returns the number of entries, including expired ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn make_room(&mut self, cost: usize, now: Instant) {
        while let Some((end, _)) = self.by_end.first()
            && (*end <= now || self.cost + cost > self.max_cost)
            && let Some((_, key)) = self.by_end.pop_first()
            && let Some(slot) = self.slots.remove(&key)
        {
            self.cost -= slot.cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn filled(now: Instant) -> TtlCache<u32> {
        let mut cache = TtlCache::new(30);
        for (key, value, ttl) in [("a", 1, 3), ("b", 2, 1), ("c", 3, 2)] {
            cache.insert(key.to_owned(), value, 10, SECOND * ttl, now);
        }
        cache
    }

    #[test]
    fn entries_expire() {
        let now = Instant::now();
        let cache = filled(now);
        assert_eq!(cache.get("b", now), Some((&2, SECOND)));
        assert_eq!(cache.get("b", now + SECOND), None);
        assert_eq!(cache.get("a", now + SECOND), Some((&1, SECOND * 2)));
        assert_eq!(cache.get("d", now), None);
    }

    #[test]
    fn the_cost_is_bounded_and_entries_that_expire_next_are_evicted() {
        let now = Instant::now();
        let mut cache = filled(now);
        cache.insert("d".to_owned(), 4, 15, SECOND, now);
        assert_eq!(cache.len(), 2);
        assert_eq!(
            (cache.get("a", now), cache.get("d", now)),
            (Some((&1, SECOND * 3)), Some((&4, SECOND)))
        );
        cache.insert("e".to_owned(), 5, 31, SECOND, now);
        assert_eq!((cache.get("e", now), cache.len()), (None, 2));
    }

    #[test]
    fn expired_entries_make_room_for_new_ones() {
        let now = Instant::now();
        let mut cache = filled(now);
        cache.insert("d".to_owned(), 4, 1, SECOND, now + SECOND * 2);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_new_value_replaces_the_old_one_and_zero_time_removes_it() {
        let now = Instant::now();
        let mut cache = filled(now);
        cache.insert("a".to_owned(), 7, 30, SECOND, now);
        assert_eq!((cache.get("a", now), cache.len()), (Some((&7, SECOND)), 1));
        cache.insert("a".to_owned(), 8, 1, Duration::ZERO, now);
        assert!(cache.is_empty());
    }
}
