//! A bounded map whose values expire. An isolate keeps such maps between requests, and may lose
//! them at any time.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Values that expire. If there are too many, the oldest are evicted.
#[derive(Debug)]
pub(crate) struct ExpiringMap<K, V> {
    most: usize,
    values: HashMap<K, (V, f64)>,
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V: Clone> ExpiringMap<K, V> {
    /// Creates a map for at most this many values.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Stores a value until this time in milliseconds.
    pub(crate) fn put(&mut self, key: K, value: V, until_ms: f64) {
        if self.values.insert(key.clone(), (value, until_ms)).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }

    /// Returns a value, and the milliseconds until it expires.
    pub(crate) fn get(&self, key: &K, now_ms: f64) -> Option<(V, f64)> {
        let (value, until_ms) = self.values.get(key)?;
        (*until_ms > now_ms).then(|| (value.clone(), until_ms - now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_expire_and_the_oldest_are_evicted() {
        let mut map = ExpiringMap::new(2);
        map.put("a", 1, 10.0);
        assert_eq!(map.get(&"a", 4.0), Some((1, 6.0)));
        assert_eq!(map.get(&"a", 10.0), None);
        map.put("a", 2, 20.0);
        map.put("b", 3, 20.0);
        map.put("c", 4, 20.0);
        assert_eq!(map.get(&"a", 1.0), None);
        assert_eq!(map.get(&"c", 1.0), Some((4, 19.0)));
    }
}
