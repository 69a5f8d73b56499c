//! Snapshots: the whole cache as a UnixFS directory, which any IPFS gateway serves to stock clients without a server of ours.
//!
//! ```text
//! <root>/nix-cache-info   signing-key.pub
//!        <hash part>.narinfo              relative URLs, no `ipfs:` entries
//!        nar/[<method>/]<item>            the baked DAGs themselves
//!
//! <dir>/snapshot.json                     the current root, the old ones, what Kubo was given; written last
//! ```
//! A change rewrites only the nodes on its path. New nodes are durable before the state names their root, so a kill at any moment leaves
//! the snapshot before or the one after. An old root is kept for as long as clients may have its narinfos; what only it needs goes
//! with [`super::space`].
//!
//! Restriction: one process changes a cache folder, the one that holds its block store.

mod fresh;
mod state;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use interplanar_core::cid::Cid;
use interplanar_core::unixfs::DirectoryError;

use super::BakeError;
use crate::blocks::{BlockStore, BlocksError};
use crate::unix_time::now;
pub use fresh::fresh;
use state::State;
pub use state::{InKubo, Old};
pub use tree::Entry;
use tree::Tree;

/// Why a snapshot can't be changed; it is as it was.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A node of it is lost or malformed.
    #[error("the snapshot can't be read: {0}")]
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

/// The snapshots of a cache folder; clones share them.
#[derive(Clone)]
pub struct Snapshots {
    path: PathBuf,
    blocks: BlockStore,
    state: Arc<Mutex<State>>,
}

/// The right to change them, which one has at a time.
pub struct Held<'a> {
    path: &'a Path,
    blocks: &'a BlockStore,
    state: MutexGuard<'a, State>,
}

/// What becomes of a snapshot.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files at its root by their names, and their bytes.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Hash parts of items that go.
    pub remove: Vec<String>,
    /// Whether nothing of the snapshot before is kept.
    pub anew: bool,
    /// What the narinfos were made with.
    pub settings: String,
    /// For how long the one before is kept.
    pub keep_for: Duration,
}

impl Snapshots {
    /// Reads the state in a cache folder; none at all, or one that can't be read, is a cache without a snapshot.
    pub fn open(dir: &Path, blocks: BlockStore) -> Self {
        let path = dir.join("snapshot.json");
        let state = State::read(&path);
        Self {
            path,
            blocks,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for whoever holds them.
    pub fn hold(&self) -> Held<'_> {
        Held {
            path: &self.path,
            blocks: &self.blocks,
            state: self.state.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Held<'_> {
    /// The current one.
    pub fn root(&self) -> Option<Cid> {
        self.state.root
    }

    /// What the narinfos of the current one were made with.
    pub fn settings(&self) -> &str {
        &self.state.settings
    }

    /// All whose blocks are to stay: the current one, the old ones, and those that were imported.
    pub fn roots(&self) -> Vec<Cid> {
        let old = self.state.old.iter().map(|old| old.root);
        let current = self.state.root.into_iter();
        let all = current.chain(old).chain(self.state.imported.clone());
        all.collect()
    }

    /// Those that stay until somebody says otherwise: the current one, and those that were imported.
    pub fn current(&self) -> Vec<Cid> {
        let current = self.state.root.into_iter();
        current.chain(self.state.imported.clone()).collect()
    }

    /// Old ones that nobody can have any more.
    pub fn expired(&self) -> Vec<Cid> {
        let now = now();
        let old = self.state.old.iter().filter(|old| old.until <= now);
        old.map(|old| old.root).collect()
    }

    /// How long it is until an old one has had its time; `None` where there is none.
    pub fn next_expiry(&self) -> Option<Duration> {
        let old = self.state.old.iter().map(|old| old.until).min()?;
        Some(Duration::from_secs(old.saturating_sub(now())))
    }

    /// What Kubo was given.
    pub fn in_kubo(&self) -> &InKubo {
        &self.state.kubo
    }

    /// Notes what Kubo is given.
    ///
    /// # Errors
    /// The state can't be written.
    pub fn set_in_kubo(&mut self, kubo: InKubo) -> Result<(), BakeError> {
        let mut state = self.state.clone();
        state.kubo = kubo;
        self.save(state)
    }

    /// Notes a root that came from elsewhere, whose blocks are here.
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

    /// Forgets a root: an old one, or the current one, which is then made anew.
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

    /// The hash parts of all items in the current one.
    ///
    /// # Errors
    /// A node is lost.
    pub fn listed(&self) -> Result<Vec<String>, SnapshotError> {
        match self.state.root {
            Some(root) => Ok(tree::listed(self.blocks, root)?),
            None => Ok(Vec::new()),
        }
    }

    /// Makes the next one, with the items of `put` in place of what there is of them; gives its root if it is another.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn apply(
        &mut self,
        changes: Changes,
        put: &mut dyn Iterator<Item = Entry>,
    ) -> Result<Option<Cid>, SnapshotError> {
        let mut tree = match self.state.root.filter(|_| !changes.anew) {
            Some(root) => Tree::open(self.blocks, &root)?,
            None => Tree::empty(self.blocks),
        };
        for (name, bytes) in &changes.files {
            tree.put_file(name, bytes)?;
        }
        for hash_part in &changes.remove {
            tree.remove(hash_part)?;
        }
        for entry in put {
            tree.put(&entry)?;
        }
        let root = tree.finish()?;
        // Everything that the state speaks of is durable before it is.
        self.blocks.flush()?;
        let mut state = self.state.clone();
        let is_new = state.root != Some(root);
        if is_new {
            let now = now();
            let until = now.saturating_add(changes.keep_for.as_secs());
            state.old.retain(|old| old.root != root);
            state.old.extend(state.root.map(|root| Old { root, until }));
            state.root = Some(root);
            state.made = now;
        }
        state.settings = changes.settings;
        if state != *self.state {
            self.save(state)?;
        }
        Ok(is_new.then_some(root))
    }

    /// Takes items out of the current one, if there is one.
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
        let changes = Changes {
            remove: hash_parts,
            settings: self.state.settings.clone(),
            keep_for,
            ..Changes::default()
        };
        self.apply(changes, &mut std::iter::empty()).map(drop)
    }

    fn save(&mut self, state: State) -> Result<(), BakeError> {
        state.write(self.path)?;
        *self.state = state;
        Ok(())
    }
}
