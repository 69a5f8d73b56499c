//! A narinfo that the proxy believes, and the same as its clients see it.
//!
//! Clients get the signed lines as they are and one entry in place of all others: `nar/<hash part>-<NarHash>.nar`, not
//! compressed, of NarSize bytes. The address holds the whole NarHash, so that a narinfo that a client keeps longer than the
//! proxy never leads to another NAR.

use bytes::Bytes;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, Entry, NarInfo};
use interplanar_core::trust::Verified;
use url::Url;

/// Length of the hash part of a store path's name, in characters.
const HASH_PART: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Known {
    /// As the upstream gave it.
    pub(super) narinfo: Verified<NarInfo>,
    /// The cache that gave it; its relative URLs stand on this.
    pub(super) upstream: Url,
    /// As clients get it.
    pub(super) rewritten: Bytes,
}

impl Known {
    pub(super) fn new(narinfo: Verified<NarInfo>, upstream: Url) -> Self {
        let rewritten = rewrite(&narinfo);
        Self {
            narinfo,
            upstream,
            rewritten,
        }
    }
}

/// The narinfo with one plain entry that leads to the proxy; everything signed stays.
pub(super) fn rewrite(narinfo: &NarInfo) -> Bytes {
    let mut rewritten = narinfo.clone();
    let url = nar_path(narinfo.store_path().hash_part(), &narinfo.nar_hash());
    let file_size = Some(narinfo.nar_size());
    rewritten.set_entries(vec![Entry {
        url,
        compression: Compression::None,
        file_size,
        file_hash: None,
    }]);
    rewritten.to_string().into()
}

/// The path of a NAR, relative to the proxy's root.
pub(super) fn nar_path(hash_part: &str, nar_hash: &Sha256) -> String {
    format!("nar/{hash_part}-{}.nar", nar_hash.to_nix32())
}

/// The hash part and the NarHash of a path as [`nar_path`] writes it, less its `nar/`.
pub(super) fn parse_nar_name(name: &str) -> Option<(&str, Sha256)> {
    let (hash_part, nar_hash) = name.strip_suffix(".nar")?.split_once('-')?;
    Some((
        hash_part,
        Sha256::parse(&format!("sha256:{nar_hash}")).ok()?,
    ))
    .filter(|_| is_hash_part(hash_part))
}

/// Whether `text` can be the hash part of a store path: 32 characters of Nix's base32.
pub(super) fn is_hash_part(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z');
    text.len() == HASH_PART && text.bytes().all(digit)
}
