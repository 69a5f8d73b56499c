//! Entries: where a NAR can be had, and in which order they must stand so that no stock client breaks.

use super::Dialect;
use crate::hash::Sha256;
use alloc::string::String;
use alloc::vec::Vec;

/// How a NAR is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// lzip, Guix's own.
    Lzip,
    /// xz, Nix's default.
    Xz,
    /// bzip2, of old Nix caches.
    Bzip2,
    /// Brotli.
    Br,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Gzip,
        Self::Zstd,
        Self::Lzip,
        Self::Xz,
        Self::Bzip2,
        Self::Br,
    ];

    /// By the name in a narinfo or a URL.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// The name in a narinfo.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lzip => "lzip",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Br => "br",
        }
    }

    /// What stands behind `.nar` in a file's name: "", ".gz", ….
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Lzip => ".lz",
            Self::Xz => ".xz",
            Self::Bzip2 => ".bz2",
            Self::Br => ".br",
        }
    }
}

/// One place where the NAR can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Absolute, or relative to the cache's URL.
    pub url: String,
    /// How it is compressed there.
    pub compression: Compression,
    /// Compressed size in bytes.
    pub file_size: Option<u64>,
    /// SHA-256 of the compressed bytes.
    pub file_hash: Option<Sha256>,
}

impl Entry {
    /// The lines of the entry in the order of a dialect.
    pub(super) fn lines(&self, dialect: Dialect) -> String {
        let mut lines = alloc::format!(
            "URL: {}\nCompression: {}\n",
            self.url,
            self.compression.as_str()
        );
        if let (Dialect::Nix, Some(hash)) = (dialect, self.file_hash) {
            lines.push_str(&alloc::format!("FileHash: {hash}\n"));
        }
        if let Some(size) = self.file_size {
            lines.push_str(&alloc::format!("FileSize: {size}\n"));
        }
        lines
    }

    /// Whether its URL has the `ipfs:` scheme.
    #[must_use]
    pub fn is_ipfs(&self) -> bool {
        self.url
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("ipfs:"))
    }
}

/// Puts entries in an order in which every stock client installs.
///
/// - Guix takes the entry of least `FileSize`, of equal ones the first, and gives up at an `ipfs:` URL. So gateway entries go first (their
///   size is that of the HTTP entry of the same compression), HTTP entries next, `ipfs:` entries last; and an `ipfs:` entry without a
///   `FileSize`, or without an HTTP entry of the same compression and no larger size, is left out.
/// - Nix takes the last `URL`, and gives up at a scheme that it doesn't know. So `ipfs:` entries go first, then the gateways', and the HTTP
///   entries last; without an HTTP entry no `ipfs:` entry is there.
///
/// Source: design.md, measured on Guix 1.5.0 and Nix 2.34.8.
#[must_use]
pub fn order_entries(
    dialect: Dialect,
    http: Vec<Entry>,
    gateway: Vec<Entry>,
    mut ipfs: Vec<Entry>,
) -> Vec<Entry> {
    match dialect {
        Dialect::Guix => {
            let covered = |entry: &Entry, other: &Entry| {
                let smaller = other
                    .file_size
                    .zip(entry.file_size)
                    .is_some_and(|(other, size)| other <= size);
                other.compression == entry.compression && smaller
            };
            ipfs.retain(|entry| http.iter().any(|other| covered(entry, other)));
            let gateway = gateway
                .into_iter()
                .filter(|entry| http.iter().any(|other| covered(entry, other)));
            gateway.chain(http.iter().cloned()).chain(ipfs).collect()
        }
        Dialect::Nix => {
            if http.is_empty() {
                ipfs.clear();
            }
            ipfs.into_iter().chain(gateway).chain(http).collect()
        }
    }
}
