//! The store of nix-daemon: `<root>/nix/store` with `<root>/nix/var/nix/db/db.sqlite`, also a single user's and `nix --store DIR`'s.
//!
//! ```no_run
//! use interplanar_server::store::{Source, nix_db};
//!
//! let store = nix_db::open("/".as_ref())?;
//! let item = store.find("bnfap3gvj3v0k345a5zkxwyd38m1f2s5")?;
//! # Ok::<(), interplanar_server::store::SourceError>(())
//! ```

use std::path::Path;

use super::SourceError;
use super::registered::{Layout, RegisteredStore};

static LAYOUT: Layout = Layout {
    database: "/nix/var/nix/db/db.sqlite",
    logs: "/nix/var/log/nix",
    store_dir: "/nix/store",
    has_signatures: true,
};

/// Opens the Nix store under `root`.
pub fn open(root: &Path) -> Result<RegisteredStore, SourceError> {
    RegisteredStore::open(root, &LAYOUT)
}

/// Whether the database of a Nix store is under `root`.
pub(super) fn is_under(root: &Path) -> bool {
    LAYOUT.is_under(root)
}
