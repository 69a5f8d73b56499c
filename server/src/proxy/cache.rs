//! The blocks that the proxy keeps, and which of them go when there are too many.
//!
//! ```text
//! <cache>/blocks/            the block store
//! <cache>/fetched/<root CID> one CID per line: the blocks that fetches of this root brought; its time is that of the last use
//! ```
//! A record is written before the blocks it names are kept, so a kill never leaves blocks that no record names. Trimming forgets the
//! blocks of the roots that were not used for longest; a block that another root shares is fetched anew when that is asked for. Blocks
//! that came otherwise (`interplanar import`) have no record and stay.

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

/// Trimming ends at this many percent of the limit, so that it isn't due again at once.
const TRIM_TO: u64 = 90;

/// See the module.
pub(super) struct Cache {
    blocks: BlockStore,
    records: PathBuf,
    max_bytes: u64,
    grown: AtomicBool,
    trimming: Mutex<()>,
}

impl Cache {
    /// Opens or makes the cache in `dir`. Blocking.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Arc<Self>, BlocksError> {
        let records = dir.join("fetched");
        let blocks = BlockStore::open(&dir.join("blocks"))?;
        // Without records the blocks stay; the first fetch says so.
        if let Err(error) = fs::create_dir_all(&records) {
            tracing::warn!(%error, "no folder for the records of fetched blocks");
        }
        let (grown, trimming) = (AtomicBool::new(true), Mutex::new(()));
        Ok(Arc::new(Self {
            blocks,
            records,
            max_bytes,
            grown,
            trimming,
        }))
    }

    pub(super) fn blocks(&self) -> &BlockStore {
        &self.blocks
    }

    /// The blocks as a fetch of `root` uses them. Blocking.
    pub(super) fn for_fetch(self: &Arc<Self>, root: &Cid) -> FetchBlocks {
        let record = self.records.join(root.to_string());
        if let Ok(file) = File::options().append(true).open(&record)
            && let Err(error) = file.set_modified(SystemTime::now())
        {
            tracing::debug!(%error, "the time of a record can't be set");
        }
        FetchBlocks {
            cache: Arc::clone(self),
            record,
        }
    }

    /// Forgets what was not used for longest, if there is too much. Blocking.
    pub(super) fn trim(&self) {
        let _one_at_a_time = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.grown.swap(false, Ordering::Relaxed)
            && let Err(error) = self.try_trim()
        {
            tracing::error!(
                error = error.as_ref() as &dyn std::error::Error,
                "kept blocks can't be trimmed"
            );
        }
    }

    fn try_trim(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut kept = self.blocks.stats()?.bytes;
        if kept <= self.max_bytes {
            return Ok(());
        }
        let before = kept;
        let goal = self.max_bytes / 100 * TRIM_TO;
        for record in self.oldest_first()? {
            if kept <= goal {
                break;
            }
            let text = fs::read_to_string(&record)?;
            let cids: Vec<Cid> = text
                .lines()
                .filter_map(|line| cid::parse(line).ok())
                .collect();
            self.blocks.remove(&cids)?;
            fs::remove_file(&record)?;
            kept = self.blocks.stats()?.bytes;
        }
        let compacted = self.blocks.compact()?;
        tracing::info!(
            before,
            kept,
            disk = compacted.bytes,
            "trimmed the kept blocks"
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

/// The cache as one fetch sees it.
#[derive(Clone)]
pub(super) struct FetchBlocks {
    cache: Arc<Cache>,
    record: PathBuf,
}

impl FetchBlocks {
    /// Whether a block is kept. Blocking.
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
            tracing::warn!(%error, "fetched blocks can't be recorded; they stay for good");
        }
        self.cache.grown.store(true, Ordering::Relaxed);
        self.cache.blocks.put(blocks)
    }
}
