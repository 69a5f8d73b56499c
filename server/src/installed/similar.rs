//! Items that are likely to have the pieces of another one: other versions of the same package, and rebuilds.

use super::{Candidate, Installed};
use interplanar_core::store_path::StorePath;
use std::sync::Arc;

/// Items that are looked at for one that is wanted.
const MAX_CANDIDATES: usize = 4;

impl Installed {
    /// Installed items of the same package, those of the very same name first. Blocks.
    #[must_use]
    pub fn candidates(&self, wanted: &StorePath) -> Vec<Candidate> {
        let package = package_of(wanted.name());
        let Some(store) = self.stores.of(wanted) else {
            return Vec::new();
        };
        let found = store.named(package).unwrap_or_else(|error| {
            tracing::warn!(%error, "the store can't be searched");
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
        // A stable sort: what was registered last stays first.
        candidates.sort_by_key(|one| one.item.store_path.name() != wanted.name());
        candidates.truncate(MAX_CANDIDATES);
        candidates
    }
}

/// The package of a name: what stands before the version.
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
