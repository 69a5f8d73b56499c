//! Entries: where a NAR can be downloaded, and the order of entries that no stock client fails on.

use super::Dialect;
use crate::hash::Sha256;
use alloc::string::String;
use alloc::vec::Vec;

/// How a NAR is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// No compression.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// lzip, Guix's default.
    Lzip,
    /// xz, Nix's default.
    Xz,
    /// bzip2, used by old Nix caches.
    Bzip2,
    /// Brotli.
    Br,
}

impl Compression {
    /// All methods.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Gzip,
        Self::Zstd,
        Self::Lzip,
        Self::Xz,
        Self::Bzip2,
        Self::Br,
    ];

    /// Finds a method by its name in a narinfo or a URL.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// Returns the name that narinfos use.
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

    /// Returns the file name extension after `.nar`: an empty string, `.gz`, ….
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

/// One way to download the NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// An absolute URL, or one relative to the URL of the cache.
    pub url: String,
    /// How the NAR is compressed at this URL.
    pub compression: Compression,
    /// Compressed size in bytes.
    pub file_size: Option<u64>,
    /// SHA-256 of the compressed bytes.
    pub file_hash: Option<Sha256>,
}

impl Entry {
    /// Returns the lines of the entry, in the order of a dialect.
    pub(crate) fn lines(&self, dialect: Dialect) -> String {
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

    /// Returns whether the URL has the `ipfs:` scheme.
    #[must_use]
    pub fn is_ipfs(&self) -> bool {
        self.url
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("ipfs:"))
    }
}

/// Puts entries in an order with which every stock client installs the item.
///
/// - Guix takes the entry with the least `FileSize`; of equal sizes it takes the first. It fails at
///   an `ipfs:` URL. So gateway entries come first: their size is that of the HTTP entry with the
///   same compression. Then come HTTP entries, and `ipfs:` entries last. An `ipfs:` entry is left
///   out unless it has a `FileSize` and an HTTP entry with the same compression is no larger.
/// - Nix takes the last `URL`, and fails at a scheme that it doesn't know. So `ipfs:` entries come
///   first, then gateway entries, and HTTP entries last. Without an HTTP entry, `ipfs:` entries are
///   left out.
///
/// Source: docs/design.md, measured on Guix 1.5.0 and Nix 2.34.8.
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
