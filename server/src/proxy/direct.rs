//! The proxy's engine for use inside this program, without an HTTP server. Sources and checks are
//! the same.

use super::Proxy;
use crate::blocks::BlockStore;
use crate::net::server::{Body, Response};
use interplanar_core::install::{Answer, Known, is_hash_part};
use interplanar_core::nar::NarError;
use interplanar_core::trust::{Hints, Signed};
use std::sync::Arc;

/// A store item that an upstream has, with a signature of a trusted key.
#[derive(Debug, Clone)]
pub struct Available(Arc<Known>);

impl Available {
    /// Returns what a trusted key signed.
    #[must_use]
    pub fn signed(&self) -> &Signed {
        &self.0.signed
    }

    /// Returns the rest of the narinfo, which may be wrong.
    #[must_use]
    pub fn hints(&self) -> &Hints {
        &self.0.hints
    }

    /// Returns the base name of the derivation that built the item, if the upstream may state it.
    #[must_use]
    pub fn deriver(&self) -> Option<&str> {
        self.0.deriver()
    }

    /// Returns the URL of the upstream that has the item.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.0.upstream
    }

    /// Returns the size of the smallest entry in bytes, if any entry has a `FileSize`.
    #[must_use]
    pub fn download_size(&self) -> Option<u64> {
        self.0
            .hints
            .entries()
            .iter()
            .filter_map(|entry| entry.file_size)
            .min()
    }
}

/// The upstreams' answer about a hash part.
#[derive(Debug, Clone)]
pub enum Found {
    /// An upstream has the item.
    Available(Available),
    /// At least one upstream answered, and none has the item with a trusted signature.
    Absent,
    /// No upstream could be reached.
    Unreachable,
}

impl Proxy {
    /// Returns the block store.
    #[must_use]
    pub fn blocks(&self) -> &BlockStore {
        self.nars.cache.blocks()
    }

    /// Looks up a store item by its hash part.
    pub async fn find(&self, hash_part: &str) -> Found {
        if !is_hash_part(hash_part) {
            return Found::Absent;
        }
        match self.lookup.find(hash_part).await.0 {
            Answer::Found(known) => Found::Available(Available(known)),
            Answer::Absent => Found::Absent,
            Answer::Unreachable => Found::Unreachable,
        }
    }

    /// Returns the plain NAR of an item, verified. The body ends with an error if no source has the
    /// right bytes. `None` if no source sent any byte.
    pub async fn open_nar(&self, item: &Available) -> Option<Body> {
        let response: Response = self.nars.respond(Arc::clone(&item.0)).await;
        response.status().is_success().then(|| response.into_body())
    }

    /// Waits until the deliveries of [`Self::open_nar`] have ended, with the evictions after them.
    /// Only the proxy uses its cache folder then, so both can be deleted.
    pub async fn settle(&self) {
        drop(self.nars.running.write().await);
    }

    /// Returns the error of an item's NAR, if [`Self::open_nar`] failed because the NAR is malformed
    /// although its hash was signed. No source can repair it.
    #[must_use]
    pub fn malformed(&self, item: &Available) -> Option<NarError> {
        self.nars.malformed(&item.0)
    }
}
