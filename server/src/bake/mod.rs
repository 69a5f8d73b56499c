//! Baking: store items become compressed NARs in the block store, with a record of what they became.
//!
//! ```text
//! <dir>/blocks/                    the block store
//! <dir>/listings/<hash part>.ls    Nix's listing of the item's files
//! <dir>/items/<hash part>.json     the record, written last
//! <dir>/snapshot.json              the snapshots, with `--snapshot`
//! ```
//! A NAR goes once through hash and compressors ([`Compressor`]) into the UnixFS builder and the block store, and counts only if its hash is the
//! registered one. Blocks are made durable before the record is, and the record appears whole, so a kill at any moment leaves at most
//! blocks that nothing refers to. A binary cache's compressed files are taken as they are.
//!
//! Workers are threads of their own; each item is baked once however many ask for it. An item that failed is left alone for a minute.
//!
//! ```no_run
//! # async fn example(source: std::sync::Arc<dyn interplanar_server::store::Source>) -> Result<(), Box<dyn std::error::Error>> {
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
mod tree;
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
use queue::Queue;
use records::{Claim, Records};
use snapshot::Snapshots;

/// Eager items that wait in memory at once.
const MAX_EAGER: usize = 64;

/// How to bake.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cache folder; made if it is missing.
    pub dir: PathBuf,
    /// In which compressions, the preferred one first.
    pub compressors: Vec<Compressor>,
    /// How the deduplicating form is cut. Items that are cut in different ways share little.
    pub cut: Parameters,
    /// How many items at a time.
    pub workers: usize,
    /// Bytes of the disk that a bake leaves free.
    pub min_free: u64,
    /// Requests for an item are noted no more often: how well it is known when it was last asked for.
    pub note_every: Duration,
}

impl Config {
    /// In gzip:3 as `guix publish` does, one worker per processor, 64 MiB of the disk left free.
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

/// How much was and is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Items that wait.
    pub queued: usize,
    /// Items being baked.
    pub running: usize,
    /// Items baked since the start.
    pub baked: u64,
    /// Bakes that failed since the start.
    pub failed: u64,
}

/// Bakes the items of a store. Clones share it; when the last one is dropped, the workers end.
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
    queue: Queue,
    compressor_pool: Arc<piece_compressor::CompressorPool>,
    stopped: Arc<AtomicBool>,
    baked: AtomicU64,
    failed: AtomicU64,
    /// Hears the hash part of each item baked.
    announced: mpsc::UnboundedSender<String>,
    /// The other end, until somebody takes it.
    listener: std::sync::Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

impl Inner {
    fn shelves(&self) -> space::Shelves<'_> {
        space::Shelves {
            records: &self.records,
            blocks: &self.blocks,
            snapshots: &self.snapshots,
            listings: &self.listings,
            note_every: self.config.note_every,
        }
    }
}

/// Ends the workers.
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
        // The lock of the block store keeps a second baker out before anything else is touched.
        let blocks = BlockStore::open(&config.dir.join("blocks"))?;
        let records = Records::open(config.dir.join("items"))?;
        let (announced, listener) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            source,
            snapshots: Snapshots::open(&config.dir, blocks.clone()),
            blocks,
            records,
            listings,
            queue: Queue::default(),
            compressor_pool: Arc::default(),
            stopped: Arc::default(),
            baked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            announced,
            listener: std::sync::Mutex::new(Some(listener)),
            config,
        });
        work::start(&inner)?;
        Ok(Self {
            _workers: Arc::new(Workers(Arc::clone(&inner))),
            inner,
        })
    }

    /// The store that is baked.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.inner.source
    }

    /// The blocks of all that was baked.
    pub fn blocks(&self) -> &BlockStore {
        &self.inner.blocks
    }

    /// The compressions that an item of this name gets.
    pub fn compressors(&self, item: &Item) -> Vec<Compressor> {
        Compressor::for_item(item.store_path.name(), &self.inner.config.compressors)
    }

    /// The compressions that were asked for.
    pub fn requested(&self) -> &[Compressor] {
        &self.inner.config.compressors
    }

    /// What was baked of an item, if that is in memory. Doesn't block.
    pub fn peek(&self, hash_part: &str) -> Option<Arc<Baked>> {
        self.inner.records.peek(hash_part)
    }

    /// What was baked of an item. Blocks.
    pub fn get(&self, hash_part: &str) -> Option<Arc<Baked>> {
        self.inner.records.get(hash_part)
    }

    /// Whether a record has all compressions that its item should have.
    pub fn is_complete(&self, record: &Record) -> bool {
        self.inner.is_complete(record)
    }

    /// Bakes an item some time, unless that is under way.
    pub fn request(&self, item: Item, urgency: Urgency) {
        self.inner.queue.ask(item, urgency, None);
    }

    /// Bakes an item and waits for it.
    ///
    /// # Errors
    /// Those of the bake, which everyone who waits for it gets.
    pub async fn bake(&self, item: Item) -> Result<Arc<Baked>, BakeError> {
        let (sender, receiver) = oneshot::channel();
        self.inner.queue.ask(item, Urgency::Asked, Some(sender));
        receiver.await.unwrap_or(Err(BakeError::Stopped))
    }

    /// Bakes every item of the store that isn't baked yet, behind those that clients ask for. Blocks until all are at least queued.
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

    /// An item's narinfo is about to be served: notes it now and then, on disk in the background. False: it has gone, and must not be served.
    /// Needs a tokio runtime.
    pub(crate) fn serve(&self, baked: &Arc<Baked>) -> bool {
        match self
            .inner
            .records
            .claim(baked, self.inner.config.note_every)
        {
            Claim::Kept => true,
            Claim::Gone => false,
            Claim::Noted => {
                let inner = Arc::clone(&self.inner);
                let hash_part = baked.record.item.store_path.hash_part().to_owned();
                tokio::task::spawn_blocking(move || inner.records.serve(&hash_part));
                true
            }
        }
    }

    /// Gives back the space of items that a policy has go; of those that are merely unused, only what has left the store. Waits for the
    /// bakes that run. Blocks.
    ///
    /// # Errors
    /// Records or blocks can't be read or written, or the program ends.
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
            .quiet(|| inner.shelves().collect(policy, &has_left, unpin));
        let collected = collected.unwrap_or(Err(BakeError::Stopped))?;
        for path in &collected.unpinned {
            // Nobody listens where there is no Kubo.
            let _ = inner.announced.send(path.hash_part().to_owned());
        }
        Ok(collected)
    }

    /// The snapshots of what is baked.
    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.inner.snapshots
    }

    /// From now on tells which items change, [`Self::changed`]; at first all that there are.
    pub(crate) fn watch(&self) {
        self.inner.records.watch();
    }

    /// The hash parts of items that changed since the last call.
    pub(crate) fn changed(&self) -> Vec<String> {
        self.inner.records.changed()
    }

    /// Ends when an item has changed.
    pub(crate) async fn next_change(&self) {
        self.inner.records.next_change().await;
    }

    /// The hash parts of all baked items. Blocks.
    ///
    /// # Errors
    /// The folder of records can't be read.
    pub(crate) fn baked_items(&self) -> Result<Vec<String>, BakeError> {
        self.inner.records.all()
    }

    /// Nix's `.ls` file of a baked item. Blocks.
    pub fn listing(&self, hash_part: &str) -> Option<Bytes> {
        let path = self.inner.listing(hash_part);
        std::fs::read(path).ok().map(Bytes::from)
    }

    /// Blocks of a baked item are lost: it is no longer counted as baked. Blocks.
    pub fn damaged(&self, hash_part: &str) {
        tracing::error!(
            hash_part,
            "blocks of a baked item are lost, so it will be baked again"
        );
        if let Err(error) = self.inner.records.remove(hash_part) {
            tracing::error!(hash_part, %error, "its record can't be removed");
        }
    }

    /// Counts the baked items, for [`Self::space`]. Blocks.
    ///
    /// # Errors
    /// The folder of records can't be read.
    pub(crate) fn count(&self) -> Result<(), BakeError> {
        self.inner.records.count(&self.inner.stopped)
    }

    /// What the baked items are together, once they were counted, and the bytes of the files that hold all blocks. Looks at a file for each
    /// GiB, and at nothing else. Blocks.
    ///
    /// # Errors
    /// The folder of blocks can't be read.
    pub(crate) fn space(&self) -> Result<Option<(Totals, u64)>, BakeError> {
        let disk = self.inner.blocks.disk_bytes()?;
        Ok(self.inner.records.totals().map(|totals| (totals, disk)))
    }

    /// What was done and what is to be done.
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
