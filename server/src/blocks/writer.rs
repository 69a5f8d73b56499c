//! Appending: blocks go to the page cache at once, and a thread makes many of them durable together.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};

use super::index::{Batch, Index};
use super::lock::Lock;
use super::pack::{HEADER, Location, Packs, section_prefix};
use super::{BlocksError, MAX_PACK};

/// So many bytes begin a sync in the background.
const SYNC_AT: u64 = 32 << 20;
/// So many bytes that aren't durable make writers wait for the disk.
const WAIT_AT: u64 = 128 << 20;
/// Blocks that nobody flushes become durable after this.
const LINGER: Duration = Duration::from_secs(1);

/// The one that appends to the last pack.
pub(super) struct Writer {
    shared: Arc<Shared>,
    syncing: Option<JoinHandle<()>>,
}

struct Shared {
    index: Arc<Index>,
    packs: Arc<Packs>,
    state: Mutex<State>,
    /// Written, but not in the index yet.
    pending: RwLock<HashMap<Vec<u8>, Location>>,
    /// There is something to sync, or the end.
    work: Condvar,
    /// A sync is over.
    synced: Condvar,
    _lock: Lock,
}

struct State {
    pack: u32,
    file: Arc<File>,
    end: u64,
    batch: Batch,
    /// Files to sync before the batch may be committed, with their numbers.
    touched: Vec<Arc<File>>,
    /// Bytes in the batch.
    bytes: u64,
    /// Bytes that a sync is working on.
    in_flight: u64,
    /// Batches are numbered; this one is being filled.
    filling: u64,
    /// All batches before this one are durable.
    durable: u64,
    /// Somebody waits for the batch of this number or an older one.
    wanted: u64,
    stop: bool,
    failed: Option<String>,
}

impl Writer {
    /// Goes on at the end of a pack (or begins it, at 0).
    pub(super) fn start(
        index: Arc<Index>,
        packs: Arc<Packs>,
        lock: Lock,
        pack: u32,
        end: u64,
    ) -> Result<Self, BlocksError> {
        let (file, end) = open_to_append(&packs, pack, end)?;
        let shared = Arc::new(Shared {
            index,
            packs,
            state: Mutex::new(State {
                pack,
                file,
                end,
                batch: Batch::default(),
                touched: Vec::new(),
                bytes: 0,
                in_flight: 0,
                filling: 1,
                durable: 1,
                wanted: 0,
                stop: false,
                failed: None,
            }),
            pending: RwLock::default(),
            work: Condvar::new(),
            synced: Condvar::new(),
            _lock: lock,
        });
        let background = Arc::clone(&shared);
        let syncing = std::thread::Builder::new()
            .name("blocks-sync".to_owned())
            .spawn(move || background.sync_until_stopped())
            .map_err(|error| BlocksError::Failed(error.to_string()))?;
        Ok(Self {
            shared,
            syncing: Some(syncing),
        })
    }

    /// Where a block lies that the index doesn't know yet.
    pub(super) fn find(&self, key: &[u8]) -> Option<Location> {
        self.shared.pending().get(key).copied()
    }

    /// Number and bytes of the blocks that the index doesn't know yet.
    pub(super) fn pending(&self) -> (u64, u64) {
        let pending = self.shared.pending();
        let bytes = pending.values().map(|at| u64::from(at.length)).sum();
        (pending.len() as u64, bytes)
    }

    pub(super) fn put(&self, blocks: &[Block]) -> Result<(), BlocksError> {
        for block in blocks {
            if cid::identity_data(block.cid()).is_some() {
                continue;
            }
            let key = block.cid().hash().to_bytes();
            if self.find(&key).is_some() || self.shared.index.find(&key)?.is_some() {
                continue;
            }
            let mut state = self.shared.room()?;
            // Another writer may have been faster.
            if self.find(&key).is_none() && self.shared.index.find(&key)?.is_none() {
                self.shared
                    .append(&mut state, block.cid(), key, block.data())?;
            }
        }
        Ok(())
    }

    /// Appends a second copy of a block, which the index will point to.
    pub(super) fn move_here(&self, cid: &Cid, data: &[u8]) -> Result<(), BlocksError> {
        let mut state = self.shared.room()?;
        self.shared
            .append(&mut state, cid, cid.hash().to_bytes(), data)
    }

    pub(super) fn flush(&self) -> Result<(), BlocksError> {
        let mut state = self.shared.state();
        let goal = if state.batch.entries.is_empty() {
            state.filling
        } else {
            state.filling + 1
        };
        while state.durable < goal && state.failed.is_none() {
            state.wanted = state.wanted.max(goal);
            self.shared.work.notify_one();
            state = wait(&self.shared.synced, state);
        }
        check(&state)
    }

    /// Runs a change of the index while nothing is pending and nobody writes.
    pub(super) fn settled<T>(
        &self,
        change: impl FnOnce(&Index) -> Result<T, BlocksError>,
    ) -> Result<T, BlocksError> {
        let mut state = self.shared.state();
        while state.failed.is_none() && (state.in_flight > 0 || !state.batch.entries.is_empty()) {
            state.wanted = state.wanted.max(state.filling + 1);
            self.shared.work.notify_one();
            state = wait(&self.shared.synced, state);
        }
        check(&state)?;
        change(&self.shared.index)
    }

    /// The number of the pack that is being filled.
    pub(super) fn current_pack(&self) -> u32 {
        self.shared.state().pack
    }

    /// Begins another pack, as if the last one were full.
    pub(super) fn next_pack(&self) -> Result<(), BlocksError> {
        let mut state = self.shared.state();
        self.shared.begin_pack(&mut state)
    }

    /// Drops what is known of a block that cannot be read.
    pub(super) fn forget(&self, key: &[u8], at: Location) -> Result<(), BlocksError> {
        let mut pending = self
            .shared
            .pending
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if pending.get(key) == Some(&at) {
            pending.remove(key);
        }
        drop(pending);
        self.shared.index.forget(key, at)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.work.notify_one();
        if let Some(syncing) = self.syncing.take()
            && syncing.join().is_err()
        {
            tracing::error!("the thread that syncs blocks panicked");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Vec<u8>, Location>> {
        self.pending.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, once the disk isn't too far behind.
    fn room(&self) -> Result<MutexGuard<'_, State>, BlocksError> {
        let mut state = self.state();
        while state.failed.is_none() && state.bytes + state.in_flight > WAIT_AT {
            self.work.notify_one();
            state = wait(&self.synced, state);
        }
        check(&state)?;
        Ok(state)
    }

    fn append(
        &self,
        state: &mut State,
        cid: &Cid,
        key: Vec<u8>,
        data: &[u8],
    ) -> Result<(), BlocksError> {
        if state.end >= MAX_PACK {
            self.begin_pack(state)?;
        }
        let prefix = section_prefix(cid, data.len());
        let offset = state.end + prefix.len() as u64;
        state
            .file
            .write_all_at(&prefix, state.end)
            .and_then(|()| state.file.write_all_at(data, offset))
            .map_err(BlocksError::io(&self.packs.path(state.pack)))?;
        let location = Location {
            pack: state.pack,
            offset,
            length: u32::try_from(data.len()).unwrap_or(u32::MAX),
        };
        state.end = offset + data.len() as u64;
        state.bytes += (prefix.len() + data.len()) as u64;
        let end = state.end;
        match state.batch.ends.last_mut() {
            Some((pack, known)) if *pack == location.pack => *known = end,
            _ => {
                state.batch.ends.push((location.pack, end));
                let file = Arc::clone(&state.file);
                state.touched.push(file);
            }
        }
        state.batch.entries.push((key.clone(), location));
        self.pending
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, location);
        if state.bytes >= SYNC_AT || state.batch.entries.len() == 1 {
            self.work.notify_one();
        }
        Ok(())
    }

    fn begin_pack(&self, state: &mut State) -> Result<(), BlocksError> {
        (state.file, state.end) = open_to_append(&self.packs, state.pack + 1, 0)?;
        state.pack += 1;
        Ok(())
    }

    fn sync_until_stopped(&self) {
        let mut state = self.state();
        loop {
            let idle = state.batch.entries.is_empty() || state.failed.is_some();
            if idle && state.stop {
                return;
            }
            if idle {
                state = wait(&self.work, state);
                continue;
            }
            if state.bytes < SYNC_AT && state.wanted <= state.filling && !state.stop {
                let (woken, timeout) = self
                    .work
                    .wait_timeout(state, LINGER)
                    .unwrap_or_else(PoisonError::into_inner);
                state = woken;
                if !timeout.timed_out() {
                    continue;
                }
            }
            state = self.sync_batch(state);
        }
    }

    /// Makes the batch durable, and only then tells the index.
    fn sync_batch<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let batch = std::mem::take(&mut state.batch);
        let touched = std::mem::take(&mut state.touched);
        state.in_flight = std::mem::take(&mut state.bytes);
        state.filling += 1;
        let number = state.filling;
        drop(state);
        let result = touched
            .iter()
            .try_for_each(|file| file.sync_data())
            .map_err(|error| error.to_string())
            .and_then(|()| self.index.commit(&batch).map_err(|error| error.to_string()));
        if result.is_ok() {
            let mut pending = self.pending.write().unwrap_or_else(PoisonError::into_inner);
            for (key, location) in &batch.entries {
                // A newer batch may have moved it.
                if pending.get(key) == Some(location) {
                    pending.remove(key);
                }
            }
        }
        let mut state = self.state();
        state.in_flight = 0;
        match result {
            Ok(()) => state.durable = number,
            Err(error) => {
                tracing::error!(error, "blocks cannot be written");
                state.failed = Some(error);
            }
        }
        self.synced.notify_all();
        state
    }
}

/// Opens a pack to append at `end`; a new one gets its header.
fn open_to_append(packs: &Packs, pack: u32, end: u64) -> Result<(Arc<File>, u64), BlocksError> {
    let path = packs.path(pack);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(BlocksError::io(&path))?;
    if end >= HEADER.len() as u64 {
        return Ok((Arc::new(file), end));
    }
    file.set_len(0)
        .and_then(|()| file.write_all_at(HEADER, 0))
        .map_err(BlocksError::io(&path))?;
    packs.sync_folder()?;
    Ok((Arc::new(file), HEADER.len() as u64))
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

fn check(state: &State) -> Result<(), BlocksError> {
    match &state.failed {
        Some(error) => Err(BlocksError::Failed(error.clone())),
        None => Ok(()),
    }
}
