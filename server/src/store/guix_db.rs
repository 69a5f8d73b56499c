//! The store of guix-daemon: `<root>/gnu/store` with `<root>/var/guix/db/db.sqlite`.
//!
//! ```no_run
//! use interplanar_server::store::{Source, guix_db};
//!
//! let store = guix_db::open("/".as_ref())?;
//! let item = store.find("agkhnj5wmbrb40rigsyf6ynkdi22d89g")?;
//! # Ok::<(), interplanar_server::store::SourceError>(())
//! ```

use std::path::Path;

use super::SourceError;
use super::registered::{Layout, RegisteredStore};

static LAYOUT: Layout = Layout {
    database: "/var/guix/db/db.sqlite",
    logs: "/var/log/guix",
    store_dir: "/gnu/store",
    has_signatures: false,
};

/// Opens the Guix store under `root`.
pub fn open(root: &Path) -> Result<RegisteredStore, SourceError> {
    RegisteredStore::open(root, &LAYOUT)
}

/// Returns whether there is a Guix database under `root`.
pub(super) fn is_under(root: &Path) -> bool {
    LAYOUT.is_under(root)
}
