//! A narinfo that a trusted key signed, and the form of it that the proxy's clients get.
//!
//! Clients get the signed lines unchanged and one entry in place of all others: `nar/<hash
//! part>-<NarHash>.nar`, not compressed, of NarSize bytes. The path contains the whole NarHash. A
//! client that keeps a narinfo longer than the proxy does therefore never gets another NAR.

use super::join;
use crate::hash::Sha256;
use crate::narinfo::{Compression, Entry, NarInfo, NarInfoError};
use crate::trust::{TrustError, TrustedKeys, Unverified, Verified};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;

/// Length of the hash part of a store path, in characters.
const HASH_PART: usize = 32;

/// A narinfo that a trusted key signed, and the form of it that clients get.
#[derive(Debug, Clone)]
pub struct Known {
    /// The narinfo as the upstream sent it.
    pub narinfo: Verified<NarInfo>,
    /// URL of the cache that sent it. The narinfo's relative URLs are resolved against it.
    pub upstream: String,
    /// The narinfo as clients get it.
    pub rewritten: Bytes,
}

/// Why a narinfo is rejected.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// The text is not a narinfo.
    #[error(transparent)]
    Malformed(#[from] NarInfoError),
    /// No trusted key signed it.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// The narinfo describes another store item.
    #[error("the narinfo describes another store item")]
    OtherItem,
}

impl Known {
    /// Accepts what `upstream` sent about the store item `hash_part`, if a trusted key signed it.
    ///
    /// # Errors
    /// [`Disbelief`] if the narinfo is malformed, not signed by a trusted key, or about another
    /// item.
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

/// Returns the narinfo with one uncompressed entry that points to the proxy. All signed lines stay.
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

/// Returns the narinfo with only its http and https entries, as absolute URLs, for a proxy that
/// leaves the NAR to the upstream. Returns `None` if there is no such entry.
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

/// Returns the path of a NAR, relative to the proxy's root.
#[must_use]
pub fn nar_path(hash_part: &str, nar_hash: &Sha256) -> String {
    format!("nar/{hash_part}-{}.nar", nar_hash.to_nix32())
}

/// Parses a path that [`nar_path`] wrote, without its `nar/`, into the hash part and the NarHash.
#[must_use]
pub fn parse_nar_name(name: &str) -> Option<(&str, Sha256)> {
    let (hash_part, nar_hash) = name.strip_suffix(".nar")?.split_once('-')?;
    let nar_hash = Sha256::parse(&format!("sha256:{nar_hash}")).ok()?;
    Some((hash_part, nar_hash)).filter(|_| is_hash_part(hash_part))
}

/// Whether `text` can be the hash part of a store path: 32 characters of Nix's base-32.
#[must_use]
pub fn is_hash_part(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z');
    text.len() == HASH_PART && text.bytes().all(digit)
}
