//! A narinfo that is believed, and the same as clients see it.
//!
//! Clients get the signed lines as they are and one entry in place of all others: `nar/<hash part>-<NarHash>.nar`, not
//! compressed, of NarSize bytes. The address holds the whole NarHash, so that a narinfo that a client keeps longer than the
//! proxy never leads to another NAR.

use super::join;
use crate::hash::Sha256;
use crate::narinfo::{Compression, Entry, NarInfo, NarInfoError};
use crate::trust::{TrustError, TrustedKeys, Unverified, Verified};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;

/// Length of the hash part of a store path's name, in characters.
const HASH_PART: usize = 32;

/// See the module.
#[derive(Debug, Clone)]
pub struct Known {
    /// As the upstream gave it.
    pub narinfo: Verified<NarInfo>,
    /// The URL of the cache that gave it; its relative URLs stand on this.
    pub upstream: String,
    /// As clients get it.
    pub rewritten: Bytes,
}

/// Why a narinfo is as good as none.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// It is none.
    #[error(transparent)]
    Malformed(#[from] NarInfoError),
    /// No trusted key signed it.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// It says of another store item.
    #[error("it is the narinfo of another store item")]
    OtherItem,
}

impl Known {
    /// Believes what `upstream` says of the store item `hash_part` if a trusted key signed it.
    ///
    /// # Errors
    /// [`Disbelief`].
    pub fn believe(
        body: &[u8],
        hash_part: &str,
        upstream: &str,
        keys: &TrustedKeys,
    ) -> Result<Self, Disbelief> {
        let narinfo = keys.verify(Unverified::new(NarInfo::parse(body)?))?;
        if narinfo.store_path().hash_part() != hash_part {
            return Err(Disbelief::OtherItem);
        }
        let rewritten = rewrite(&narinfo);
        Ok(Self {
            narinfo,
            upstream: upstream.to_string(),
            rewritten,
        })
    }
}

/// The narinfo with one plain entry that leads to the proxy; everything signed stays.
#[must_use]
pub fn rewrite(narinfo: &NarInfo) -> Bytes {
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

/// The narinfo with its entries of http and https only, their URLs whole: for a proxy that leaves the NAR to the upstream. `None`
/// where there is no such entry.
#[must_use]
pub fn redirect(known: &Known) -> Option<Bytes> {
    let absolute = |entry: &Entry| {
        let url = join(&known.upstream, &entry.url)?;
        Some(Entry {
            url,
            ..entry.clone()
        })
    };
    let entries: Vec<Entry> = known
        .narinfo
        .entries()
        .iter()
        .filter_map(absolute)
        .collect();
    if entries.is_empty() {
        return None;
    }
    let mut redirected = NarInfo::clone(&known.narinfo);
    redirected.set_entries(entries);
    Some(redirected.to_string().into())
}

/// The path of a NAR, relative to the proxy's root.
#[must_use]
pub fn nar_path(hash_part: &str, nar_hash: &Sha256) -> String {
    format!("nar/{hash_part}-{}.nar", nar_hash.to_nix32())
}

/// The hash part and the NarHash of a path as [`nar_path`] writes it, less its `nar/`.
#[must_use]
pub fn parse_nar_name(name: &str) -> Option<(&str, Sha256)> {
    let (hash_part, nar_hash) = name.strip_suffix(".nar")?.split_once('-')?;
    let nar_hash = Sha256::parse(&format!("sha256:{nar_hash}")).ok()?;
    Some((hash_part, nar_hash)).filter(|_| is_hash_part(hash_part))
}

/// Whether `text` can be the hash part of a store path: 32 characters of Nix's base32.
#[must_use]
pub fn is_hash_part(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z');
    text.len() == HASH_PART && text.bytes().all(digit)
}
