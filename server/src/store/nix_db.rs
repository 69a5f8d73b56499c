//! The store of nix-daemon, of a single user, or of `nix --store DIR`: `<root>/nix/store` with
//! `<root>/nix/var/nix/db/db.sqlite`.
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

/// Returns whether there is a Nix database under `root`.
pub(super) fn is_under(root: &Path) -> bool {
    LAYOUT.is_under(root)
}
