//! Narinfos: what a cache says of one store item, in the dialects of Guix and Nix.
//!
//! ```text
//! narinfo := (key ": " value "\n")*
//! Guix    := StorePath NarHash NarSize References [Deriver] [System] Signature (URL Compression [FileSize])+
//! Nix     := StorePath URL Compression [FileHash] [FileSize] NarHash NarSize References [Deriver] Sig* [CA]
//! ```
//! A `URL` opens an entry; the `Compression`, `FileSize` and `FileHash` behind it belong to it. Guix signs the bytes before the
//! `Signature` line; Nix signs a [fingerprint](NarInfo::fingerprint) of four fields.
//!
//! The text is kept as it came, so it is written back byte for byte, unknown fields included; [`NarInfo::set_entries`] changes only the
//! lines of the entries, so signatures stay valid. Restrictions: UTF-8, at most 1 MiB, 4096 entries and 65536 references; the fields
//! other than those of entries and `Sig` stand once.
//!
//! ```
//! use interplanar_core::narinfo::NarInfo;
//! let text = "StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree\nURL: nar/x.nar\nCompression: none\n\
//!     NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\nNarSize: 1272\nReferences: \n";
//! let info = NarInfo::parse(text.as_bytes()).unwrap();
//! assert_eq!(info.nar_size(), 1272);
//! assert_eq!(info.to_string(), text);
//! ```

mod draft;
mod entry;
mod read;
#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use entry::{Compression, Entry, order_entries};

use crate::hash::Sha256;
use crate::store_path::StorePath;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Longest narinfo, in bytes (design; the longest of real caches has some 60 KiB).
pub const MAX_NARINFO: usize = 1 << 20;
/// Most references of an item.
pub const MAX_REFERENCES: usize = 65_536;
/// Most entries of a narinfo.
pub const MAX_ENTRIES: usize = 4096;

/// Whose form a narinfo has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Signed by a `Signature` line, entries behind it.
    Guix,
    /// Signed by `Sig` lines.
    Nix,
}

/// Why a text is no narinfo. Lines are counted from 1.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// Longer than [`MAX_NARINFO`].
    #[error("narinfo of {0} bytes is too long")]
    TooLong(usize),
    /// Not UTF-8 at this byte.
    #[error("narinfo is not UTF-8 at byte {0}")]
    Utf8(usize),
    /// A line without `: `.
    #[error("line {line}: expected a key, a colon and a value")]
    Syntax {
        /// Which.
        line: usize,
    },
    /// A field whose value is malformed.
    #[error("line {line}: malformed {field}")]
    Value {
        /// Which.
        line: usize,
        /// The field's key.
        field: &'static str,
    },
    /// A field that may stand once stands again.
    #[error("line {line}: {field} for the second time")]
    Repeated {
        /// Which.
        line: usize,
        /// The field's key.
        field: &'static str,
    },
    /// A `Compression`, `FileSize` or `FileHash` without a `URL`, or no `URL` at all.
    #[error("no URL")]
    NoUrl,
    /// A field that must be there is not.
    #[error("no {field}")]
    Missing {
        /// The field's key.
        field: &'static str,
    },
    /// More than [`MAX_REFERENCES`] or [`MAX_ENTRIES`].
    #[error("too many of {field}")]
    TooMany {
        /// The field's key.
        field: &'static str,
    },
}

/// A narinfo: its text and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    text: String,
    store_path: StorePath,
    entries: Vec<Entry>,
    nar_hash: Sha256,
    nar_size: u64,
    references: Vec<String>,
    deriver: Option<String>,
    system: Option<String>,
    ca: Option<String>,
    signatures: Vec<String>,
    /// Where the value of the `Signature` line stands.
    guix_signature: Option<Range<usize>>,
    /// Where the `Signature` line starts.
    signed: Option<usize>,
}

impl NarInfo {
    /// Parses a narinfo of either dialect.
    ///
    /// # Errors
    /// [`NarInfoError`] with the line of the first fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, NarInfoError> {
        read::read(bytes)
    }

    /// The store item.
    #[must_use]
    pub fn store_path(&self) -> &StorePath {
        &self.store_path
    }

    /// Where the NAR can be had. Not covered by any signature.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// SHA-256 of the plain NAR.
    #[must_use]
    pub fn nar_hash(&self) -> Sha256 {
        self.nar_hash
    }

    /// Bytes of the plain NAR.
    #[must_use]
    pub fn nar_size(&self) -> u64 {
        self.nar_size
    }

    /// Base names of the store items that this one refers to.
    #[must_use]
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// Base name of the derivation that built it. Signed by Guix only.
    #[must_use]
    pub fn deriver(&self) -> Option<&str> {
        self.deriver.as_deref()
    }

    /// System that it was built for.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Content address, as Nix writes it.
    #[must_use]
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Values of the `Sig` lines.
    #[must_use]
    pub fn signatures(&self) -> &[String] {
        &self.signatures
    }

    /// Value of the `Signature` line.
    #[must_use]
    pub fn guix_signature(&self) -> Option<&str> {
        self.text.get(self.guix_signature.clone()?)
    }

    /// The bytes that the `Signature` line signs: all before it.
    #[must_use]
    pub fn signed_text(&self) -> Option<&str> {
        self.text.get(..self.signed?)
    }

    /// The text that `Sig` lines sign: `1;StorePath;NarHash;NarSize;` and the references as whole paths, sorted, with commas.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let directory = self.store_path.directory();
        let mut sorted: Vec<&str> = self.references.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let mut text = alloc::format!("1;{};{};{};", self.store_path, self.nar_hash, self.nar_size);
        for (index, reference) in sorted.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(directory);
            text.push('/');
            text.push_str(reference);
        }
        text
    }

    /// Whose form it has: Guix's when it has a `Signature` line, or none of either and Guix's store directory.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        let guix_store = self.signatures.is_empty() && self.store_path.directory() == "/gnu/store";
        if self.signed.is_some() || guix_store {
            Dialect::Guix
        } else {
            Dialect::Nix
        }
    }

    /// The value of a field that is not known here, the first of its key.
    #[must_use]
    pub fn extra(&self, key: &str) -> Option<&str> {
        read::lines(&self.text)
            .filter_map(|line| read::split(line.text))
            .find_map(|(other, value)| (other == key && !read::is_known(key)).then_some(value))
    }

    /// Replaces the entries. All other lines stay as they are: in a signed Guix narinfo the new ones stand behind the `Signature`
    /// line (entries before it are signed, and stay), in others where the first entry stood.
    pub fn set_entries(&mut self, entries: Vec<Entry>) {
        let mut text = String::with_capacity(self.text.len());
        let from = self.signed.unwrap_or(0);
        let mut kept = Vec::new();
        let mut place = None;
        for line in read::lines(&self.text) {
            if line.start >= from && read::is_entry(line.text) {
                place = place.or(Some(text.len()));
                continue;
            }
            text.push_str(line.text);
            text.push('\n');
            if line.start >= from && self.signed.is_some() && place.is_none() {
                // Right behind the signature.
                place = Some(text.len());
            }
        }
        if let Some(signed) = self.signed {
            kept = read::entries_of(self.text.get(..signed).unwrap_or_default());
        }
        let lines: String = entries
            .iter()
            .map(|entry| entry.lines(self.dialect()))
            .collect();
        text.insert_str(place.unwrap_or(text.len()), &lines);
        self.text = text;
        kept.extend(entries);
        self.entries = kept;
    }
}

/// The text, byte for byte.
impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
