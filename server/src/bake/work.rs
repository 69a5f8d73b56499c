//! The work of a baking thread: bakes one item, and cleans up if that fails.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use interplanar_core::cid::Cid;
use interplanar_core::narinfo::Compression;

use super::block_writer::BlockWriter;
use super::dag::LiveBlocks;
use super::pipeline;
use super::queue::{BakeResult, RunningBake};
use super::record::{Record, Representation};
use super::{BakeError, Baked, Compressor, Inner};
use crate::atomic;
use crate::store::{Item, Prepared, SourceError};
use crate::task;

/// Starts the baking threads.
pub(super) fn start(inner: &Arc<Inner>) -> Result<(), BakeError> {
    for _ in 0..inner.config.workers.max(1) {
        let inner = Arc::clone(inner);
        let work = move || {
            while let Some(bake) = inner.queue.take() {
                let work = ("cleaning up", bake.item.store_path.as_str());
                let result = task::caught(work, || inner.run(&bake));
                let result = result.unwrap_or_else(|error| Err(error.into()));
                inner.queue.finish(&bake, &result);
            }
        };
        task::thread("baking", work).map_err(BakeError::io(&PathBuf::from("a worker thread")))?;
    }
    Ok(())
}

impl Inner {
    pub(super) fn listing(&self, hash_part: &str) -> PathBuf {
        self.listings.join(format!("{hash_part}.ls"))
    }

    pub(super) fn is_complete(&self, record: &Record) -> bool {
        if record.narinfo.is_some() {
            // The files of a binary cache are complete; only the tree can be missing.
            return !self.wants_tree() || record.of(Compressor::TREE).is_some();
        }
        self.missing(Some(record), &record.item).is_empty()
    }

    fn wants_tree(&self) -> bool {
        self.config.compressors.contains(&Compressor::TREE)
    }

    /// Returns the methods of an item that a record lacks.
    fn missing(&self, record: Option<&Record>, item: &Item) -> Vec<Compressor> {
        let mut wanted = Compressor::for_item(item.store_path.name(), &self.config.compressors);
        let has = |one: &Compressor| record.and_then(|record| record.of(*one));
        wanted.retain(|one| has(one).is_none());
        wanted
    }

    /// Bakes an item. A panic or an error leaves no blocks behind.
    fn run(&self, running: &RunningBake) -> BakeResult {
        let block_writer = BlockWriter::new(
            self.blocks.clone(),
            self.config.min_free,
            Arc::clone(&self.stopped),
        );
        let block_writer = Rc::new(RefCell::new(block_writer));
        let path = running.item.store_path.as_str();
        let result = task::caught(("baking", path), || self.bake(&running.item, &block_writer));
        let result = result.unwrap_or_else(|error| Err(error.into()));
        match &result {
            Ok(_) => {}
            Err(BakeError::Stopped) => {}
            Err(BakeError::Source(SourceError::Gone(_))) => {
                tracing::info!(path, "not baking an item that has left the store");
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path, %error, "can't bake an item");
            }
        }
        if result.is_err() {
            let new = block_writer
                .try_borrow_mut()
                .map(|mut block_writer| block_writer.take_new())
                .unwrap_or_default();
            self.clean_up(running, new);
        }
        result
    }

    fn bake(&self, item: &Item, block_writer: &Rc<RefCell<BlockWriter>>) -> BakeResult {
        let hash_part = item.store_path.hash_part();
        let before = self.records.get(hash_part);
        if let Some(baked) = before.as_ref().filter(|b| self.is_complete(&b.record)) {
            return Ok(Arc::clone(baked));
        }
        let started = Instant::now();
        let record = match self.source.prepared(item).filter(|p| !p.files.is_empty()) {
            Some(prepared) => self.store_prepared(item, &prepared, block_writer)?,
            None => self.compress(item, before.as_deref(), block_writer)?,
        };
        // Make all blocks durable before the record that refers to them.
        self.blocks.flush()?;
        let baked = self.records.save(record)?;
        self.baked.fetch_add(1, Ordering::Relaxed);
        report(&baked, started);
        // Without Kubo, nobody receives this.
        let _ = self.baked_sender.send(hash_part.to_owned());
        Ok(baked)
    }

    /// Compresses the forms that are missing, and keeps the existing ones if the NAR is still
    /// the same.
    fn compress(
        &self,
        item: &Item,
        before: Option<&Baked>,
        block_writer: &Rc<RefCell<BlockWriter>>,
    ) -> Result<Record, BakeError> {
        let before = before
            .map(|baked| &baked.record)
            .filter(|record| record.item.nar_hash == item.nar_hash);
        let missing = self.missing(before, item);
        let compressor_pool = (self.config.cut, &self.compressor_pool);
        let output = pipeline::bake(&*self.source, item, &missing, compressor_pool, block_writer)?;
        let has_tree = |all: &[Representation]| all.iter().any(|one| one.tree.is_some());
        // Don't replace a listing with CIDs by one without.
        if has_tree(&output.representations)
            || !before.is_some_and(|before| has_tree(&before.representations))
        {
            self.save_listing(item, output.listing.as_bytes())?;
        }
        let kept = before.map(|record| record.representations.clone());
        let mut representations = kept.unwrap_or_default();
        representations.extend(output.representations);
        Ok(Record {
            item: item.clone(),
            narinfo: None,
            representations,
        })
    }

    /// Stores the files of a binary cache as they are, and builds the tree if it is wanted.
    fn store_prepared(
        &self,
        item: &Item,
        prepared: &Prepared,
        block_writer: &Rc<RefCell<BlockWriter>>,
    ) -> Result<Record, BakeError> {
        let mut representations: Vec<Representation> = Vec::new();
        let tree = self.wants_tree();
        let compressor_pool = (self.config.cut, &self.compressor_pool);
        for file in &prepared.files {
            // The plain NAR of the tree has the same bytes.
            if tree && file.entry.compression == Compression::None {
                continue;
            }
            let known = |one: &Representation| one.compression == file.entry.compression;
            if !representations.iter().any(known) {
                let stored = pipeline::store_prepared(
                    &*self.source,
                    item,
                    file,
                    compressor_pool,
                    block_writer,
                )?;
                representations.push(stored);
            }
        }
        if tree {
            let output = pipeline::bake(
                &*self.source,
                item,
                &[Compressor::TREE],
                compressor_pool,
                block_writer,
            )?;
            self.save_listing(item, output.listing.as_bytes())?;
            representations.extend(output.representations);
        } else if let Some(path) = &prepared.listing {
            let listing = std::fs::read(path).map_err(BakeError::io(path))?;
            self.save_listing(item, &listing)?;
        }
        Ok(Record {
            item: item.clone(),
            narinfo: Some(prepared.narinfo.to_string()),
            representations,
        })
    }

    fn save_listing(&self, item: &Item, listing: &[u8]) -> Result<(), BakeError> {
        let path = self.listing(item.store_path.hash_part());
        atomic::write(&path, listing).map_err(BakeError::io(&path))
    }

    /// Removes the blocks that a failed bake has added, except those of items that were baked
    /// at the same time.
    fn clean_up(&self, running: &RunningBake, mut new: Vec<Cid>) {
        if new.is_empty() || self.stopped.load(Ordering::Relaxed) {
            return;
        }
        self.queue.clean_up(running, |concurrent| {
            let mut live = LiveBlocks::default();
            for baked in concurrent.iter().filter_map(|one| self.records.get(one)) {
                if live.add(&self.blocks, &baked.record.roots()).is_err() {
                    tracing::warn!(
                        "the blocks of a failed bake stay on disk: \
                         another item that may share them has lost blocks"
                    );
                    return;
                }
            }
            new.retain(|cid| !live.has(cid));
            let removed = self.blocks.remove(&new);
            let compacted = self.blocks.compact();
            if let Some(error) = removed.err().or(compacted.err()) {
                tracing::warn!(%error, "can't remove the blocks of a failed bake");
            }
        });
    }
}

fn report(baked: &Baked, started: Instant) {
    let item = &baked.record.item;
    let seconds = started.elapsed().as_secs_f64();
    let forms: Vec<String> = baked
        .record
        .representations
        .iter()
        .map(|one| {
            let method = one.compression.as_str();
            format!("{method} {} bytes {}", one.file_size, one.cid)
        })
        .collect();
    tracing::info!(
        path = item.store_path.as_str(),
        nar_size = item.nar_size,
        seconds = format!("{seconds:.1}"),
        "baked: {}",
        forms.join(", ")
    );
}
