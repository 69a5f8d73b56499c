//! Plain files and folders as store items. Each gets the content-addressed path that
//! `nix-store --add` or Guix's `add-to-store` (recursive, SHA-256) would give it. That needs no
//! store, and the items have no references.
//!
//! A symbolic link is published as a link, as the daemons do. End its path with `/` to publish its
//! target.
//!
//! ```no_run
//! use interplanar_server::store::trees::{Tree, Trees};
//!
//! let tree = Tree { path: "site/public".into(), name: Some("site".into()) };
//! let trees = Trees::open(&[tree], "/gnu/store")?;
//! # Ok::<(), interplanar_server::store::SourceError>(())
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::store_path::StorePath;

use super::physical::is_hash_part;
use super::{Item, Log, MAX_PAGE, Source, SourceError};
use crate::nar_dump;

/// A file or folder to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The path of the file or folder.
    pub path: PathBuf,
    /// The name of the store item; by default the last component of the path.
    pub name: Option<String>,
}

/// The trees of a command line; they are hashed when they are opened.
#[derive(Debug)]
pub struct Trees {
    store_dir: String,
    /// By store path.
    items: BTreeMap<String, (Item, PathBuf)>,
}

impl Trees {
    /// Reads and hashes all trees, to compute their store paths.
    pub fn open(trees: &[Tree], store_dir: &str) -> Result<Self, SourceError> {
        let mut items = BTreeMap::new();
        for tree in trees {
            let item = hash(tree, store_dir)?;
            let path = item.store_path.as_str();
            tracing::info!(tree = %tree.path.display(), path, "publishing a tree");
            let place = absolute(&tree.path)?;
            items.insert(item.store_path.as_str().into(), (item, place));
        }
        Ok(Self {
            store_dir: store_dir.into(),
            items,
        })
    }
}

impl Source for Trees {
    fn store_dir(&self) -> &str {
        &self.store_dir
    }

    fn find(&self, hash_part: &str) -> Result<Option<Item>, SourceError> {
        if !is_hash_part(hash_part) {
            return Ok(None);
        }
        let prefix = format!("{}/{hash_part}-", self.store_dir);
        let next = self.items.range(prefix.clone()..).next();
        Ok(next
            .filter(|(path, _)| path.starts_with(&prefix))
            .map(|(_, (item, _))| item.clone()))
    }

    fn dump(&self, item: &Item, out: &mut dyn Write) -> Result<(), SourceError> {
        let Some((known, place)) = self.items.get(item.store_path.as_str()) else {
            return Err(SourceError::Gone(item.store_path.as_str().into()));
        };
        if nar_dump::dump(place, out)? != known.nar_size {
            return Err(SourceError::Changed(place.display().to_string()));
        }
        Ok(())
    }

    fn log(&self, _base_name: &str) -> Result<Option<Log>, SourceError> {
        Ok(None)
    }

    fn items(&self, after: Option<&str>, limit: usize) -> Result<Vec<Item>, SourceError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.items.range::<str, _>((from, Bound::Unbounded));
        Ok(page
            .take(limit.min(MAX_PAGE))
            .map(|(_, (item, _))| item.clone())
            .collect())
    }
}

fn hash(tree: &Tree, store_dir: &str) -> Result<Item, SourceError> {
    let mut hashing = Hashing(Sha256Hasher::new());
    let nar_size = nar_dump::dump(&tree.path, &mut hashing)?;
    let nar_hash = hashing.0.finish();
    let store_path = StorePath::content_addressed(store_dir, &name(tree)?, &nar_hash, &[])
        .map_err(|_| SourceError::Tree {
            path: tree.path.clone(),
            reason: "a store item's name may hold only letters, digits and +-._?=, \
                     and its store directory must be a path like /gnu/store",
        })?;
    Ok(Item {
        store_path,
        nar_hash,
        nar_size,
        references: Vec::new(),
        deriver: None,
        system: None,
        ca: content_address(store_dir, &nar_hash),
        signatures: Vec::new(),
    })
}

/// Returns Nix's content-address assertion. Guix has none, and an unknown line would break its
/// signatures.
fn content_address(store_dir: &str, nar_hash: &Sha256) -> Option<String> {
    (store_dir != "/gnu/store").then(|| format!("fixed:r:{nar_hash}"))
}

fn name(tree: &Tree) -> Result<String, SourceError> {
    if let Some(name) = &tree.name {
        return Ok(name.clone());
    }
    // `.` and `..` have no last component: resolve them.
    let last = match tree.path.file_name() {
        Some(last) => Some(last.to_os_string()),
        None => std::fs::canonicalize(&tree.path)
            .map_err(|error| SourceError::io(&tree.path, &error))?
            .file_name()
            .map(Into::into),
    };
    last.and_then(|last| last.into_string().ok())
        .ok_or_else(|| SourceError::Tree {
            path: tree.path.clone(),
            reason: "its name is not UTF-8 or missing; rename it",
        })
}

/// Returns an absolute path, so that a later change of the working directory doesn't matter.
/// Symbolic links and a final `/` stay.
fn absolute(path: &Path) -> Result<PathBuf, SourceError> {
    std::path::absolute(path).map_err(|error| SourceError::io(path, &error))
}

struct Hashing(Sha256Hasher);

impl Write for Hashing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
