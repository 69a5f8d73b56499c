//! The proxy's engine for parts of this program, without a server between: the same sources, the same checks.

use super::Proxy;
use crate::blocks::BlockStore;
use crate::net::server::{Body, Response};
use interplanar_core::install::{Answer, Known, is_hash_part};
use interplanar_core::narinfo::NarInfo;
use interplanar_core::trust::Verified;
use std::sync::Arc;

/// A store item that an upstream has and a trusted key signed.
#[derive(Debug, Clone)]
pub struct Available(Arc<Known>);

impl Available {
    /// Its narinfo, as the upstream gave it.
    #[must_use]
    pub fn narinfo(&self) -> &Verified<NarInfo> {
        &self.0.narinfo
    }

    /// The upstream that gave it.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.0.upstream
    }

    /// Bytes of the smallest entry, if any says its size.
    #[must_use]
    pub fn download_size(&self) -> Option<u64> {
        self.0
            .narinfo
            .entries()
            .iter()
            .filter_map(|entry| entry.file_size)
            .min()
    }
}

/// What the upstreams say of a hash part.
#[derive(Debug, Clone)]
pub enum Found {
    /// One has it.
    Available(Available),
    /// At least one answered, and none has it, or none that is believed.
    Absent,
    /// None could be asked.
    Unreachable,
}

impl Proxy {
    /// The blocks that are here.
    #[must_use]
    pub fn blocks(&self) -> &BlockStore {
        self.nars.cache.blocks()
    }

    /// Looks a store item up by the 32 characters of its hash.
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

    /// The plain NAR of an item, verified: the body breaks off, with an error, where no source gives the right bytes. `None` when no source
    /// gives anything.
    pub async fn open_nar(&self, item: &Available) -> Option<Body> {
        let response: Response = self.nars.respond(Arc::clone(&item.0)).await;
        response.status().is_success().then(|| response.into_body())
    }
}
