//! What an isolate remembers between requests, for a while and not without limit. It may be forgotten at any time.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Values that expire; the oldest go when there are too many.
#[derive(Debug)]
pub(crate) struct Memory<K, V> {
    most: usize,
    values: HashMap<K, (V, f64)>,
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V: Clone> Memory<K, V> {
    /// For at most so many values.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Remembers a value until a time, in milliseconds.
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

    /// A value, and for how many milliseconds it holds.
    pub(crate) fn get(&self, key: &K, now_ms: f64) -> Option<(V, f64)> {
        let (value, until_ms) = self.values.get(key)?;
        (*until_ms > now_ms).then(|| (value.clone(), until_ms - now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_expire_and_the_oldest_go() {
        let mut memory = Memory::new(2);
        memory.put("a", 1, 10.0);
        assert_eq!(memory.get(&"a", 4.0), Some((1, 6.0)));
        assert_eq!(memory.get(&"a", 10.0), None);
        memory.put("a", 2, 20.0);
        memory.put("b", 3, 20.0);
        memory.put("c", 4, 20.0);
        assert_eq!(memory.get(&"a", 1.0), None);
        assert_eq!(memory.get(&"c", 1.0), Some((4, 19.0)));
    }
}
