//! Maps logical store paths to files under a root.

use std::path::{Path, PathBuf};

/// The root folder of a system; `/` for this machine.
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

/// Returns whether a string has the form of a hash part: 32 characters of Nix's base-32 alphabet.
pub(super) fn is_hash_part(part: &str) -> bool {
    part.len() == 32
        && part
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !b"eotu".contains(&byte))
}
