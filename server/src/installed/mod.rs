//! Finds pieces of a NAR in store items that are already installed.
//!
//! ```text
//! stores ─► background indexer: cuts items like publishers do, newest first ─► index ─┐
//! wanted item ─┬─► installed items of the same package, cut now if not indexed ───────┼─► pieces
//!              └─► its chunk index: the wanted pieces ────────────────────────────────┘
//! ```
//! `proxy` keeps the index ([`Installed::start`]) in `<cache>/installed/index.sqlite`; `get` and
//! `substitute` read it too. Items of the same package that are not indexed yet are cut on demand.
//! This delays the first byte of a NAR by at most [`MAX_WAIT`]; after that the item is not used.
//!
//! The index is only a hint, because items and index files can be altered on disk. Every piece is
//! hashed after reading.

mod cut;
mod index;
mod indexer;
mod item_reader;
mod on_demand;
mod pause;
mod piece_list;
mod search;
mod similar;
mod stores;
#[cfg(test)]
mod tests;

pub use indexer::{Indexer, Progress};
pub use item_reader::ItemReader;
pub use pause::PauseGuard;

use crate::store::{Item, Source, SourceError, SourceSpec};
use crate::task::WorkError;
use index::{Index, IndexReader};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::NarError;
use pause::Pause;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stores::Stores;

/// The index folder inside a proxy's cache folder.
pub const FOLDER: &str = "installed";
/// Default for the size of the index in bytes. It holds some 800,000 pieces, or 200 GB of items.
pub const MAX_BYTES: u64 = 64 << 20;
/// How long the first byte of a NAR waits for items that are not indexed yet.
pub const MAX_WAIT: Duration = Duration::from_secs(1);
/// The smallest NAR, in bytes, that is compared with items of other packages. The comparison costs
/// one round trip: a tenth of the time to fetch this NAR at some 20 Mbit/s.
pub const MIN_STRANGER: u64 = 4 << 20;

/// Which stores are searched, and how they are indexed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Stores of this machine. They may appear later.
    pub stores: Vec<SourceSpec>,
    /// Maximum size of the index, in bytes.
    pub max_bytes: u64,
    /// Whether all items are indexed in the background. Otherwise only items that are compared with
    /// a download are indexed.
    pub background: bool,
    /// Folders with the indexes of other processes.
    pub others: Vec<PathBuf>,
}

impl Default for Config {
    /// Returns a configuration without stores.
    fn default() -> Self {
        Self {
            stores: Vec::new(),
            max_bytes: MAX_BYTES,
            background: false,
            others: Vec::new(),
        }
    }
}

/// Returns whether a folder contains an index.
#[must_use]
pub fn is_index(dir: &Path) -> bool {
    dir.join(index::FILE).exists()
}

/// The place of a piece in an installed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceLocation {
    /// Number of the item in [`FoundPieces::items`].
    pub item: usize,
    /// Offset of the piece in the item's NAR, in bytes.
    pub offset: u64,
    /// Length of the piece, in bytes.
    pub length: u32,
}

/// The stores of this machine, and the indexes of their items.
pub struct Installed {
    stores: Stores,
    own: Arc<Index>,
    others: Vec<IndexReader>,
    active_cuts: on_demand::ActiveCuts,
    pause: Arc<Pause>,
    progress: Progress,
}

/// The wanted pieces that installed items have.
#[derive(Default)]
pub struct FoundPieces {
    /// Items that have pieces.
    pub items: Vec<Candidate>,
    locations: HashMap<Sha256, PieceLocation>,
    /// The index that listed the pieces.
    index: Option<Arc<Index>>,
}

/// An installed item that may have pieces of another one.
#[derive(Clone)]
pub struct Candidate {
    store: Arc<dyn Source>,
    /// The item.
    pub item: Item,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.item.store_path.as_str())
    }
}

impl FoundPieces {
    /// Returns the place of the piece with this SHA-256.
    #[must_use]
    pub fn find(&self, plain: &Sha256) -> Option<PieceLocation> {
        self.locations.get(plain).copied()
    }

    /// Removes an item from the index after one of its pieces turned out to be wrong. Blocking.
    pub fn invalidate(&self, item: &Candidate) {
        let Some(index) = &self.index else { return };
        if let Err(error) = index.invalidate(item.item.store_path.as_str()) {
            tracing::warn!(%error, "can't write the index of installed items");
        }
    }
}

/// Why an item can't be indexed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The item or the index can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The item is not a valid NAR.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// The item was altered after it was registered in the store.
    #[error("its files were altered after it was registered in the store")]
    Altered,
    /// The index can't be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A panic ended the work.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// Indexing was stopped.
    #[error("indexing was stopped because the program is ending")]
    Stopped,
}

impl Installed {
    /// Opens the index in `dir`, for the stores of a configuration. Blocking.
    ///
    /// # Errors
    /// The index can't be opened or created.
    pub fn open(config: &Config, dir: &Path) -> Result<Self, IndexError> {
        let mut installed = Self::of(Vec::new(), dir, config.max_bytes)?;
        installed.stores = Stores::new(Vec::new(), config.stores.clone());
        let others = config.others.iter().filter_map(|dir| {
            let reader = IndexReader::open(dir);
            reader
                .map_err(|error| tracing::debug!(%error, "can't read the proxy's index"))
                .ok()
        });
        installed.others = others.collect();
        Ok(installed)
    }

    /// Opens the index in `dir`, with at most `max_bytes` bytes, for open stores. Blocking.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub fn of(
        stores: Vec<Arc<dyn Source>>,
        dir: &Path,
        max_bytes: u64,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            stores: Stores::new(stores, Vec::new()),
            own: Arc::new(Index::open(dir, max_bytes)?),
            others: Vec::new(),
            active_cuts: on_demand::ActiveCuts::default(),
            pause: Arc::default(),
            progress: Progress::default(),
        })
    }

    /// Indexes all stores in the background until the returned handle is dropped.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(self: &Arc<Self>) -> io::Result<Indexer> {
        Indexer::start(Arc::clone(self))
    }

    /// Pauses the background indexing while the returned guard exists.
    #[must_use]
    pub fn pause_indexing(&self) -> PauseGuard {
        PauseGuard::new(&self.pause)
    }

    /// Returns the progress of the background indexing.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Returns whether it is worth searching items of other packages for a NAR of this size.
    /// Blocking.
    #[must_use]
    pub fn knows_others(&self, nar_size: u64) -> bool {
        let mut readers = self.readers();
        nar_size >= MIN_STRANGER && readers.any(|reader| matches!(reader.is_empty(), Ok(false)))
    }

    fn readers(&self) -> impl Iterator<Item = &IndexReader> {
        std::iter::once(self.own.reader()).chain(&self.others)
    }
}
