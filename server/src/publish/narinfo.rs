//! `/<hash>.narinfo`: the narinfo of an item that is baked, or of one that isn't yet.
//!
//! | item | response | seconds that clients may keep it |
//! |---|---|---|
//! | baked | the narinfo | `--ttl` |
//! | not baked, compressed in a binary cache | the narinfo | `--ttl`, at most 300 |
//! | not baked, without `--cache` | the narinfo | `--ttl` |
//! | not baked, with `--cache`, small | the narinfo | 300 |
//! | not baked, with `--cache`, large | 404 with `X-Baking: 1` | 300 |
//!
//! A request for an item that isn't baked starts its bake. Small means below the bypass threshold.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfoError;

use super::Inner;
use super::answers::{self, NotFoundPhrase};
use crate::bake::{Baked, Urgency};
use crate::net::server::Response;
use crate::store::{Item, SourceError};
use crate::task;

/// Seconds that clients may keep a response which will change once the item is baked.
const BAKING_TTL: u64 = 300;
/// Most narinfos of unbaked items in memory; when there are more, all are dropped.
const MAX_UNBAKED: usize = 4096;

/// The outcome of a look-up.
enum LookUp {
    /// The narinfo, and the seconds that clients may keep it.
    Text(Bytes, Option<u64>),
    Baking,
    Absent,
}

/// Why a look-up failed.
#[derive(Debug, thiserror::Error)]
enum LookUpError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    NarInfo(#[from] NarInfoError),
}

impl Inner {
    pub(super) async fn narinfo(self: &Arc<Self>, hash_part: &str, path: &str) -> Response {
        if let Some(text) = self.ready(hash_part) {
            return self.found(text, self.ttl);
        }
        let (inner, asked) = (Arc::clone(self), hash_part.to_owned());
        let found =
            task::blocking(("finding a narinfo", hash_part), move || inner.look(&asked)).await;
        match found {
            Ok(Ok(LookUp::Text(text, ttl))) => self.found(text, ttl),
            Ok(Ok(LookUp::Baking)) => {
                answers::not_found(NotFoundPhrase::Baking, path, Some(BAKING_TTL))
            }
            Ok(Ok(LookUp::Absent)) => {
                let phrase = if self.cached {
                    NotFoundPhrase::NotFound
                } else {
                    NotFoundPhrase::Silent
                };
                answers::not_found(phrase, path, self.negative_ttl)
            }
            Ok(Err(error)) => answers::failed(&error, path),
            Err(error) => answers::failed(&error, path),
        }
    }

    fn found(&self, text: Bytes, ttl: Option<u64>) -> Response {
        answers::with_ttl(answers::ok(answers::NARINFO, text), ttl)
    }

    /// Returns the signed narinfo of a complete baked item, if it is in memory.
    fn ready(&self, hash_part: &str) -> Option<Bytes> {
        let baked = self.baker.peek(hash_part)?;
        let text = baked.narinfo.get()?.clone();
        let ready = self.baker.is_complete(&baked.record) && self.baker.serve(&baked);
        ready.then_some(text)
    }

    /// Looks up an item, and requests its bake if needed. Blocks.
    fn look(&self, hash_part: &str) -> Result<LookUp, LookUpError> {
        let baked = self.baker.get(hash_part);
        let baked = baked.filter(|baked| self.baker.serve(baked));
        if let Some(baked) = baked
            .as_ref()
            .filter(|one| self.baker.is_complete(&one.record))
        {
            return Ok(LookUp::Text(self.text(baked)?, self.ttl));
        }
        let source = self.baker.source();
        let Some(item) = source.find(hash_part)? else {
            // The item has left the store, but what was baked of it may still be there.
            return match baked {
                Some(baked) => Ok(LookUp::Text(self.text(&baked)?, self.ttl)),
                None => Ok(LookUp::Absent),
            };
        };
        self.baker.request(item.clone(), Urgency::Requested);
        if let Some(prepared) = source.prepared(&item).filter(|one| !one.files.is_empty()) {
            let ttl = Some(self.ttl.map_or(BAKING_TTL, |ttl| ttl.min(BAKING_TTL)));
            return Ok(LookUp::Text(
                self.narinfo_writer.prepared(&item, &prepared)?,
                ttl,
            ));
        }
        if !self.cached {
            return Ok(LookUp::Text(self.unbaked(&item)?, self.ttl));
        }
        if item.nar_size < self.bypass_threshold {
            return Ok(LookUp::Text(self.unbaked(&item)?, Some(BAKING_TTL)));
        }
        Ok(LookUp::Baking)
    }

    /// Returns the narinfo of a baked item. It is signed once per state of the record.
    fn text(&self, baked: &Baked) -> Result<Bytes, NarInfoError> {
        if let Some(text) = baked.narinfo.get() {
            return Ok(text.clone());
        }
        let compressors = self.baker.compressors(&baked.record.item);
        let text = self.narinfo_writer.baked(&baked.record, &compressors)?;
        Ok(baked.narinfo.get_or_init(|| text).clone())
    }

    /// Returns the narinfo of an item that isn't baked. It is signed once while it stays in
    /// memory.
    fn unbaked(&self, item: &Item) -> Result<Bytes, NarInfoError> {
        let key = (item.store_path.clone(), item.nar_hash);
        let known = self.lock_unbaked().get(&key).cloned();
        if let Some(text) = known {
            return Ok(text);
        }
        let text = self
            .narinfo_writer
            .unbaked(item, &self.baker.compressors(item))?;
        let mut unbaked = self.lock_unbaked();
        if unbaked.len() >= MAX_UNBAKED {
            unbaked.clear();
        }
        unbaked.insert(key, text.clone());
        Ok(text)
    }

    fn lock_unbaked(&self) -> std::sync::MutexGuard<'_, Unbaked> {
        self.unbaked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Narinfos of items that aren't baked.
pub(super) type Unbaked =
    std::collections::HashMap<(interplanar_core::store_path::StorePath, Sha256), Bytes>;
