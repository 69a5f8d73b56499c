//! Snapshots: a whole cache as one UnixFS directory. Any IPFS gateway serves it to stock clients,
//! without a server of ours.
//!
//! ```text
//! <root>/nix-cache-info   signing-key.pub
//!        <hash part>.narinfo        relative URLs, no `ipfs:` entries
//!        nar/[<method>/]<item>      the baked DAGs themselves
//!
//! <dir>/snapshot.json               the current and old roots, and what is in Kubo; written last
//! ```
//! A change rewrites only the nodes on its path. New nodes are durable before the state names their
//! root. So a kill at any moment leaves the old snapshot or the new one. An old root stays while
//! clients may have its narinfos; then [`super::space`] deletes the blocks that only it needs.
//!
//! Restriction: only the process that has locked the block store changes the snapshots.

mod directory;
mod new_blocks;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use interplanar_core::cid::Cid;
use interplanar_core::unixfs::DirectoryError;

use super::BakeError;
use crate::blocks::{BlockStore, BlocksError};
use crate::unix_time::now;
use directory::SnapshotDirectory;
pub use directory::SnapshotItem;
pub use new_blocks::new_blocks;
use state::SnapshotsState;
pub use state::{InKubo, OldSnapshot};

/// Why a snapshot can't be read or changed. It stays as it was.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A node of the snapshot is lost or malformed.
    #[error("can't read the snapshot: {0}")]
    Directory(#[from] DirectoryError),
    /// The cache folder can't be read or written.
    #[error(transparent)]
    Bake(#[from] BakeError),
}

impl From<BlocksError> for SnapshotError {
    fn from(error: BlocksError) -> Self {
        Self::Bake(error.into())
    }
}

/// The snapshots of a cache folder. Clones share their state.
#[derive(Clone)]
pub struct Snapshots {
    path: PathBuf,
    blocks: BlockStore,
    state: Arc<Mutex<SnapshotsState>>,
}

/// Exclusive access to the snapshots, to read and change them.
pub struct HeldSnapshots<'a> {
    path: &'a Path,
    blocks: &'a BlockStore,
    state: MutexGuard<'a, SnapshotsState>,
}

/// The difference between a snapshot and the next one.
#[derive(Debug, Default)]
pub struct SnapshotChanges {
    /// Names and contents of files at the root.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Hash parts of the items to remove.
    pub remove: Vec<String>,
    /// Whether to build the snapshot from nothing instead of changing the current one.
    pub rebuild: bool,
    /// A hash of all that shapes the narinfos, except the items.
    pub settings: String,
    /// How long the previous snapshot is kept.
    pub keep_for: Duration,
}

impl Snapshots {
    /// Reads the state in a cache folder. A missing or malformed state means that there is no
    /// snapshot.
    pub fn open(dir: &Path, blocks: BlockStore) -> Self {
        let path = dir.join("snapshot.json");
        let state = SnapshotsState::read(&path);
        Self {
            path,
            blocks,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for exclusive access.
    pub fn hold(&self) -> HeldSnapshots<'_> {
        HeldSnapshots {
            path: &self.path,
            blocks: &self.blocks,
            state: self.state.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl HeldSnapshots<'_> {
    /// The root of the current snapshot.
    pub fn root(&self) -> Option<Cid> {
        self.state.root
    }

    /// The settings that the narinfos of the current snapshot were made with.
    pub fn settings(&self) -> &str {
        &self.state.settings
    }

    /// The roots whose blocks must stay: the current one, old ones, and imported ones.
    pub fn roots(&self) -> Vec<Cid> {
        let old = self.state.old.iter().map(|old| old.root);
        let current = self.state.root.into_iter();
        let all = current.chain(old).chain(self.state.imported.clone());
        all.collect()
    }

    /// The roots that don't expire: the current one, and imported ones.
    pub fn current(&self) -> Vec<Cid> {
        let current = self.state.root.into_iter();
        current.chain(self.state.imported.clone()).collect()
    }

    /// The expired roots: no client has narinfos of them any more.
    pub fn expired(&self) -> Vec<Cid> {
        let now = now();
        let old = self.state.old.iter().filter(|old| old.until <= now);
        old.map(|old| old.root).collect()
    }

    /// The time until the next old root expires; `None` if there is none.
    pub fn next_expiry(&self) -> Option<Duration> {
        let old = self.state.old.iter().map(|old| old.until).min()?;
        Some(Duration::from_secs(old.saturating_sub(now())))
    }

    /// What is in Kubo.
    pub fn in_kubo(&self) -> &InKubo {
        &self.state.kubo
    }

    /// Stores what is in Kubo.
    ///
    /// # Errors
    /// The state can't be written.
    pub fn set_in_kubo(&mut self, kubo: InKubo) -> Result<(), BakeError> {
        let mut state = self.state.clone();
        state.kubo = kubo;
        self.save(state)
    }

    /// Stores the root of an imported snapshot, whose blocks are in the block store.
    ///
    /// # Errors
    /// The state can't be written.
    pub fn imported(&mut self, root: Cid) -> Result<(), BakeError> {
        let mut state = self.state.clone();
        if !state.imported.contains(&root) {
            state.imported.push(root);
        }
        self.save(state)
    }

    /// Forgets a root. If it is the current one, the next snapshot is built from nothing.
    ///
    /// # Errors
    /// The state can't be written.
    pub fn forget(&mut self, root: &Cid) -> Result<(), BakeError> {
        let mut state = self.state.clone();
        state.root = state.root.filter(|current| current != root);
        state.old.retain(|old| old.root != *root);
        state.imported.retain(|one| one != root);
        self.save(state)
    }

    /// Returns the hash parts of all items in the current snapshot.
    ///
    /// # Errors
    /// A node is lost.
    pub fn listed(&self) -> Result<Vec<String>, SnapshotError> {
        match self.state.root {
            Some(root) => Ok(directory::listed(self.blocks, root)?),
            None => Ok(Vec::new()),
        }
    }

    /// Makes the next snapshot: applies `changes`, and adds or replaces the items of `put`. Returns
    /// its root if that differs from the current one.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn apply(
        &mut self,
        changes: SnapshotChanges,
        put: &mut dyn Iterator<Item = SnapshotItem>,
    ) -> Result<Option<Cid>, SnapshotError> {
        let mut directory = match self.state.root.filter(|_| !changes.rebuild) {
            Some(root) => SnapshotDirectory::open(self.blocks, &root)?,
            None => SnapshotDirectory::empty(self.blocks),
        };
        for (name, bytes) in &changes.files {
            directory.put_file(name, bytes)?;
        }
        for hash_part in &changes.remove {
            directory.remove(hash_part)?;
        }
        for item in put {
            directory.put(&item)?;
        }
        let root = directory.finish()?;
        // Make all blocks durable before the state that refers to them.
        self.blocks.flush()?;
        let mut state = self.state.clone();
        let is_new = state.root != Some(root);
        if is_new {
            let now = now();
            let until = now.saturating_add(changes.keep_for.as_secs());
            state.old.retain(|old| old.root != root);
            state
                .old
                .extend(state.root.map(|root| OldSnapshot { root, until }));
            state.root = Some(root);
            state.made = now;
        }
        state.settings = changes.settings;
        if state != *self.state {
            self.save(state)?;
        }
        Ok(is_new.then_some(root))
    }

    /// Removes items from the current snapshot, if there is one.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn remove(
        &mut self,
        hash_parts: Vec<String>,
        keep_for: Duration,
    ) -> Result<(), SnapshotError> {
        if self.state.root.is_none() || hash_parts.is_empty() {
            return Ok(());
        }
        let changes = SnapshotChanges {
            remove: hash_parts,
            settings: self.state.settings.clone(),
            keep_for,
            ..SnapshotChanges::default()
        };
        self.apply(changes, &mut std::iter::empty()).map(drop)
    }

    fn save(&mut self, state: SnapshotsState) -> Result<(), BakeError> {
        state.write(self.path)?;
        *self.state = state;
        Ok(())
    }
}
