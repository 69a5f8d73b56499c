//! What a source tells about one store item.

use std::fs::File;
use std::path::PathBuf;

use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, Entry, NarInfo};
use interplanar_core::store_path::StorePath;

/// A valid store item: everything that a narinfo says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its logical path, `/gnu/store/…` or `/nix/store/…`, whatever the root.
    pub store_path: StorePath,
    /// SHA-256 of its plain NAR.
    pub nar_hash: Sha256,
    /// Length of its plain NAR in bytes.
    pub nar_size: u64,
    /// Base names of the items that it refers to, sorted bytewise, itself included if it does.
    pub references: Vec<String>,
    /// Base name of the derivation that built it.
    pub deriver: Option<String>,
    /// System that it was built for, read from the derivation while that exists (Guix 1.5 no longer says it in narinfos).
    pub system: Option<String>,
    /// Nix's content-address assertion, `fixed:r:sha256:…`.
    pub ca: Option<String>,
    /// Nix signatures that it came with, each `name:base64`.
    pub signatures: Vec<String>,
}

/// What a list of all items tells about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Where it stands in the order of registration; what was registered later has more.
    pub order: i64,
    /// As in [`Item`].
    pub store_path: StorePath,
    /// As in [`Item`].
    pub nar_hash: Sha256,
    /// As in [`Item`].
    pub nar_size: u64,
    /// When it was registered, in seconds since 1970; 0 where that isn't known.
    pub registered: u64,
}

/// Something that is another whenever items have come or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(pub(super) i64, pub(super) i64);

/// A build log, opened; how it is served is the publisher's affair.
#[derive(Debug)]
pub struct Log {
    /// The file, at its start.
    pub file: File,
    /// Where it was found.
    pub path: PathBuf,
    /// Its length in bytes, as stored.
    pub size: u64,
    /// How it is stored: `None`, `Gzip` or `Bzip2`.
    pub compression: Compression,
}

/// What a binary cache has ready for an item: its narinfo, signatures and all, and the compressed files.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The narinfo, exactly as found (`Display` gives its bytes back). It isn't verified: it is the operator's own.
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
    /// Its length in bytes.
    pub size: u64,
}
