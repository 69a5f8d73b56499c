//! A map for a few entries, in insertion order.
//!
//! For about ten requests and a window of blocks, a list is as fast as a tree. It takes a tenth of
//! the code, which browsers must load.

use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct SmallMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq, V> SmallMap<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let found = self.0.iter().find(|(own, _)| own == key);
        found.map(|(_, value)| value)
    }

    /// As [`Self::get`]. Looks at the index `guess` first.
    pub(super) fn get_near(&self, guess: usize, key: &K) -> Option<&V> {
        match self.0.get(guess) {
            Some((own, value)) if own == key => Some(value),
            _ => self.get(key),
        }
    }

    /// As [`Self::get_mut`]. Looks at the index `guess` first.
    pub(super) fn get_mut_near(&mut self, guess: usize, key: &K) -> Option<&mut V> {
        if self.0.get(guess).is_some_and(|(own, _)| own == key) {
            return self.0.get_mut(guess).map(|(_, value)| value);
        }
        self.get_mut(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let found = self.0.iter_mut().find(|(own, _)| own == key);
        found.map(|(_, value)| value)
    }

    /// Adds an entry whose key is not in the map.
    pub(super) fn push(&mut self, key: K, value: V) {
        self.0.push((key, value));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.0.iter().position(|(own, _)| own == key)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.0.retain(|(_, value)| keep(value));
    }
}
