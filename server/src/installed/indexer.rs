//! Indexes the installed items in the background.
//!
//! ```text
//! stamps of the stores ─ changed? ─► all valid items, newest first
//!          ▲ every 10 s                ├─ not in the index ─► cut ─► index, until it is full
//!                                      └─ in the index, no longer valid ─► removed
//! ```
//! One thread does this, with the lowest priority that still makes progress on a busy machine. The
//! kernel derives its I/O priority from that. It pauses while NARs are served. Derivations and NARs
//! under [`MIN_ITEM`] are not indexed: they have a piece or two, and fetching them costs no more
//! than finding them.

use super::cut::cut;
use super::index::{IndexEntry, ListedItem, parameters_id};
use super::{Candidate, IndexError, Installed};
use crate::store::{Brief, Source, Stamp};
use crate::task::{self, WorkError};
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The smallest NAR that is indexed, in bytes.
pub(super) const MIN_ITEM: u64 = 64 << 10;
/// Nice value of the thread. The kernel's lowest I/O priority starts here; at 19, a busy machine
/// would give it almost no time.
const NICE: i32 = 15;
/// Time between two checks for changed stores.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two progress messages in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Rows that are read at once.
const PAGE: u32 = 1000;
/// Newest items of a store that are considered. Older ones would not fit in the index.
const MAX_ITEMS: usize = 500_000;
/// Unreadable items that are remembered, so that they aren't tried again.
const MAX_UNREADABLE: usize = 10_000;

/// Progress of the background indexing.
#[derive(Debug, Default)]
pub struct Progress {
    /// Items in the index.
    pub items: AtomicU64,
    /// Size of the index file, in bytes.
    pub bytes: AtomicU64,
    /// Items that are not indexed yet.
    pub waiting: AtomicU64,
    /// Bytes of NARs that were cut since the start.
    pub cut: AtomicU64,
    /// Items removed from the index because they are no longer installed.
    pub gone: AtomicU64,
}

/// The running indexer. Dropping it stops the thread.
pub struct Indexer {
    installed: Arc<Installed>,
    thread: Option<JoinHandle<Result<(), WorkError>>>,
}

impl Indexer {
    pub(super) fn start(installed: Arc<Installed>) -> io::Result<Self> {
        let mut worker = IndexerThread {
            installed: Arc::clone(&installed),
            unreadable: HashSet::new(),
        };
        let thread = task::thread("indexing", move || worker.run())?;
        Ok(Self {
            installed,
            thread: Some(thread),
        })
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.installed.pause.stop();
        if let Some(thread) = self.thread.take() {
            // A panic was logged.
            let _ = thread.join();
        }
    }
}

struct IndexerThread {
    installed: Arc<Installed>,
    unreadable: HashSet<StorePath>,
}

impl IndexerThread {
    fn run(&mut self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "can't lower the priority of the indexing thread");
        }
        if let Err(error) = self.installed.own.check() {
            tracing::warn!(%error, "can't check the index of installed items");
        }
        let mut seen = None;
        loop {
            let stamps = self.installed.stores.stamps();
            let dropped = self.installed.own.take_needs_reindex();
            if dropped || seen.as_ref() != Some(&stamps) {
                match self.pass(&stamps) {
                    Ok(true) => seen = Some(stamps),
                    Ok(false) => continue,
                    Err(IndexError::Stopped) => return,
                    Err(error) => {
                        tracing::warn!(%error, "can't index installed items now; retrying")
                    }
                }
            }
            if !self.installed.pause.rest(CHECK_INTERVAL) {
                return;
            }
        }
    }

    /// Adds missing items to the index and removes deleted ones. Returns `false` if the stores
    /// changed meanwhile; the next pass then starts with the newest items.
    fn pass(&mut self, stamps: &[Stamp]) -> Result<bool, IndexError> {
        let parameters_id = parameters_id(&Parameters::default());
        let mut indexed_items = self.indexed_items(parameters_id)?;
        let mut missing = Vec::new();
        for store in self.installed.stores.all() {
            self.compare(&store, &mut indexed_items, &mut missing)?;
        }
        self.forget(indexed_items)?;
        self.update_size();
        // The newest items of all stores come first.
        missing.sort_by_key(|(brief, _)| std::cmp::Reverse(brief.registered));
        let count = missing.len();
        if count > 0 {
            tracing::info!(items = count, "indexing installed items");
        }
        let (started, mut last_message, mut last_check) =
            (Instant::now(), Instant::now(), Instant::now());
        for (done, (brief, store)) in missing.into_iter().enumerate() {
            let waiting = (count - done) as u64;
            self.installed
                .progress
                .waiting
                .store(waiting, Ordering::Relaxed);
            if last_message.elapsed() > LOG_INTERVAL {
                last_message = Instant::now();
                tracing::info!(waiting, "indexing installed items");
            }
            if last_check.elapsed() > CHECK_INTERVAL {
                last_check = Instant::now();
                if self.installed.stores.stamps() != stamps {
                    return Ok(false);
                }
            }
            if !self.index_item(&brief, store, parameters_id)? {
                tracing::info!(
                    left_out = waiting,
                    "the index of installed items is full; use --index-size to enlarge it"
                );
                break;
            }
        }
        self.installed.progress.waiting.store(0, Ordering::Relaxed);
        self.update_size();
        if count > 0 {
            let items = self.installed.progress.items.load(Ordering::Relaxed);
            let seconds = started.elapsed().as_secs();
            tracing::info!(items, seconds, "indexed all installed items");
        }
        Ok(true)
    }

    /// Returns the indexed items by path. The value is the NarHash if the item was cut with the
    /// current parameters.
    fn indexed_items(
        &self,
        parameters_id: i64,
    ) -> Result<HashMap<String, Option<Sha256>>, IndexError> {
        let (mut indexed_items, mut after) = (HashMap::new(), 0);
        loop {
            let page = self.installed.own.reader().page(after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(indexed_items);
            };
            after = last.id;
            for ListedItem {
                path,
                cut,
                nar_hash,
                ..
            } in page
            {
                let current = nar_hash.filter(|_| cut == parameters_id);
                let indexed_items = indexed_items.entry(path).or_insert(current);
                *indexed_items = indexed_items.or(current);
            }
        }
    }

    /// Removes the valid items of a store from `indexed_items`, and adds those that are missing there to
    /// `missing`.
    fn compare(
        &self,
        store: &Arc<dyn Source>,
        indexed_items: &mut HashMap<String, Option<Sha256>>,
        missing: &mut Vec<(Brief, Arc<dyn Source>)>,
    ) -> Result<(), IndexError> {
        let (mut before, mut seen_items) = (None, 0);
        while seen_items < MAX_ITEMS {
            let page = store.briefs(MIN_ITEM, before, PAGE as usize)?;
            let Some(last) = page.last() else { break };
            before = Some(last.order);
            seen_items += page.len();
            for brief in page {
                let is_known =
                    indexed_items.remove(brief.store_path.as_str()) == Some(Some(brief.nar_hash));
                if !is_known && !self.unreadable.contains(&brief.store_path) {
                    missing.push((brief, Arc::clone(store)));
                }
            }
        }
        Ok(())
    }

    /// Removes items from the index that no store has any more.
    fn forget(&self, indexed_items: HashMap<String, Option<Sha256>>) -> Result<(), IndexError> {
        let stores = &self.installed.stores;
        for path in indexed_items.into_keys() {
            let parsed = StorePath::parse(&path).ok();
            let store = parsed.as_ref().and_then(|path| stores.of(path));
            let is_valid = match (parsed, store) {
                // Small items are not in the store's list.
                (Some(path), Some(store)) => store.find_path(&path)?.is_some(),
                (Some(_), None) => stores.any_unreadable(),
                (None, _) => false,
            };
            if !is_valid {
                tracing::debug!(
                    path,
                    "removing an item from the index: it is no longer installed"
                );
                self.installed.own.drop_item(&path)?;
                self.installed.progress.gone.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Cuts an item and adds it to the index. Returns `false` if it doesn't fit.
    fn index_item(
        &mut self,
        brief: &Brief,
        store: Arc<dyn Source>,
        parameters_id: i64,
    ) -> Result<bool, IndexError> {
        let rank = i64::try_from(brief.registered).unwrap_or(i64::MAX);
        if !self.installed.own.has_room(brief.nar_size, rank)? {
            return Ok(false);
        }
        // The item may have been deleted meanwhile.
        let Some(item) = store.find_path(&brief.store_path)? else {
            return Ok(true);
        };
        let pause = Arc::clone(&self.installed.pause);
        let candidate = Candidate { store, item };
        let item = brief.store_path.as_str();
        let cut = task::caught(("indexing", item), || {
            cut(&candidate, &Parameters::default(), &mut || pause.wait())
        });
        let pieces = match cut.unwrap_or_else(|error| Err(error.into())) {
            Ok(pieces) => pieces,
            Err(IndexError::Stopped) => return Err(IndexError::Stopped),
            Err(error) => {
                tracing::debug!(item, %error, "can't index an installed item");
                if self.unreadable.len() < MAX_UNREADABLE {
                    self.unreadable.insert(brief.store_path.clone());
                }
                return Ok(true);
            }
        };
        let entry = IndexEntry {
            path: &brief.store_path,
            nar_hash: &candidate.item.nar_hash,
            cut: parameters_id,
            rank,
        };
        let progress = &self.installed.progress;
        progress.cut.fetch_add(brief.nar_size, Ordering::Relaxed);
        let fits = self.installed.own.put(&entry, &pieces)?;
        self.update_size();
        Ok(fits)
    }

    fn update_size(&self) {
        if let Ok(size) = self.installed.own.reader().size() {
            let progress = &self.installed.progress;
            progress.items.store(size.items, Ordering::Relaxed);
            progress.bytes.store(size.bytes, Ordering::Relaxed);
        }
    }
}
