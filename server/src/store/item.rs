//! The data that a source has about a store item.

use std::fs::File;
use std::path::PathBuf;

use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, Entry, NarInfo};
use interplanar_core::store_path::StorePath;

/// A valid store item, with all data for a narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its logical path, `/gnu/store/…` or `/nix/store/…`, without the root.
    pub store_path: StorePath,
    /// SHA-256 of its plain NAR.
    pub nar_hash: Sha256,
    /// Bytes of its plain NAR.
    pub nar_size: u64,
    /// Base names of its references, sorted bytewise. Can contain the item itself.
    pub references: Vec<String>,
    /// Base name of the derivation that built it.
    pub deriver: Option<String>,
    /// System that it was built for, read from the derivation if that still exists. (Guix 1.5
    /// no longer writes it in narinfos.)
    pub system: Option<String>,
    /// Nix's content-address assertion, `fixed:r:sha256:…`.
    pub ca: Option<String>,
    /// Nix signatures of the item, each `name:base64`.
    pub signatures: Vec<String>,
}

/// The data about an item in [`super::Source::briefs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// The position in the order of registration; later items have larger numbers.
    pub order: i64,
    /// As in [`Item`].
    pub store_path: StorePath,
    /// As in [`Item`].
    pub nar_hash: Sha256,
    /// As in [`Item`].
    pub nar_size: u64,
    /// When it was registered, in seconds since 1970; 0 if unknown.
    pub registered: u64,
}

/// A value that changes when items are added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(pub(super) i64, pub(super) i64);

/// An open build log.
#[derive(Debug)]
pub struct Log {
    /// The file, at its start.
    pub file: File,
    /// The path of the file.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// The compression of the file: `None`, `Gzip` or `Bzip2`.
    pub compression: Compression,
}

/// The narinfo and the compressed files that a binary cache has for an item.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The narinfo as found; `Display` returns the same bytes. It isn't verified: it is the
    /// operator's own.
    pub narinfo: NarInfo,
    /// The entries whose files exist, in the narinfo's order.
    pub files: Vec<PreparedFile>,
    /// The `.ls` listing, if the cache has one.
    pub listing: Option<PathBuf>,
}

/// One compressed NAR of a binary cache.
#[derive(Debug, Clone)]
pub struct PreparedFile {
    /// The narinfo's entry; its `url` is relative to the cache.
    pub entry: Entry,
    /// The file, symbolic links resolved; it lies inside the cache's folder.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
}
