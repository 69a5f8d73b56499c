//! The sources of published items: the Guix database, the Nix database, a binary cache in a folder,
//! or plain files.
//!
//! A [`Source`] finds items by hash part (the 32 characters in a narinfo's URL) or by path. It
//! returns all its items page by page, and writes the plain NAR of an item. All methods block: call
//! them on a blocking thread.
//!
//! Store paths are *logical* (`/gnu/store/…`). Files are read under the source's root, so the store
//! of a chroot can be published from outside. Nothing here writes to a store.
//!
//! ```no_run
//! use interplanar_server::store::{self, SourceSpec};
//!
//! let source = store::open(&SourceSpec::Guix { root: "/".into() })?;
//! for item in source.items(None, 10)? {
//!     println!("{} {}", item.store_path, item.nar_size);
//! }
//! # Ok::<(), store::SourceError>(())
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use interplanar_core::store_path::StorePath;

pub mod binary_cache;
mod build_log;
pub(crate) mod database;
mod derivation;
mod error;
pub mod guix_db;
mod item;
pub mod nix_db;
mod physical;
pub mod registered;
pub mod trees;

pub use error::SourceError;
pub use item::{Brief, Item, Log, Prepared, PreparedFile, Stamp};

/// Most items that one call of [`Source::items`] returns.
pub const MAX_PAGE: usize = 10_000;

/// Most items that one call of [`Source::named`] returns.
pub const MAX_NAMED: usize = 16;

/// A store that can be published.
pub trait Source: Send + Sync {
    /// The logical store directory of all its items, such as `/gnu/store`.
    fn store_dir(&self) -> &str;

    /// Returns the valid item whose base name starts with these 32 characters; `None` if this
    /// isn't a hash part.
    fn find(&self, hash_part: &str) -> Result<Option<Item>, SourceError>;

    /// Returns the valid item with exactly this path.
    fn find_path(&self, path: &StorePath) -> Result<Option<Item>, SourceError> {
        if path.directory() != self.store_dir() {
            return Ok(None);
        }
        Ok(self
            .find(path.hash_part())?
            .filter(|item| item.store_path == *path))
    }

    /// Writes the plain NAR of an item in chunks of about 256 KiB, and checks that it has
    /// `nar_size` bytes.
    ///
    /// The caller checks the hash. After an error, the writer may have got any prefix of the
    /// archive.
    fn dump(&self, item: &Item, out: &mut dyn Write) -> Result<(), SourceError>;

    /// Returns the build log of a derivation, or of an item by its deriver. `base_name` is the
    /// name of either.
    fn log(&self, base_name: &str) -> Result<Option<Log>, SourceError>;

    /// Returns up to `limit` items (at most [`MAX_PAGE`]) in the order of their paths, starting
    /// behind the path `after`.
    ///
    /// An empty page is the end. Items that can't be read are logged and left out.
    fn items(&self, after: Option<&str>, limit: usize) -> Result<Vec<Item>, SourceError>;

    /// Returns some valid items of a package (`hello` for `hello-2.12`), the one registered
    /// last first.
    ///
    /// By default searches the first page of all items, which suits small stores.
    fn named(&self, package: &str) -> Result<Vec<Item>, SourceError> {
        let mut items = self.items(None, MAX_PAGE)?;
        items.retain(|item| item.store_path.name().starts_with(package));
        items.truncate(MAX_NAMED);
        Ok(items)
    }

    /// Returns up to `limit` valid items (at most [`MAX_PAGE`]) whose NARs have at least `least`
    /// bytes, without derivations. The item registered last comes first. With `before`, starts
    /// behind the item with this [`Brief::order`]. An empty page is the end.
    ///
    /// By default searches the first page of all items, which suits small stores.
    fn briefs(
        &self,
        least: u64,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Brief>, SourceError> {
        let items = self.items(None, MAX_PAGE)?.into_iter().zip(0..);
        let briefs = items.map(|(item, order)| Brief {
            order,
            store_path: item.store_path,
            nar_hash: item.nar_hash,
            nar_size: item.nar_size,
            registered: 0,
        });
        let mut briefs: Vec<Brief> = briefs
            .filter(|one| one.nar_size >= least && !one.store_path.name().ends_with(".drv"))
            .filter(|one| before.is_none_or(|before| one.order < before))
            .collect();
        briefs.reverse();
        briefs.truncate(limit);
        Ok(briefs)
    }

    /// Returns a value that changes when items are added or removed; by default a constant.
    fn stamp(&self) -> Result<Stamp, SourceError> {
        Ok(Stamp::default())
    }

    /// Returns the narinfo and compressed files of an item in a binary cache; `None` for all
    /// other sources.
    fn prepared(&self, item: &Item) -> Option<Prepared> {
        let _ = item;
        None
    }
}

/// Which store to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// `<root>/var/guix/db/db.sqlite` and `<root>/gnu/store`.
    Guix {
        /// `/`, or the root folder of a chroot.
        root: PathBuf,
    },
    /// `<root>/nix/var/nix/db/db.sqlite` and `<root>/nix/store`.
    Nix {
        /// `/`, or the root folder of a chroot.
        root: PathBuf,
    },
    /// A folder in the form that `nix copy --to file://…` writes.
    BinaryCache {
        /// The folder with `nix-cache-info`.
        dir: PathBuf,
    },
    /// Plain files and folders. They get content-addressed store paths.
    Trees {
        /// The files and folders.
        trees: Vec<trees::Tree>,
        /// The store directory of their store paths, such as `/gnu/store`.
        store_dir: String,
    },
}

impl SourceSpec {
    /// Returns whether the store exists, without opening it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match self {
            Self::Guix { root } => guix_db::is_under(root),
            Self::Nix { root } => nix_db::is_under(root),
            Self::BinaryCache { dir } => dir.exists(),
            Self::Trees { trees, .. } => trees.iter().all(|tree| tree.path.exists()),
        }
    }
}

/// Returns the stores that a machine can have, whether they exist or not.
#[must_use]
pub fn registrable_under(root: &Path) -> Vec<SourceSpec> {
    let root = root.to_path_buf();
    vec![
        SourceSpec::Guix { root: root.clone() },
        SourceSpec::Nix { root },
    ]
}

/// Returns the stores of a machine: those whose database exists under `root`.
#[must_use]
pub fn registered_under(root: &Path) -> Vec<SourceSpec> {
    let mut stores = registrable_under(root);
    stores.retain(SourceSpec::is_there);
    stores
}

/// Opens a store. For trees, this reads and hashes them.
pub fn open(spec: &SourceSpec) -> Result<Arc<dyn Source>, SourceError> {
    Ok(match spec {
        SourceSpec::Guix { root } => Arc::new(guix_db::open(root)?),
        SourceSpec::Nix { root } => Arc::new(nix_db::open(root)?),
        SourceSpec::BinaryCache { dir } => Arc::new(binary_cache::BinaryCache::open(dir)?),
        SourceSpec::Trees { trees, store_dir } => Arc::new(trees::Trees::open(trees, store_dir)?),
    })
}

#[cfg(test)]
pub(crate) mod tests;
