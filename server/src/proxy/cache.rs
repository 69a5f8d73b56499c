//! The proxy's block store, and the eviction of its blocks.
//!
//! ```text
//! <cache>/blocks/            the block store
//! <cache>/fetched/<root CID> a record: the CIDs of the blocks fetched for this root, one a line;
//!                            its mtime is the last use
//! ```
//! A record is written before its blocks, so every fetched block has a record even after a crash.
//! Eviction removes the blocks of the least recently used roots. If another root shares such a
//! block, it is fetched again when needed. Blocks from `interplanar import` have no record and
//! stay.

use crate::blocks::{BlockStore, BlocksError};
use crate::net::client::LocalBlocks;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Eviction stops at this percentage of the limit, so that it doesn't run again at once.
const TRIM_TO: u64 = 90;

/// The block store with its records. See the module.
pub(super) struct Cache {
    blocks: BlockStore,
    records: PathBuf,
    max_bytes: u64,
    has_grown: AtomicBool,
    trimming: Mutex<()>,
}

impl Cache {
    /// Opens or creates the cache in `dir`. Blocking.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Arc<Self>, BlocksError> {
        let records = dir.join("fetched");
        let blocks = BlockStore::open(&dir.join("blocks"))?;
        // Without records blocks can't be evicted. The first fetch logs that.
        if let Err(error) = fs::create_dir_all(&records) {
            tracing::warn!(%error, "can't create the folder for records of fetched blocks");
        }
        Ok(Arc::new(Self {
            blocks,
            records,
            max_bytes,
            has_grown: AtomicBool::new(true),
            trimming: Mutex::new(()),
        }))
    }

    pub(super) fn blocks(&self) -> &BlockStore {
        &self.blocks
    }

    /// Returns a view of the store for a fetch of `root`, and updates the time of the root's
    /// record. Blocking.
    pub(super) fn for_fetch(self: &Arc<Self>, root: &Cid) -> FetchBlocks {
        let record = self.records.join(root.to_string());
        if let Ok(file) = File::options().append(true).open(&record)
            && let Err(error) = file.set_modified(SystemTime::now())
        {
            tracing::debug!(%error, "can't update the time of a record");
        }
        FetchBlocks {
            cache: Arc::clone(self),
            record,
        }
    }

    /// Evicts the least recently used roots if the store is larger than its limit. Blocking.
    pub(super) fn trim(&self) {
        let _one_at_a_time = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_grown.swap(false, Ordering::Relaxed)
            && let Err(error) = self.try_trim()
        {
            tracing::error!(
                error = error.as_ref() as &dyn std::error::Error,
                "can't evict blocks from the cache"
            );
        }
    }

    fn try_trim(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut bytes = self.blocks.stats()?.bytes;
        if bytes <= self.max_bytes {
            return Ok(());
        }
        let before = bytes;
        let target_bytes = self.max_bytes / 100 * TRIM_TO;
        for record in self.oldest_first()? {
            if bytes <= target_bytes {
                break;
            }
            let text = fs::read_to_string(&record)?;
            let cids: Vec<Cid> = text
                .lines()
                .filter_map(|line| cid::parse(line).ok())
                .collect();
            self.blocks.remove(&cids)?;
            fs::remove_file(&record)?;
            bytes = self.blocks.stats()?.bytes;
        }
        let compacted = self.blocks.compact()?;
        tracing::info!(
            before,
            bytes,
            disk = compacted.bytes,
            "evicted blocks from the cache"
        );
        Ok(())
    }

    fn oldest_first(&self) -> io::Result<Vec<PathBuf>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.records)? {
            let entry = entry?;
            records.push((entry.metadata()?.modified()?, entry.path()));
        }
        records.sort();
        Ok(records.into_iter().map(|(_, path)| path).collect())
    }
}

/// The block store as used by the fetch of one root.
#[derive(Clone)]
pub(super) struct FetchBlocks {
    cache: Arc<Cache>,
    record: PathBuf,
}

impl FetchBlocks {
    /// Returns whether a block is stored. Blocking.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.cache.blocks.has(cid).unwrap_or(false)
    }
}

impl LocalBlocks for FetchBlocks {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        self.cache.blocks.get(cid)
    }

    fn put(&self, blocks: &[Block]) -> Result<(), BlocksError> {
        let mut lines = String::new();
        for block in blocks {
            lines.push_str(&block.cid().to_string());
            lines.push('\n');
        }
        let recorded = File::options().create(true).append(true).open(&self.record);
        if let Err(error) = recorded.and_then(|mut file| file.write_all(lines.as_bytes())) {
            tracing::warn!(%error, "can't record fetched blocks; they will never be evicted");
        }
        self.cache.has_grown.store(true, Ordering::Relaxed);
        self.cache.blocks.put(blocks)
    }
}
