//! The folder of records, and those in memory with the narinfos made from them.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{BakeError, Record, atomic};

/// Most records in memory, some kilobytes each; beyond that all are forgotten and read again as they are asked for.
const MAX_CACHED: usize = 8192;

/// A record and the narinfo that was made from it; another state of the record is another `Baked`.
#[derive(Debug)]
pub struct Baked {
    /// The record.
    pub record: Record,
    /// The narinfo's text, signed once.
    pub narinfo: OnceLock<Bytes>,
    /// When a request for it was last noted, in seconds since 1970.
    noted: AtomicU64,
}

/// Requests for an item are noted on disk no more often.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(3600);

impl Baked {
    /// Whether a request that comes now is to be noted; the first to ask is told so.
    pub(super) fn is_to_be_noted(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let noted = self.noted.load(Ordering::Relaxed);
        // A clock that was set back must not stop the notes.
        let due = now.abs_diff(noted) >= NOTE_EVERY.as_secs();
        let order = Ordering::Relaxed;
        due && self
            .noted
            .compare_exchange(noted, now, order, order)
            .is_ok()
    }
}

#[derive(Debug)]
pub(super) struct Records {
    dir: PathBuf,
    memory: Mutex<Memory>,
    /// Held while a record changes, which takes as long as the disk does.
    writing: Mutex<()>,
    watched: Watched,
}

/// Which records changed, if somebody wants to know.
#[derive(Debug, Default)]
struct Watched {
    changed: Mutex<Option<HashSet<String>>>,
    wake: Notify,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Option<HashSet<String>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, hash_part: &str) {
        if let Some(changed) = self.lock().as_mut() {
            changed.insert(hash_part.to_owned());
            self.wake.notify_one();
        }
    }
}

#[derive(Debug, Default)]
struct Memory {
    baked: HashMap<String, Arc<Baked>>,
    /// Counts the changes on disk, so that what was read before one isn't kept after it.
    changes: u64,
}

impl Records {
    /// Opens the folder, made if it is missing, and removes what was left unfinished.
    pub(super) fn open(dir: PathBuf) -> Result<Self, BakeError> {
        fs::create_dir_all(&dir)
            .and_then(|()| atomic::sweep(&dir))
            .map_err(BakeError::io(&dir))?;
        Ok(Self {
            dir,
            memory: Mutex::default(),
            writing: Mutex::default(),
            watched: Watched::default(),
        })
    }

    /// A folder that is only read.
    pub(super) fn open_read_only(dir: PathBuf) -> Self {
        Self {
            dir,
            memory: Mutex::default(),
            writing: Mutex::default(),
            watched: Watched::default(),
        }
    }

    /// Notes from now on which records change.
    pub(super) fn watch(&self) {
        self.watched.lock().get_or_insert_default();
    }

    /// Those that changed since the last call.
    pub(super) fn changed(&self) -> Vec<String> {
        let changed = self.watched.lock().as_mut().map(std::mem::take);
        changed.unwrap_or_default().into_iter().collect()
    }

    /// Ends when a record has changed.
    pub(super) async fn next_change(&self) {
        self.watched.wake.notified().await;
    }

    /// When an item was last asked for, if it is there: when its record last changed.
    pub(super) fn served(&self, hash_part: &str) -> Option<SystemTime> {
        fs::metadata(self.path(hash_part)).ok()?.modified().ok()
    }

    /// Notes that an item is asked for now.
    pub(super) fn serve(&self, hash_part: &str) {
        let _writing = self.writing();
        let path = self.path(hash_part);
        let noted = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        match noted {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "when an item is asked for can't be noted");
            }
            _ => {}
        }
    }

    /// The record, if it is in memory.
    pub(super) fn peek(&self, hash_part: &str) -> Option<Arc<Baked>> {
        self.lock().baked.get(hash_part).cloned()
    }

    /// The record, read from disk if need be. A file that is no record is as good as none.
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
                return Some(memory.keep(hash_part, record));
            }
        }
    }

    /// Writes a record to disk and into memory.
    pub(super) fn save(&self, record: Record) -> Result<Arc<Baked>, BakeError> {
        let _writing = self.writing();
        self.write(record)
    }

    fn write(&self, record: Record) -> Result<Arc<Baked>, BakeError> {
        let hash_part = record.item.store_path.hash_part().to_owned();
        let path = self.path(&hash_part);
        let json = record
            .to_json()
            .map_err(|error| BakeError::io(&path)(error.into()))?;
        atomic::write(&path, &json).map_err(BakeError::io(&path))?;
        let mut memory = self.lock();
        memory.changes += 1;
        self.watched.note(&hash_part);
        Ok(memory.keep(&hash_part, record))
    }

    /// Changes a record, if it is there, on disk and in memory.
    pub(super) fn update(
        &self,
        hash_part: &str,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), BakeError> {
        let _writing = self.writing();
        let Some(baked) = self.get(hash_part) else {
            return Ok(());
        };
        let mut record = baked.record.clone();
        change(&mut record);
        self.write(record).map(drop)
    }

    /// Forgets an item; its blocks stay.
    pub(super) fn remove(&self, hash_part: &str) -> Result<(), BakeError> {
        let path = self.path(hash_part);
        let _writing = self.writing();
        let removed = fs::remove_file(&path).and_then(|()| atomic::sync_folder(&self.dir));
        let mut memory = self.lock();
        memory.baked.remove(hash_part);
        memory.changes += 1;
        self.watched.note(hash_part);
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(BakeError::io(&path)(error)),
            _ => Ok(()),
        }
    }

    /// The hash parts of all records on disk.
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
                tracing::error!(path = %path.display(), %error, "a record can't be read");
                return None;
            }
        };
        let record = Record::from_json(&json)
            .filter(|record| record.item.store_path.hash_part() == hash_part);
        if record.is_none() {
            tracing::error!(path = %path.display(), "not a record; the item will be baked again");
        }
        record
    }

    fn path(&self, hash_part: &str) -> PathBuf {
        self.dir.join(format!("{hash_part}.json"))
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn keep(&mut self, hash_part: &str, record: Record) -> Arc<Baked> {
        if self.baked.len() >= MAX_CACHED {
            self.baked.clear();
        }
        let baked = Arc::new(Baked {
            record,
            narinfo: OnceLock::new(),
            noted: AtomicU64::new(0),
        });
        self.baked.insert(hash_part.to_owned(), Arc::clone(&baked));
        baked
    }
}
