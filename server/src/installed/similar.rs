//! Finds installed items that are likely to share pieces with another one: other versions of the
//! same package, and rebuilds.

use super::{Candidate, Installed};
use interplanar_core::store_path::StorePath;
use std::sync::Arc;

/// Installed items that are compared with a wanted one.
const MAX_CANDIDATES: usize = 4;

impl Installed {
    /// Returns installed items of the same package. Those with the same name and version come
    /// first. Blocking.
    #[must_use]
    pub fn candidates(&self, wanted: &StorePath) -> Vec<Candidate> {
        let package = package_of(wanted.name());
        let Some(store) = self.stores.of(wanted) else {
            return Vec::new();
        };
        let found = store.named(package).unwrap_or_else(|error| {
            tracing::warn!(%error, "can't search the store");
            Vec::new()
        });
        let others = found.into_iter().filter(|item| {
            item.store_path != *wanted && package_of(item.store_path.name()) == package
        });
        let candidate = |item| Candidate {
            store: Arc::clone(&store),
            item,
        };
        let mut candidates: Vec<Candidate> = others.map(candidate).collect();
        // The sort is stable, so items that were registered later stay first.
        candidates.sort_by_key(|one| one.item.store_path.name() != wanted.name());
        candidates.truncate(MAX_CANDIDATES);
        candidates
    }
}

/// Returns the package name: the part before the version.
fn package_of(name: &str) -> &str {
    let version = name
        .match_indices('-')
        .find(|(at, _)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    version.map_or(name, |(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_names_without_versions() {
        for (name, expected) in [
            ("hello-2.12", "hello"),
            ("glib-2.82.1-bin", "glib"),
            ("python3-numpy-1.2", "python3-numpy"),
            ("tree", "tree"),
            ("a-b", "a-b"),
            ("-1", ""),
        ] {
            assert_eq!(package_of(name), expected);
        }
    }
}
