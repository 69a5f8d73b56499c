//! Which pieces of a NAR are in store items that are installed already.
//!
//! ```text
//! stores ─► indexer, in the background: items newest first, cut as publishers cut ─► index ─┐
//! the item that is wanted ─┬─► items of the same package, cut now if need be ───────────────┼─► Pieces: item, offset, length
//!                          └─► its chunk index: the pieces that are looked for ─────────────┘
//! ```
//! `proxy` keeps the index ([`Installed::start`]) in `<cache>/installed/index.sqlite`; `get` and `substitute` read it beside it. What isn't indexed yet
//! of the same package is cut when an item is wanted, for [`MAX_WAIT`] at most: then the first byte goes out without it.
//!
//! What an index says is a hint: whoever reads a piece hashes it, since items can be altered on disk, and indexes too.

mod alike;
mod cut;
mod index;
mod indexer;
mod on_demand;
mod pieces;
mod quiet;
mod reader;
mod search;
mod stores;
#[cfg(test)]
mod tests;

pub use indexer::{Indexer, Progress};
pub use quiet::Busy;
pub use reader::Reader;

use crate::store::{Item, Source, SourceError, SourceSpec};
use index::{Index, Look};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::NarError;
use quiet::Quiet;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stores::Stores;

/// The folder of the index in a proxy's cache folder.
pub const FOLDER: &str = "installed";
/// Bytes that the index may take if nothing else is said: some 800,000 pieces, 200 GB of items.
pub const MAX_BYTES: u64 = 64 << 20;
/// How long the first byte of a NAR waits for items that are not indexed yet.
pub const MAX_WAIT: Duration = Duration::from_secs(1);
/// The smallest NAR that is compared with items of other packages: to ask costs one round trip, a tenth of what fetching it takes at some 20 Mbit/s.
pub const MIN_STRANGER: u64 = 4 << 20;

/// What is installed, and what is kept of it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Stores of this machine, there or not.
    pub stores: Vec<SourceSpec>,
    /// Bytes of the index.
    pub max_bytes: u64,
    /// Whether all of the stores is indexed in the background, or only what is compared.
    pub background: bool,
    /// Folders of indexes that other processes keep.
    pub others: Vec<PathBuf>,
}

impl Default for Config {
    /// No stores.
    fn default() -> Self {
        Self {
            stores: Vec::new(),
            max_bytes: MAX_BYTES,
            background: false,
            others: Vec::new(),
        }
    }
}

/// Whether a folder has an index.
#[must_use]
pub fn is_index(dir: &Path) -> bool {
    dir.join(index::FILE).exists()
}

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Which of the items that were looked at.
    pub item: usize,
    /// Where it starts in the NAR of that item.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
}

/// The stores of this machine, and what is known of their items.
pub struct Installed {
    stores: Stores,
    own: Arc<Index>,
    others: Vec<Look>,
    cutting: on_demand::Cutting,
    quiet: Arc<Quiet>,
    progress: Progress,
}

/// The pieces of the items that were looked at.
#[derive(Default)]
pub struct Pieces {
    /// The items.
    pub items: Vec<Candidate>,
    spots: HashMap<Sha256, Spot>,
    /// Where they were noted.
    index: Option<Arc<Index>>,
}

/// An installed item that may have pieces of another one.
#[derive(Clone)]
pub struct Candidate {
    store: Arc<dyn Source>,
    /// It.
    pub item: Item,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.item.store_path.as_str())
    }
}

impl Pieces {
    /// Where the piece with this SHA-256 is.
    #[must_use]
    pub fn find(&self, plain: &Sha256) -> Option<Spot> {
        self.spots.get(plain).copied()
    }

    /// Forgets what was noted of an item that has not the pieces that it should have. Blocks.
    pub fn distrust(&self, item: &Candidate) {
        let Some(index) = &self.index else { return };
        if let Err(error) = index.distrust(item.item.store_path.as_str()) {
            tracing::warn!(%error, "the index of installed items can't be written");
        }
    }
}

/// Why an item can't be indexed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The item, or the index, can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is no archive.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// It has changed since it was registered.
    #[error("its files are not those that were registered")]
    Altered,
    /// The index can't be kept.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There was no time for it.
    #[error("it was given up, since the program ends")]
    Stopped,
}

impl Installed {
    /// The stores of a configuration, and the index in a folder. Blocks.
    ///
    /// # Errors
    /// The index can't be used, or made.
    pub fn open(config: &Config, dir: &Path) -> Result<Self, IndexError> {
        let mut installed = Self::of(Vec::new(), dir, config.max_bytes)?;
        installed.stores = Stores::new(Vec::new(), config.stores.clone());
        let others = config.others.iter().filter_map(|dir| {
            let look = Look::open(dir);
            look.map_err(|error| tracing::debug!(%error, "the proxy's index can't be read"))
                .ok()
        });
        installed.others = others.collect();
        Ok(installed)
    }

    /// Open stores, and the index in a folder, of so many bytes at most. Blocks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(
        stores: Vec<Arc<dyn Source>>,
        dir: &Path,
        max_bytes: u64,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            stores: Stores::new(stores, Vec::new()),
            own: Arc::new(Index::open(dir, max_bytes)?),
            others: Vec::new(),
            cutting: on_demand::Cutting::default(),
            quiet: Arc::default(),
            progress: Progress::default(),
        })
    }

    /// Indexes all of the stores in the background, until the handle is dropped.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(self: &Arc<Self>) -> io::Result<Indexer> {
        Indexer::start(Arc::clone(self))
    }

    /// Keeps the background work quiet.
    #[must_use]
    pub fn busy(&self) -> Busy {
        Busy::new(&self.quiet)
    }

    /// How far the background work is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether items of other packages can be found for a NAR of this size, and it is worth asking. Blocks.
    #[must_use]
    pub fn knows_others(&self, nar_size: u64) -> bool {
        let mut looks = self.looks();
        nar_size >= MIN_STRANGER && looks.any(|look| matches!(look.is_empty(), Ok(false)))
    }

    fn looks(&self) -> impl Iterator<Item = &Look> {
        std::iter::once(self.own.look()).chain(&self.others)
    }
}
