//! The stores of this machine, opened when they are there: a daemon may be installed after the proxy was started.

use crate::store::{self, Source, SourceSpec, Stamp};
use interplanar_core::store_path::StorePath;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
pub(super) struct Stores(Mutex<State>);

#[derive(Default)]
struct State {
    open: Vec<Arc<dyn Source>>,
    pending: Vec<Pending>,
}

/// A store that isn't open.
struct Pending {
    spec: SourceSpec,
    /// Whether it was said that it is there and can't be read.
    broken: bool,
}

impl Stores {
    /// Open ones, and those that may come.
    pub(super) fn new(open: Vec<Arc<dyn Source>>, specs: Vec<SourceSpec>) -> Self {
        let pending = specs.into_iter().map(|spec| Pending {
            spec,
            broken: false,
        });
        let pending = pending.collect();
        Self(Mutex::new(State { open, pending }))
    }

    /// All that can be read now. Blocks.
    pub(super) fn all(&self) -> Vec<Arc<dyn Source>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { open, pending } = &mut *state;
        pending.retain_mut(|one| match one.open() {
            Some(store) => {
                open.push(store);
                false
            }
            None => true,
        });
        open.clone()
    }

    /// The store that has items of this path's directory. Blocks.
    pub(super) fn of(&self, path: &StorePath) -> Option<Arc<dyn Source>> {
        let mut all = self.all().into_iter();
        all.find(|store| store.store_dir() == path.directory())
    }

    /// Whether a store is there that can't be read, so that nobody knows which items it has.
    pub(super) fn are_in_doubt(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending.iter().any(|one| one.broken)
    }

    /// Another one whenever items have come or gone. Blocks.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let all = self.all();
        let stamps = all.iter().map(|store| store.stamp().unwrap_or_default());
        stamps.collect()
    }
}

impl Pending {
    fn open(&mut self) -> Option<Arc<dyn Source>> {
        if !self.spec.is_there() {
            return None;
        }
        match store::open(&self.spec) {
            Ok(store) => Some(store),
            Err(error) => {
                if !std::mem::replace(&mut self.broken, true) {
                    tracing::warn!(%error, "a store of this machine can't be read, so its items are fetched anew");
                }
                None
            }
        }
    }
}
