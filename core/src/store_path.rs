//! Store paths: `<store directory>/<32 base-32 digits>-<name>`.
//!
//! ```text
//! name := 1–211 of [0-9a-zA-Z+-._?=], not starting with "."
//! ```
//! Any absolute store directory is accepted. Source: path.cc in Nix's libstore. Guix has the same
//! rules, except that it allows a leading dot.
//!
//! ```
//! use interplanar_core::store_path::StorePath;
//! let path = StorePath::parse("/gnu/store/zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r-hello.txt").unwrap();
//! assert_eq!(path.directory(), "/gnu/store");
//! assert_eq!(path.hash_part(), "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r");
//! assert_eq!(path.name(), "hello.txt");
//! ```

use crate::hash::Sha256;
use crate::nix_base32;
use alloc::string::String;
use core::fmt;

/// Number of digits in the hash part.
pub const HASH_PART: usize = 32;
/// Longest name, in bytes (Nix).
pub const MAX_NAME: usize = 211;
/// Longest store path that is accepted, in bytes (the kernel's `PATH_MAX`).
pub const MAX_PATH: usize = 4096;

/// Why a text is not a store path.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// The store directory is not absolute, or one of its parts is empty, `.` or `..`.
    #[error("expected an absolute store directory")]
    Directory,
    /// The base name doesn't start with 32 Nix base-32 digits and a dash.
    #[error("expected 32 base-32 digits and a dash after the store directory")]
    Hash,
    /// The name is empty, longer than [`MAX_NAME`] or starts with a dot.
    #[error("the name of a store item must have 1 to 211 characters and no leading dot")]
    Name,
    /// The name holds a character that is not allowed, at this byte.
    #[error("character not allowed in the name of a store item, at byte {0}")]
    Character(usize),
    /// The path is longer than [`MAX_PATH`].
    #[error("store path of {0} bytes is too long (at most 4096)")]
    TooLong(usize),
}

/// A store path with checked parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    text: String,
    /// Byte at which the base name starts.
    base: usize,
}

impl StorePath {
    /// Parses a whole store path. The store directory is everything before the last slash.
    ///
    /// # Errors
    /// [`StorePathError`] for the first part that is malformed.
    pub fn parse(text: &str) -> Result<Self, StorePathError> {
        let (directory, base_name) = text.rsplit_once('/').ok_or(StorePathError::Directory)?;
        Self::in_directory(directory, base_name)
    }

    /// Joins a store directory and a base name.
    ///
    /// # Errors
    /// As [`StorePath::parse`].
    pub fn in_directory(directory: &str, base_name: &str) -> Result<Self, StorePathError> {
        let length = directory
            .len()
            .saturating_add(base_name.len())
            .saturating_add(1);
        if length > MAX_PATH {
            return Err(StorePathError::TooLong(length));
        }
        check_directory(directory)?;
        let (hash, rest) = base_name
            .split_at_checked(HASH_PART)
            .ok_or(StorePathError::Hash)?;
        if !hash
            .bytes()
            .all(|digit| nix_base32::ALPHABET.contains(&digit))
        {
            return Err(StorePathError::Hash);
        }
        check_name(rest.strip_prefix('-').ok_or(StorePathError::Hash)?)?;
        let base = directory.len().saturating_add(1);
        Ok(Self {
            text: alloc::format!("{directory}/{base_name}"),
            base,
        })
    }

    /// Computes the store path of content that is added unchanged, as `nix-store --add` and Guix's
    /// `add-to-store` (recursive, SHA-256) do.
    ///
    /// # Errors
    /// As [`StorePath::parse`], for the directory and the name.
    pub fn content_addressed(
        directory: &str,
        name: &str,
        nar_hash: &Sha256,
        references: &[Self],
    ) -> Result<Self, StorePathError> {
        check_directory(directory)?;
        check_name(name)?;
        let mut prefix = String::from("source");
        let mut sorted: alloc::vec::Vec<&Self> = references.iter().collect();
        sorted.sort();
        for reference in sorted {
            prefix.push(':');
            prefix.push_str(reference.as_str());
        }
        let inner = alloc::format!("{prefix}:sha256:{}:{directory}:{name}", nar_hash.to_hex());
        let digest = Sha256::of(inner.as_bytes());
        // The digest is folded to 20 bytes with XOR.
        let mut folded = [0_u8; 20];
        for (byte, index) in digest.as_bytes().iter().zip((0..20).cycle()) {
            if let Some(slot) = folded.get_mut::<usize>(index) {
                *slot ^= byte;
            }
        }
        Self::in_directory(
            directory,
            &alloc::format!("{}-{name}", nix_base32::encode(&folded)),
        )
    }

    /// Returns the whole path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the store directory, such as `/gnu/store`.
    #[must_use]
    pub fn directory(&self) -> &str {
        self.text
            .get(..self.base.saturating_sub(1))
            .unwrap_or_default()
    }

    /// Returns the hash part, the dash and the name.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.text.get(self.base..).unwrap_or_default()
    }

    /// Returns the 32 digits of the hash part.
    #[must_use]
    pub fn hash_part(&self) -> &str {
        self.base_name().get(..HASH_PART).unwrap_or_default()
    }

    /// Returns the name: everything after the dash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.base_name()
            .get(HASH_PART.saturating_add(1)..)
            .unwrap_or_default()
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_directory(directory: &str) -> Result<(), StorePathError> {
    let parts = directory
        .strip_prefix('/')
        .ok_or(StorePathError::Directory)?;
    let valid = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\n', '\0']);
    if parts.split('/').all(valid) {
        Ok(())
    } else {
        Err(StorePathError::Directory)
    }
}

fn check_name(name: &str) -> Result<(), StorePathError> {
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') {
        return Err(StorePathError::Name);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
    match name.bytes().position(|byte| !allowed(byte)) {
        Some(at) => Err(StorePathError::Character(at)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r";

    #[test]
    fn any_store_directory_is_accepted() {
        for directory in ["/gnu/store", "/nix/store", "/home/me/store"] {
            let text = std::format!("{directory}/{HASH}-x_1.0+b?=");
            let path = StorePath::parse(&text).unwrap();
            assert_eq!(
                (path.directory(), path.as_str()),
                (directory, text.as_str())
            );
        }
    }

    #[test]
    fn malformed_paths_give_exact_errors() {
        let parse = |text: &str| StorePath::parse(&text.replace('#', HASH)).unwrap_err();
        assert_eq!(parse("#-x"), StorePathError::Directory);
        assert_eq!(parse("gnu/#-x"), StorePathError::Directory);
        assert_eq!(parse("/gnu//store/#-x"), StorePathError::Directory);
        assert_eq!(parse("/gnu/../#-x"), StorePathError::Directory);
        assert_eq!(parse("/gnu/store/#x"), StorePathError::Hash);
        assert_eq!(parse("/gnu/store/e#-x"), StorePathError::Hash);
        assert_eq!(parse("/gnu/store/ż"), StorePathError::Hash);
        assert_eq!(parse("/gnu/store/#-"), StorePathError::Name);
        assert_eq!(parse("/gnu/store/#-.x"), StorePathError::Name);
        assert_eq!(parse("/gnu/store/#-a b"), StorePathError::Character(1));
    }

    /// The paths that `nix copy` (`CA: fixed:r:sha256:…`) and Guix gave to the same NAR.
    #[test]
    fn content_addressed_paths_equal_those_of_nix_and_guix() {
        let hash =
            Sha256::parse("sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww").unwrap();
        let of = |directory| StorePath::content_addressed(directory, "tree", &hash, &[]).unwrap();
        assert_eq!(
            of("/nix/store").as_str(),
            "/nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree"
        );
        assert_eq!(
            of("/gnu/store").as_str(),
            "/gnu/store/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree"
        );
    }
}
