//! A narinfo that a trusted key signed, and the form of it that the proxy's clients get.
//!
//! Clients get what is signed, its signature, and one entry in place of all others: `nar/<hash
//! part>-<NarHash>.nar`, not compressed, of NarSize bytes. The path contains the whole NarHash. A
//! client that keeps a narinfo longer than the proxy does therefore never gets another NAR.
//!
//! | line of the upstream's narinfo | Guix's dialect | Nix's dialect |
//! |---|---|---|
//! | above `Signature` | all, byte for byte | |
//! | `Signature` | kept | dropped: the proxy did not check it |
//! | StorePath, NarHash, NarSize, References | see above | kept: the fingerprint |
//! | `Sig` | dropped below `Signature` | kept |
//! | `Deriver`, `CA` | dropped below `Signature`: a client would take them for signed | kept: every Nix client knows them as unsigned |
//! | `ChunkIndex`, `SmallPieces`, `Tree` | kept below `Signature`, where stock clients ignore them | kept |
//! | `URL`, `Compression`, `FileSize`, `FileHash` | replaced below `Signature` | replaced |
//! | others | dropped below `Signature` | dropped |
//!
//! The dialect is that of the signature which a trusted key made.

#[cfg(test)]
mod tests;

use super::join;
use crate::dedup;
use crate::hash::Sha256;
use crate::narinfo::{Compression, Dialect, Draft, Entry, NarInfo, NarInfoError};
use crate::trust::{Hints, Signed, TrustError, TrustedKeys};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;

/// Length of the hash part of a store path, in characters.
const HASH_PART: usize = 32;

/// The hints that clients of this project use. Stock clients ignore these fields.
const CLIENT_HINTS: [&str; 3] = [dedup::FIELD, dedup::SMALL_FIELD, dedup::TREE_FIELD];

/// A narinfo that a trusted key signed, and the form of it that clients get.
#[derive(Debug, Clone)]
pub struct Known {
    /// What the signature proves.
    pub signed: Signed,
    /// The rest of the narinfo as the upstream sent it.
    pub hints: Hints,
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
    /// The item belongs to another store directory than the cache.
    #[error("the narinfo describes an item of another store directory than that of its cache")]
    OtherStore,
}

/// The item that a narinfo must describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Hash part of its store path.
    pub hash_part: &'a str,
    /// Its store directory: that of the cache, if it is known.
    pub store_dir: Option<&'a str>,
}

impl Known {
    /// Accepts what `upstream` sent, if a trusted key signed it and it describes the expected item.
    ///
    /// # Errors
    /// [`Disbelief`] if the narinfo is malformed, not signed by a trusted key, about another item,
    /// or for another store directory.
    pub fn believe(
        body: &[u8],
        expected: Expected<'_>,
        upstream: &str,
        keys: &TrustedKeys,
    ) -> Result<Self, Disbelief> {
        let narinfo = NarInfo::parse(body)?;
        let signed = keys.verify(&narinfo)?;
        if signed.store_path().hash_part() != expected.hash_part {
            return Err(Disbelief::OtherItem);
        }
        let directory = expected.store_dir.map(|path| path.trim_end_matches('/'));
        if directory.is_some_and(|directory| signed.store_path().directory() != directory) {
            return Err(Disbelief::OtherStore);
        }
        let hints = Hints::new(narinfo);
        let rewritten = rewrite(&signed, &hints)?;
        Ok(Self {
            signed,
            hints,
            upstream: upstream.to_string(),
            rewritten,
        })
    }

    /// Returns the base name of the derivation that built the item, as clients get it: in Guix's
    /// dialect only if it is signed, in Nix's dialect as a hint.
    #[must_use]
    pub fn deriver(&self) -> Option<&str> {
        deriver(&self.signed, &self.hints)
    }
}

fn deriver<'a>(signed: &'a Signed, hints: &'a Hints) -> Option<&'a str> {
    match signed.dialect() {
        Dialect::Guix => signed.deriver(),
        Dialect::Nix => hints.deriver(),
    }
}

/// Returns the narinfo with one uncompressed entry that points to the proxy.
fn rewrite(signed: &Signed, hints: &Hints) -> Result<Bytes, NarInfoError> {
    let entry = Entry {
        url: nar_path(signed.store_path().hash_part(), &signed.nar_hash()),
        compression: Compression::None,
        file_size: Some(signed.nar_size()),
        file_hash: None,
    };
    for_clients(signed, hints, vec![entry])
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
    let entries: Vec<Entry> = known.hints.entries().iter().filter_map(absolute).collect();
    if entries.is_empty() {
        return None;
    }
    for_clients(&known.signed, &known.hints, entries).ok()
}

/// Writes what clients get, with these entries. The module says what happens to each line.
fn for_clients(signed: &Signed, hints: &Hints, entries: Vec<Entry>) -> Result<Bytes, NarInfoError> {
    let narinfo = hints.narinfo();
    let extra = CLIENT_HINTS.into_iter();
    let extra = extra.filter_map(|key| Some((key, hints.extra(key)?.to_string())));
    if let (Dialect::Guix, Some((text, signature))) = (
        signed.dialect(),
        narinfo.signed_text().zip(narinfo.guix_signature()),
    ) {
        let mut text = format!("{text}Signature: {signature}\n");
        for entry in &entries {
            text.push_str(&entry.lines(Dialect::Guix));
        }
        for (key, value) in extra {
            text.push_str(&format!("{key}: {value}\n"));
        }
        return Ok(text.into());
    }
    let draft = Draft {
        store_path: signed.store_path().clone(),
        entries,
        nar_hash: signed.nar_hash(),
        nar_size: signed.nar_size(),
        references: signed.references().to_vec(),
        deriver: deriver(signed, hints).map(ToString::to_string),
        system: None,
        ca: narinfo.ca().map(ToString::to_string),
        signatures: narinfo.signatures().to_vec(),
        extra: extra.collect(),
    };
    Ok(draft.unsigned(Dialect::Nix)?.to_string().into())
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
