//! Indexes the stores in the background.
//!
//! ```text
//! stamps of the stores ─ another one? ─► all valid items, newest first ─┬─ not in the index ─► cut ─► index, until it is full
//!          ▲ every 10 s                                                 └─ in the index, not valid ─► forgotten
//! ```
//! One thread, of the lowest priority that still gets on where all processors are busy; the kernel derives the priority of its reading from that. It rests
//! while NARs are served. Derivations and NARs under [`MIN_ITEM`] are left out: such a one is a piece or two, and as soon fetched as found.

use super::cut::cut;
use super::index::{Entry, Listed, cut_by};
use super::{Candidate, IndexError, Installed};
use crate::store::{Brief, Source, Stamp};
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of the smallest NAR that is indexed.
pub(super) const MIN_ITEM: u64 = 64 << 10;
/// How nice the thread is: the kernel's lowest priority of reading begins here, and at 19 a busy machine would give it next to no time.
const NICE: i32 = 15;
/// How often the stores are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often the log says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Rows that are read at once.
const PAGE: u32 = 1000;
/// Items of a store that are looked at, the newest; what is older finds no room anyway.
const MAX_ITEMS: usize = 500_000;
/// Items that can't be read and are remembered, so that they aren't tried time and again.
const MAX_UNREADABLE: usize = 10_000;

/// How far the background work is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Items in the index.
    pub items: AtomicU64,
    /// Bytes of its file.
    pub bytes: AtomicU64,
    /// Items that are still to be cut.
    pub waiting: AtomicU64,
    /// NAR bytes that were cut since the start.
    pub cut: AtomicU64,
    /// Items that were forgotten since they are not installed any more.
    pub gone: AtomicU64,
}

/// The running work; it ends with this.
pub struct Indexer {
    installed: Arc<Installed>,
    thread: Option<JoinHandle<()>>,
}

impl Indexer {
    pub(super) fn start(installed: Arc<Installed>) -> io::Result<Self> {
        let mut work = Work {
            installed: Arc::clone(&installed),
            unreadable: HashSet::new(),
        };
        let thread = std::thread::Builder::new().name("indexing".to_owned());
        let thread = thread.spawn(move || work.run())?;
        Ok(Self {
            installed,
            thread: Some(thread),
        })
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.installed.quiet.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the indexing of installed items has panicked");
        }
    }
}

struct Work {
    installed: Arc<Installed>,
    unreadable: HashSet<StorePath>,
}

impl Work {
    fn run(&mut self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "the priority of indexing can't be lowered");
        }
        if let Err(error) = self.installed.own.check() {
            tracing::warn!(%error, "the index of installed items can't be checked");
        }
        let mut seen = None;
        loop {
            let stamps = self.installed.stores.stamps();
            let dropped = self.installed.own.take_dropped();
            if dropped || seen.as_ref() != Some(&stamps) {
                match self.pass(&stamps) {
                    Ok(true) => seen = Some(stamps),
                    Ok(false) => continue,
                    Err(IndexError::Stopped) => return,
                    Err(error) => tracing::warn!(%error, "installed items can't be indexed now"),
                }
            }
            if !self.installed.quiet.rest(LOOK_EVERY) {
                return;
            }
        }
    }

    /// Takes in what is missing, and forgets what is gone. False where the stores have changed meanwhile: then the newest come first again.
    fn pass(&mut self, stamps: &[Stamp]) -> Result<bool, IndexError> {
        let cut_by = cut_by(&Parameters::default());
        let mut known = self.known(cut_by)?;
        let mut missing = Vec::new();
        for store in self.installed.stores.all() {
            self.compare(&store, &mut known, &mut missing)?;
        }
        self.forget(known)?;
        self.note_extent();
        // Of all stores the newest.
        missing.sort_by_key(|(brief, _)| std::cmp::Reverse(brief.registered));
        let count = missing.len();
        if count > 0 {
            tracing::info!(items = count, "indexing installed items");
        }
        let (begun, mut said, mut looked) = (Instant::now(), Instant::now(), Instant::now());
        for (done, (brief, store)) in missing.into_iter().enumerate() {
            let waiting = (count - done) as u64;
            self.installed
                .progress
                .waiting
                .store(waiting, Ordering::Relaxed);
            if said.elapsed() > SAY_EVERY {
                said = Instant::now();
                tracing::info!(waiting, "indexing installed items");
            }
            if looked.elapsed() > LOOK_EVERY {
                looked = Instant::now();
                if self.installed.stores.stamps() != stamps {
                    return Ok(false);
                }
            }
            if !self.take_in(&brief, store, cut_by)? {
                tracing::info!(
                    left_out = waiting,
                    "the index of installed items is full: --index-size makes it larger"
                );
                break;
            }
        }
        self.installed.progress.waiting.store(0, Ordering::Relaxed);
        self.note_extent();
        if count > 0 {
            let items = self.installed.progress.items.load(Ordering::Relaxed);
            let seconds = begun.elapsed().as_secs();
            tracing::info!(items, seconds, "installed items are indexed");
        }
        Ok(true)
    }

    /// What is in the index, by path: cut as it is now, or otherwise.
    fn known(&self, cut_by: i64) -> Result<HashMap<String, Option<Sha256>>, IndexError> {
        let (mut known, mut after) = (HashMap::new(), 0);
        loop {
            let page = self.installed.own.look().page(after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(known);
            };
            after = last.id;
            for Listed {
                path,
                cut,
                nar_hash,
                ..
            } in page
            {
                let current = nar_hash.filter(|_| cut == cut_by);
                let known = known.entry(path).or_insert(current);
                *known = known.or(current);
            }
        }
    }

    /// Takes the valid items of a store out of `known`, and notes which are missing there.
    fn compare(
        &self,
        store: &Arc<dyn Source>,
        known: &mut HashMap<String, Option<Sha256>>,
        missing: &mut Vec<(Brief, Arc<dyn Source>)>,
    ) -> Result<(), IndexError> {
        let (mut before, mut looked_at) = (None, 0);
        while looked_at < MAX_ITEMS {
            let page = store.briefs(MIN_ITEM, before, PAGE as usize)?;
            let Some(last) = page.last() else { break };
            before = Some(last.order);
            looked_at += page.len();
            for brief in page {
                let is_known =
                    known.remove(brief.store_path.as_str()) == Some(Some(brief.nar_hash));
                if !is_known && !self.unreadable.contains(&brief.store_path) {
                    missing.push((brief, Arc::clone(store)));
                }
            }
        }
        Ok(())
    }

    /// Forgets items that no store has any more.
    fn forget(&self, known: HashMap<String, Option<Sha256>>) -> Result<(), IndexError> {
        let stores = &self.installed.stores;
        for path in known.into_keys() {
            let parsed = StorePath::parse(&path).ok();
            let store = parsed.as_ref().and_then(|path| stores.of(path));
            let is_valid = match (parsed, store) {
                // Small ones are not in the list.
                (Some(path), Some(store)) => store.find_path(&path)?.is_some(),
                (Some(_), None) => stores.are_in_doubt(),
                (None, _) => false,
            };
            if !is_valid {
                tracing::debug!(path, "not installed any more");
                self.installed.own.drop_item(&path)?;
                self.installed.progress.gone.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Cuts an item and notes it; false when there is no room for it.
    fn take_in(
        &mut self,
        brief: &Brief,
        store: Arc<dyn Source>,
        cut_by: i64,
    ) -> Result<bool, IndexError> {
        let rank = i64::try_from(brief.registered).unwrap_or(i64::MAX);
        if !self.installed.own.has_room(brief.nar_size, rank)? {
            return Ok(false);
        }
        // It may be gone again.
        let Some(item) = store.find_path(&brief.store_path)? else {
            return Ok(true);
        };
        let quiet = Arc::clone(&self.installed.quiet);
        let candidate = Candidate { store, item };
        let pieces = match cut(&candidate, &Parameters::default(), &mut || quiet.wait()) {
            Ok(pieces) => pieces,
            Err(IndexError::Stopped) => return Err(IndexError::Stopped),
            Err(error) => {
                let item = brief.store_path.as_str();
                tracing::debug!(item, %error, "an installed item can't be indexed");
                if self.unreadable.len() < MAX_UNREADABLE {
                    self.unreadable.insert(brief.store_path.clone());
                }
                return Ok(true);
            }
        };
        let entry = Entry {
            path: &brief.store_path,
            nar_hash: &candidate.item.nar_hash,
            cut: cut_by,
            rank,
        };
        let progress = &self.installed.progress;
        progress.cut.fetch_add(brief.nar_size, Ordering::Relaxed);
        let is_room = self.installed.own.put(&entry, &pieces)?;
        self.note_extent();
        Ok(is_room)
    }

    fn note_extent(&self) {
        if let Ok(extent) = self.installed.own.look().extent() {
            let progress = &self.installed.progress;
            progress.items.store(extent.items, Ordering::Relaxed);
            progress.bytes.store(extent.bytes, Ordering::Relaxed);
        }
    }
}
