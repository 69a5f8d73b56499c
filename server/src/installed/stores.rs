//! The stores of this machine. They are opened when they exist: Guix or Nix may be installed after
//! the proxy was started.

use crate::store::{self, Source, SourceSpec, Stamp};
use interplanar_core::store_path::StorePath;
use std::sync::{Arc, Mutex, PoisonError};

/// The stores of this machine. See the module.
pub(super) struct Stores(Mutex<StoreList>);

#[derive(Default)]
struct StoreList {
    open: Vec<Arc<dyn Source>>,
    pending: Vec<PendingStore>,
}

/// A store that is not open yet.
struct PendingStore {
    spec: SourceSpec,
    /// Whether it was logged that the store exists but can't be read.
    broken: bool,
}

impl Stores {
    /// Takes open stores, and those that may appear later.
    pub(super) fn new(open: Vec<Arc<dyn Source>>, specs: Vec<SourceSpec>) -> Self {
        let pending = specs.into_iter().map(|spec| PendingStore {
            spec,
            broken: false,
        });
        let pending = pending.collect();
        Self(Mutex::new(StoreList { open, pending }))
    }

    /// Returns all stores that can be read now. Blocking.
    pub(super) fn all(&self) -> Vec<Arc<dyn Source>> {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let StoreList { open, pending } = &mut *stores;
        pending.retain_mut(|one| match one.open() {
            Some(store) => {
                open.push(store);
                false
            }
            None => true,
        });
        open.clone()
    }

    /// Returns the store with the directory of this path. Blocking.
    pub(super) fn of(&self, path: &StorePath) -> Option<Arc<dyn Source>> {
        let mut all = self.all().into_iter();
        all.find(|store| store.store_dir() == path.directory())
    }

    /// Returns whether a store exists but can't be read, so that its items are unknown.
    pub(super) fn any_unreadable(&self) -> bool {
        let stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.pending.iter().any(|one| one.broken)
    }

    /// Returns stamps that change whenever items are added or deleted. Blocking.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let all = self.all();
        let stamps = all.iter().map(|store| store.stamp().unwrap_or_default());
        stamps.collect()
    }
}

impl PendingStore {
    fn open(&mut self) -> Option<Arc<dyn Source>> {
        if !self.spec.is_there() {
            return None;
        }
        match store::open(&self.spec) {
            Ok(store) => Some(store),
            Err(error) => {
                if !std::mem::replace(&mut self.broken, true) {
                    tracing::warn!(%error, "can't read a store of this machine, so the pieces of its items are downloaded again");
                }
                None
            }
        }
    }
}
