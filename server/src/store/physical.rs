//! From logical store paths to files under a root.

use std::path::{Path, PathBuf};

/// The folder that all logical paths of a store lie under; `/` for the machine's own store.
#[derive(Debug, Clone)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(root: &Path) -> Self {
        Self(root.to_path_buf())
    }

    /// `/gnu/store/…` → `<root>/gnu/store/…`.
    pub(super) fn path(&self, logical: &str) -> PathBuf {
        self.0.join(logical.trim_start_matches('/'))
    }
}

/// Whether a string has the form of a store path's hash part: 32 characters of Nix's base-32 alphabet.
pub(super) fn is_hash_part(part: &str) -> bool {
    part.len() == 32
        && part
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !b"eotu".contains(&byte))
}
