//! Appends blocks. A block is written to the page cache at once, and a thread makes many of them
//! durable together.

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
use crate::task::{self, WorkError};

/// Bytes that start a sync in the background.
const SYNC_AT: u64 = 32 << 20;
/// Bytes that are not durable yet; above that, writers wait for the disk.
const WAIT_AT: u64 = 128 << 20;
/// Blocks that nobody flushes become durable after this time.
const LINGER: Duration = Duration::from_secs(1);

/// Appends blocks to the last pack.
pub(super) struct Writer {
    shared: Arc<Shared>,
    syncing: Option<JoinHandle<Result<(), WorkError>>>,
}

struct Shared {
    index: Arc<Index>,
    packs: Arc<Packs>,
    state: Mutex<WriterState>,
    /// Blocks that are written, but not in the index yet.
    pending: RwLock<HashMap<Vec<u8>, Location>>,
    /// Wakes the syncing thread: there is something to sync, or to stop.
    wake: Condvar,
    /// Wakes those who wait for a sync.
    synced: Condvar,
    _lock: Lock,
}

struct WriterState {
    pack: u32,
    file: Arc<File>,
    end: u64,
    batch: Batch,
    /// Files to sync before the batch may be committed.
    touched: Vec<Arc<File>>,
    /// Bytes of the batch.
    bytes: u64,
    /// Bytes that are being synced.
    in_flight: u64,
    /// The number of the batch that is being filled.
    filling: u64,
    /// All batches with smaller numbers are durable.
    durable: u64,
    /// Somebody waits until all batches before this number are durable.
    flush_goal: u64,
    stop: bool,
    failed: Option<String>,
}

impl Writer {
    /// Continues a pack at its end, or starts it if `end` is 0.
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
            state: Mutex::new(WriterState {
                pack,
                file,
                end,
                batch: Batch::default(),
                touched: Vec::new(),
                bytes: 0,
                in_flight: 0,
                filling: 1,
                durable: 1,
                flush_goal: 0,
                stop: false,
                failed: None,
            }),
            pending: RwLock::default(),
            wake: Condvar::new(),
            synced: Condvar::new(),
            _lock: lock,
        });
        let background = Arc::clone(&shared);
        let syncing = task::thread("syncing blocks", move || {
            if let Err(error) = task::caught("syncing blocks", || background.sync_until_stopped()) {
                background.fail(error.to_string());
            }
        });
        let syncing = syncing.map_err(|error| BlocksError::Failed(error.to_string()))?;
        Ok(Self {
            shared,
            syncing: Some(syncing),
        })
    }

    /// Returns the location of a block that isn't in the index yet.
    pub(super) fn find(&self, key: &[u8]) -> Option<Location> {
        self.shared.pending().get(key).copied()
    }

    /// Returns the number and bytes of the blocks that aren't in the index yet.
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
            let mut state = self.shared.wait_for_room()?;
            // Another thread may have stored the block meanwhile.
            if self.find(&key).is_none() && self.shared.index.find(&key)?.is_none() {
                self.shared
                    .append(&mut state, block.cid(), key, block.data())?;
            }
        }
        Ok(())
    }

    /// Appends a second copy of a block; the index will point to it.
    pub(super) fn append_copy(&self, cid: &Cid, data: &[u8]) -> Result<(), BlocksError> {
        let mut state = self.shared.wait_for_room()?;
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
            state.flush_goal = state.flush_goal.max(goal);
            self.shared.wake.notify_one();
            state = wait(&self.shared.synced, state);
        }
        check(&state)
    }

    /// Changes the index while no block is pending and nobody writes.
    pub(super) fn with_index<T>(
        &self,
        change: impl FnOnce(&Index) -> Result<T, BlocksError>,
    ) -> Result<T, BlocksError> {
        let mut state = self.shared.state();
        while state.failed.is_none() && (state.in_flight > 0 || !state.batch.entries.is_empty()) {
            state.flush_goal = state.flush_goal.max(state.filling + 1);
            self.shared.wake.notify_one();
            state = wait(&self.shared.synced, state);
        }
        check(&state)?;
        change(&self.shared.index)
    }

    /// Returns the number of the pack that is being filled.
    pub(super) fn current_pack(&self) -> u32 {
        self.shared.state().pack
    }

    /// Starts another pack, as if the last one were full.
    pub(super) fn next_pack(&self) -> Result<(), BlocksError> {
        let mut state = self.shared.state();
        self.shared.start_pack(&mut state)
    }

    /// Forgets a block that can't be read.
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
        self.shared.wake.notify_one();
        if let Some(syncing) = self.syncing.take() {
            // A panic was logged.
            let _ = syncing.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Vec<u8>, Location>> {
        self.pending.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until not too many bytes are pending, and returns the state.
    fn wait_for_room(&self) -> Result<MutexGuard<'_, WriterState>, BlocksError> {
        let mut state = self.state();
        while state.failed.is_none() && state.bytes + state.in_flight > WAIT_AT {
            self.wake.notify_one();
            state = wait(&self.synced, state);
        }
        check(&state)?;
        Ok(state)
    }

    fn append(
        &self,
        state: &mut WriterState,
        cid: &Cid,
        key: Vec<u8>,
        data: &[u8],
    ) -> Result<(), BlocksError> {
        if state.end >= MAX_PACK {
            self.start_pack(state)?;
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
            self.wake.notify_one();
        }
        Ok(())
    }

    fn start_pack(&self, state: &mut WriterState) -> Result<(), BlocksError> {
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
                state = wait(&self.wake, state);
                continue;
            }
            if state.bytes < SYNC_AT && state.flush_goal <= state.filling && !state.stop {
                let (woken, timeout) = self
                    .wake
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

    /// Syncs the batch, and only then adds it to the index.
    fn sync_batch<'a>(
        &'a self,
        mut state: MutexGuard<'a, WriterState>,
    ) -> MutexGuard<'a, WriterState> {
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
                // A newer batch may have moved the block.
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
                drop(state);
                self.fail(error);
                state = self.state();
            }
        }
        self.synced.notify_all();
        state
    }

    /// Refuses all blocks from now on, and tells those who wait.
    fn fail(&self, error: String) {
        tracing::error!(
            error,
            "can't make blocks durable; restart the program to store more"
        );
        self.state().failed = Some(error);
        self.synced.notify_all();
    }
}

/// Opens a pack to append at `end`; writes the header of a new one.
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

fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, WriterState>,
) -> MutexGuard<'a, WriterState> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

fn check(state: &WriterState) -> Result<(), BlocksError> {
    match &state.failed {
        Some(error) => Err(BlocksError::Failed(error.clone())),
        None => Ok(()),
    }
}
