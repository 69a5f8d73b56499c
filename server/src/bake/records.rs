//! The records: a folder on disk, and a copy in memory together with the narinfos made from them.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;

use super::running_totals::{RunningTotals, Totals};
use super::{BakeError, Record};
use crate::{atomic, unix_time};

/// Most records in memory, some kilobytes each. When there are more, all are dropped and read again
/// on request.
const MAX_CACHED: usize = 8192;

/// A record and the narinfo made from it. When the record changes, a new `Baked` replaces this one.
#[derive(Debug)]
pub struct Baked {
    /// The record.
    pub record: Record,
    /// The text of the narinfo; it is signed once.
    pub narinfo: OnceLock<Bytes>,
    /// When a request for the item was last noted, in seconds since 1970.
    noted: AtomicU64,
}

/// The default of the shortest time between two notes of when an item was requested.
pub const NOTE_EVERY: Duration = Duration::from_secs(3600);

impl Baked {
    /// Returns whether a request now must be noted. Only one caller gets `true`.
    fn is_to_be_noted(&self, every: Duration) -> bool {
        let now = unix_time::now();
        let noted = self.noted.load(Ordering::Relaxed);
        // A clock that was set back must not stop the notes.
        let due = now.abs_diff(noted) >= every.as_secs();
        let order = Ordering::Relaxed;
        due && self
            .noted
            .compare_exchange(noted, now, order, order)
            .is_ok()
    }

    /// Returns whether a request was noted that the file on disk doesn't show yet.
    fn is_noted_after(&self, time: SystemTime) -> bool {
        self.noted.load(Ordering::Relaxed) > unix_time::seconds(time)
    }
}

/// The outcome of [`Records::claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// A request was noted recently; that protects the item from deletion.
    Kept,
    /// The request was noted in memory, and protects the item; it must be written to disk.
    Noted,
    /// The item was deleted in the meantime.
    Deleted,
}

#[derive(Debug)]
pub(super) struct Records {
    dir: PathBuf,
    memory: Mutex<CachedRecords>,
    /// Locked while a record changes, also during the disk I/O.
    writing: Mutex<RunningTotals>,
    watched: ChangedRecords,
}

/// The records that changed, if somebody collects them.
#[derive(Debug, Default)]
struct ChangedRecords {
    changed: Mutex<Option<HashSet<String>>>,
    wake: Notify,
}

impl ChangedRecords {
    fn lock(&self) -> MutexGuard<'_, Option<HashSet<String>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, hash_part: &str) {
        if let Some(changed) = self.lock().as_mut() {
            changed.insert(hash_part.to_owned());
            self.wake.notify_one();
        }
    }
}

#[derive(Debug, Default)]
struct CachedRecords {
    baked: HashMap<String, Arc<Baked>>,
    /// Counts the changes on disk, so that a record read before a change isn't cached after it.
    changes: u64,
}

impl Records {
    /// Opens the folder, creates it if it is missing, and removes unfinished files.
    pub(super) fn open(dir: PathBuf) -> Result<Self, BakeError> {
        fs::create_dir_all(&dir)
            .and_then(|()| atomic::sweep(&dir))
            .map_err(BakeError::io(&dir))?;
        Ok(Self {
            dir,
            memory: Mutex::default(),
            writing: Mutex::default(),
            watched: ChangedRecords::default(),
        })
    }

    /// Opens the folder to read only.
    pub(super) fn open_read_only(dir: PathBuf) -> Self {
        Self {
            dir,
            memory: Mutex::default(),
            writing: Mutex::default(),
            watched: ChangedRecords::default(),
        }
    }

    /// Starts to collect the records that change.
    pub(super) fn watch(&self) {
        self.watched.lock().get_or_insert_default();
    }

    /// Returns the records that changed since the last call.
    pub(super) fn changed(&self) -> Vec<String> {
        let changed = self.watched.lock().as_mut().map(std::mem::take);
        changed.unwrap_or_default().into_iter().collect()
    }

    /// Waits until a record has changed.
    pub(super) async fn next_change(&self) {
        self.watched.wake.notified().await;
    }

    /// Returns when an item was last requested: the modification time of its record. `None` if
    /// it isn't baked.
    pub(super) fn served(&self, hash_part: &str) -> Option<SystemTime> {
        fs::metadata(self.path(hash_part)).ok()?.modified().ok()
    }

    /// Notes in memory that an item is requested now. Unless this returns `Deleted`,
    /// [`Records::remove_unless_noted`] then keeps the item.
    pub(super) fn claim(&self, baked: &Arc<Baked>, every: Duration) -> Claim {
        if !baked.is_to_be_noted(every) {
            return Claim::Kept;
        }
        let hash_part = baked.record.item.store_path.hash_part();
        let mut memory = self.lock();
        match memory.baked.get(hash_part) {
            Some(known) if Arc::ptr_eq(known, baked) => {}
            // The record has changed: note the request on the current one.
            Some(known) => {
                let noted = baked.noted.load(Ordering::Relaxed);
                known.noted.store(noted, Ordering::Relaxed);
            }
            // The record isn't in memory: it was dropped to save memory, or deleted.
            None if self.path(hash_part).exists() => memory.insert(hash_part, Arc::clone(baked)),
            None => return Claim::Deleted,
        }
        Claim::Noted
    }

    /// Writes to disk that an item is requested now.
    pub(super) fn serve(&self, hash_part: &str) {
        let _writing = self.writing();
        let path = self.path(hash_part);
        let noted = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        match noted {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "can't note the time of a request");
            }
            _ => {}
        }
    }

    /// Returns the record, if it is in memory.
    pub(super) fn peek(&self, hash_part: &str) -> Option<Arc<Baked>> {
        self.lock().baked.get(hash_part).cloned()
    }

    /// Returns the record, from memory or from disk. A malformed file counts as missing.
    pub(super) fn get(&self, hash_part: &str) -> Option<Arc<Baked>> {
        loop {
            let changes = {
                let memory = self.lock();
                if let Some(baked) = memory.baked.get(hash_part) {
                    return Some(Arc::clone(baked));
                }
                memory.changes
            };
            let record = self.read(hash_part)?;
            let mut memory = self.lock();
            if memory.changes == changes {
                return Some(memory.cache(hash_part, record));
            }
        }
    }

    /// Writes a record to disk and into memory.
    pub(super) fn save(&self, record: Record) -> Result<Arc<Baked>, BakeError> {
        let mut running_totals = self.writing();
        let before = self.get(record.item.store_path.hash_part());
        self.write(record, before.as_deref(), &mut running_totals)
    }

    fn write(
        &self,
        record: Record,
        before: Option<&Baked>,
        running_totals: &mut RunningTotals,
    ) -> Result<Arc<Baked>, BakeError> {
        let hash_part = record.item.store_path.hash_part().to_owned();
        let path = self.path(&hash_part);
        let json = record
            .to_json()
            .map_err(|error| BakeError::io(&path)(error.into()))?;
        atomic::write(&path, &json).map_err(BakeError::io(&path))?;
        running_totals.change(&hash_part, before.map(|one| &one.record), Some(&record));
        let mut memory = self.lock();
        memory.changes += 1;
        self.watched.add(&hash_part);
        Ok(memory.cache(&hash_part, record))
    }

    /// Changes a record on disk and in memory. Returns whether it exists.
    pub(super) fn update(
        &self,
        hash_part: &str,
        change: impl FnOnce(&mut Record),
    ) -> Result<bool, BakeError> {
        let mut running_totals = self.writing();
        let Some(baked) = self.get(hash_part) else {
            return Ok(false);
        };
        let mut record = baked.record.clone();
        change(&mut record);
        self.write(record, Some(&baked), &mut running_totals)?;
        Ok(true)
    }

    /// Deletes a record; the blocks stay.
    pub(super) fn remove(&self, hash_part: &str) -> Result<(), BakeError> {
        self.remove_if(hash_part, |_| true).map(drop)
    }

    /// Deletes a record unless a request was noted after `served`. Returns whether it was
    /// deleted.
    pub(super) fn remove_unless_noted(
        &self,
        hash_part: &str,
        served: SystemTime,
    ) -> Result<bool, BakeError> {
        self.remove_if(hash_part, |baked| !baked.is_noted_after(served))
    }

    fn remove_if(
        &self,
        hash_part: &str,
        may_delete: impl FnOnce(&Baked) -> bool,
    ) -> Result<bool, BakeError> {
        let path = self.path(hash_part);
        let mut running_totals = self.writing();
        let before = self.get(hash_part);
        let removed = {
            // Locked until the file is deleted, so that nobody reads it into memory
            // again.
            let mut memory = self.lock();
            if memory
                .baked
                .get(hash_part)
                .is_some_and(|one| !may_delete(one))
            {
                return Ok(false);
            }
            memory.baked.remove(hash_part);
            memory.changes += 1;
            fs::remove_file(&path)
        };
        let error = removed.as_ref().err();
        if error.is_none_or(|error| error.kind() == ErrorKind::NotFound) {
            running_totals.change(hash_part, before.as_ref().map(|one| &one.record), None);
        }
        self.watched.add(hash_part);
        match removed.and_then(|()| atomic::sync_folder(&self.dir)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(BakeError::io(&path)(error)),
            _ => Ok(true),
        }
    }

    /// Returns the hash parts of all records on disk.
    pub(super) fn all(&self) -> Result<Vec<String>, BakeError> {
        let names = fs::read_dir(&self.dir).map_err(BakeError::io(&self.dir))?;
        let hash_part = |name: &str| {
            name.strip_suffix(".json")
                .filter(|hash_part| !hash_part.starts_with('.'))
                .map(str::to_owned)
        };
        Ok(names
            .filter_map(Result::ok)
            .filter_map(|entry| hash_part(&entry.file_name().to_string_lossy()))
            .collect())
    }

    fn read(&self, hash_part: &str) -> Option<Record> {
        let path = self.path(hash_part);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "can't read a record");
                return None;
            }
        };
        let record = Record::from_json(&json)
            .filter(|record| record.item.store_path.hash_part() == hash_part);
        if record.is_none() {
            tracing::error!(
                path = %path.display(),
                "the record is malformed; the item will be baked again"
            );
        }
        record
    }

    fn path(&self, hash_part: &str) -> PathBuf {
        self.dir.join(format!("{hash_part}.json"))
    }

    /// Counts all records; from then on [`Self::totals`] returns their sums. Records may change
    /// meanwhile. Blocks.
    pub(super) fn count(&self, stopped: &AtomicBool) -> Result<(), BakeError> {
        {
            let mut running_totals = self.writing();
            running_totals.begin(self.all()?.into_iter());
        }
        while !stopped.load(Ordering::Relaxed) {
            let mut running_totals = self.writing();
            let Some(hash_part) = running_totals.next() else {
                break;
            };
            let record = self.read(&hash_part);
            running_totals.count(&hash_part, record.as_ref());
        }
        Ok(())
    }

    /// Returns the sums over all records, once they were counted. Waits for a record that is
    /// being written.
    pub(super) fn totals(&self) -> Option<Totals> {
        self.writing().totals()
    }

    fn writing(&self) -> MutexGuard<'_, RunningTotals> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, CachedRecords> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedRecords {
    fn cache(&mut self, hash_part: &str, record: Record) -> Arc<Baked> {
        let noted = self.baked.get(hash_part);
        let noted = noted.map_or(0, |one| one.noted.load(Ordering::Relaxed));
        let baked = Arc::new(Baked {
            record,
            narinfo: OnceLock::new(),
            noted: AtomicU64::new(noted),
        });
        self.insert(hash_part, Arc::clone(&baked));
        baked
    }

    fn insert(&mut self, hash_part: &str, baked: Arc<Baked>) {
        if self.baked.len() >= MAX_CACHED {
            self.baked.clear();
        }
        self.baked.insert(hash_part.to_owned(), baked);
    }
}
