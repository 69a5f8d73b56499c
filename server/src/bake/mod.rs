//! Bakes store items: compresses their NARs into the block store, and records the result.
//!
//! ```text
//! <dir>/blocks/                    the block store
//! <dir>/listings/<hash part>.ls    Nix's listing of the item's files
//! <dir>/items/<hash part>.json     the record, written last
//! <dir>/snapshot.json              the snapshots, with `--snapshot`
//! ```
//! A NAR passes once through the hash and all compressors ([`Compressor`]) into the UnixFS builder
//! and the block store. The bake fails if the hash is not the NarHash in the store's database.
//! Blocks are made durable before the record, and the record is written atomically. So a kill at
//! any moment leaves at most blocks that nothing refers to. Compressed files of a binary cache are
//! stored as they are.
//!
//! Each worker is a thread. An item is baked once, however many clients request it. After a failed
//! bake, the item is not tried again for a minute.
//!
//! ```no_run
//! # use interplanar_server::store::Source;
//! # use std::{error::Error, sync::Arc};
//! # async fn example(source: Arc<dyn Source>) -> Result<(), Box<dyn Error>> {
//! use interplanar_server::bake::{Baker, Config};
//!
//! let baker = Baker::open(source.clone(), Config::new("/var/cache/interplanar/publish"))?;
//! for item in source.items(None, 10)? {
//!     let baked = baker.bake(item).await?;
//!     println!("ipfs://{}", baked.record.representations[0].cid);
//! }
//! # Ok(())
//! # }
//! ```

mod block_writer;
mod compressor;
mod content;
pub(crate) mod dag;
mod encoder;
mod error;
mod piece_compressor;
mod pieces;
mod pipeline;
mod queue;
mod record;
mod records;
mod running_totals;
pub mod snapshot;
pub mod space;
#[cfg(test)]
mod tests;
mod tree_encoder;
mod upload;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use interplanar_core::dedup::Parameters;
use tokio::sync::{mpsc, oneshot};

pub(crate) use compressor::WHOLE;
pub use compressor::{Compressor, CompressorError};
pub(crate) use content::Content;
pub(crate) use encoder::Encoder;
pub use error::BakeError;
pub use queue::Urgency;
pub use record::{Record, Representation};
pub use records::Baked;
pub use running_totals::Totals;
pub use upload::{Upload, UploadState};

use crate::atomic;
use crate::blocks::BlockStore;
use crate::store::{Item, Source};
use crate::task;
use queue::BakeQueue;
use records::{Claim, Records};
use snapshot::Snapshots;

/// Most items that wait in memory because the whole store is baked.
const MAX_EAGER: usize = 64;

/// What to bake with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cache folder; created if it is missing.
    pub dir: PathBuf,
    /// The compression methods, the preferred one first.
    pub compressors: Vec<Compressor>,
    /// How NARs are cut into pieces. Items that are cut differently share few pieces.
    pub cut: Parameters,
    /// Number of items that are baked at the same time.
    pub workers: usize,
    /// Bytes of disk space that a bake leaves free.
    pub min_free: u64,
    /// The shortest time between two notes of when an item was requested.
    pub note_every: Duration,
}

impl Config {
    /// Compresses with gzip:3 as `guix publish` does, with a worker per processor, and leaves
    /// 64 MiB free.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            compressors: Vec::from_iter(Compressor::of(
                interplanar_core::narinfo::Compression::Gzip,
            )),
            cut: Parameters::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            min_free: 64 << 20,
            note_every: records::NOTE_EVERY,
        }
    }
}

/// The progress of a baker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Items that wait to be baked.
    pub queued: usize,
    /// Items being baked.
    pub running: usize,
    /// Items baked since the start.
    pub baked: u64,
    /// Bakes that failed since the start.
    pub failed: u64,
}

/// Bakes the items of a store. Clones share their state. When the last one is dropped, the workers
/// stop.
#[derive(Clone)]
pub struct Baker {
    inner: Arc<Inner>,
    _workers: Arc<Workers>,
}

struct Inner {
    source: Arc<dyn Source>,
    config: Config,
    blocks: BlockStore,
    records: Records,
    snapshots: Snapshots,
    listings: PathBuf,
    queue: BakeQueue,
    compressor_pool: Arc<piece_compressor::CompressorPool>,
    stopped: Arc<AtomicBool>,
    baked: AtomicU64,
    failed: AtomicU64,
    /// Sends the hash part of each baked item.
    baked_sender: mpsc::UnboundedSender<String>,
    /// The receiver of those hash parts, until [`Upload`] takes it.
    baked_receiver: std::sync::Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

impl Inner {
    fn cache_parts(&self) -> space::CacheParts<'_> {
        space::CacheParts {
            records: &self.records,
            blocks: &self.blocks,
            snapshots: &self.snapshots,
            listings: &self.listings,
            note_every: self.config.note_every,
        }
    }
}

/// Stops the workers when it is dropped.
struct Workers(Arc<Inner>);

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
        self.0.queue.close();
    }
}

impl Baker {
    /// Opens the cache folder and starts the workers. Blocks.
    ///
    /// # Errors
    /// The folder can't be used, or another process bakes into it.
    pub fn open(source: Arc<dyn Source>, config: Config) -> Result<Self, BakeError> {
        let listings = config.dir.join("listings");
        std::fs::create_dir_all(&listings)
            .and_then(|()| atomic::sweep(&listings))
            .map_err(BakeError::io(&listings))?;
        // The lock of the block store refuses a second baker before anything else is changed.
        let blocks = BlockStore::open(&config.dir.join("blocks"))?;
        let records = Records::open(config.dir.join("items"))?;
        let (baked_sender, baked_receiver) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            source,
            snapshots: Snapshots::open(&config.dir, blocks.clone()),
            blocks,
            records,
            listings,
            queue: BakeQueue::default(),
            compressor_pool: Arc::default(),
            stopped: Arc::default(),
            baked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            baked_sender,
            baked_receiver: std::sync::Mutex::new(Some(baked_receiver)),
            config,
        });
        work::start(&inner)?;
        Ok(Self {
            _workers: Arc::new(Workers(Arc::clone(&inner))),
            inner,
        })
    }

    /// The store whose items are baked.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.inner.source
    }

    /// The blocks of all baked items.
    pub fn blocks(&self) -> &BlockStore {
        &self.inner.blocks
    }

    /// Returns the methods that this item is compressed with; its name decides.
    pub fn compressors(&self, item: &Item) -> Vec<Compressor> {
        Compressor::for_item(item.store_path.name(), &self.inner.config.compressors)
    }

    /// Returns the methods of the configuration.
    pub fn requested(&self) -> &[Compressor] {
        &self.inner.config.compressors
    }

    /// Returns a baked item, if its record is in memory. Doesn't block.
    pub fn peek(&self, hash_part: &str) -> Option<Arc<Baked>> {
        self.inner.records.peek(hash_part)
    }

    /// Returns a baked item. Blocks.
    pub fn get(&self, hash_part: &str) -> Option<Arc<Baked>> {
        self.inner.records.get(hash_part)
    }

    /// Returns whether a record has all forms that its item should have.
    pub fn is_complete(&self, record: &Record) -> bool {
        self.inner.is_complete(record)
    }

    /// Queues the bake of an item, unless it is already queued or running.
    pub fn request(&self, item: Item, urgency: Urgency) {
        self.inner.queue.request(item, urgency, None);
    }

    /// Bakes an item and waits until it is baked.
    ///
    /// # Errors
    /// The bake failed. Everyone who waits for it gets the same error.
    pub async fn bake(&self, item: Item) -> Result<Arc<Baked>, BakeError> {
        let (sender, receiver) = oneshot::channel();
        self.inner
            .queue
            .request(item, Urgency::Requested, Some(sender));
        receiver.await.unwrap_or(Err(BakeError::Stopped))
    }

    /// Bakes every item of the store that isn't baked yet. Requested items have priority. Blocks
    /// until all items are queued.
    ///
    /// # Errors
    /// The store can't be listed.
    pub fn bake_all(&self) -> Result<(), BakeError> {
        let mut after = None::<String>;
        loop {
            let page = self.inner.source.items(after.as_deref(), MAX_EAGER)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.store_path.as_str().to_owned());
            for item in page {
                let baked = self.get(item.store_path.hash_part());
                if baked.is_some_and(|baked| self.is_complete(&baked.record)) {
                    continue;
                }
                if !self.inner.queue.wait_for_room(MAX_EAGER) {
                    return Err(BakeError::Stopped);
                }
                self.request(item, Urgency::Eager);
            }
        }
    }

    /// Marks an item as requested now, just before its narinfo is served. The mark is written to
    /// disk from time to time, in the background. Returns false if the item was deleted and must
    /// not be served. Needs a tokio runtime.
    pub(crate) fn serve(&self, baked: &Arc<Baked>) -> bool {
        match self
            .inner
            .records
            .claim(baked, self.inner.config.note_every)
        {
            Claim::Kept => true,
            Claim::Deleted => false,
            Claim::Noted => {
                let inner = Arc::clone(&self.inner);
                let hash_part = baked.record.item.store_path.hash_part().to_owned();
                task::blocking("noting a request", move || inner.records.serve(&hash_part));
                true
            }
        }
    }

    /// Deletes the items that a policy selects. Items that are only unused are deleted only if they
    /// have left the store. Waits for the running bakes. Blocks.
    ///
    /// # Errors
    /// Records or blocks can't be read or written, or the program is stopping.
    pub fn collect(
        &self,
        policy: &space::Policy,
        unpin: &mut dyn FnMut(&[interplanar_core::cid::Cid]) -> bool,
    ) -> Result<space::Collected, BakeError> {
        let inner = &self.inner;
        let has_left = |record: &Record| {
            let found = inner.source.find_path(&record.item.store_path);
            matches!(found, Ok(None))
        };
        let collected = inner
            .queue
            .without_bakes(|| inner.cache_parts().collect(policy, &has_left, unpin));
        let collected = collected.unwrap_or(Err(BakeError::Stopped))?;
        for path in &collected.unpinned {
            // Without Kubo, nobody receives this.
            let _ = inner.baked_sender.send(path.hash_part().to_owned());
        }
        Ok(collected)
    }

    /// The snapshots of the baked items.
    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.inner.snapshots
    }

    /// Starts to collect the items that change, for [`Self::changed`].
    pub(crate) fn watch(&self) {
        self.inner.records.watch();
    }

    /// Returns the hash parts of the items that changed since the last call.
    pub(crate) fn changed(&self) -> Vec<String> {
        self.inner.records.changed()
    }

    /// Waits until an item has changed.
    pub(crate) async fn next_change(&self) {
        self.inner.records.next_change().await;
    }

    /// Returns the hash parts of all baked items. Blocks.
    ///
    /// # Errors
    /// The folder of records can't be read.
    pub(crate) fn baked_items(&self) -> Result<Vec<String>, BakeError> {
        self.inner.records.all()
    }

    /// Returns Nix's `.ls` file of a baked item. Blocks.
    pub fn listing(&self, hash_part: &str) -> Option<Bytes> {
        let path = self.inner.listing(hash_part);
        std::fs::read(path).ok().map(Bytes::from)
    }

    /// Forgets a baked item that has lost blocks, so that it is baked again. Blocks.
    pub fn forget_damaged(&self, hash_part: &str) {
        tracing::error!(
            hash_part,
            "a baked item has lost blocks; it will be baked again"
        );
        if let Err(error) = self.inner.records.remove(hash_part) {
            tracing::error!(hash_part, %error, "can't remove the record of the damaged item");
        }
    }

    /// Counts the baked items, for [`Self::space`]. Blocks.
    ///
    /// # Errors
    /// The folder of records can't be read.
    pub(crate) fn count(&self) -> Result<(), BakeError> {
        self.inner.records.count(&self.inner.stopped)
    }

    /// Returns the totals of the baked items, once they were counted, and the bytes of the files
    /// that hold all blocks. Reads only the size of one file per GiB. Blocks.
    ///
    /// # Errors
    /// The folder of blocks can't be read.
    pub(crate) fn space(&self) -> Result<Option<(Totals, u64)>, BakeError> {
        let disk = self.inner.blocks.disk_bytes()?;
        Ok(self.inner.records.totals().map(|totals| (totals, disk)))
    }

    /// Returns the progress.
    pub fn counts(&self) -> Counts {
        let (queued, running) = self.inner.queue.lengths();
        Counts {
            queued,
            running,
            baked: self.inner.baked.load(Ordering::Relaxed),
            failed: self.inner.failed.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for Baker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Baker")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
