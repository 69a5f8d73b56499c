//! Narinfos: the text in which a cache describes one store item, in the dialects of Guix and Nix.
//!
//! ```text
//! narinfo := (key ": " value "\n")*
//! Guix    := StorePath NarHash NarSize References [Deriver] [System] Signature
//!            (URL Compression [FileSize])+
//! Nix     := StorePath URL Compression [FileHash] [FileSize] NarHash NarSize References
//!            [Deriver] Sig* [CA]
//! ```
//! A `URL` starts an entry. The `Compression`, `FileSize` and `FileHash` after it belong to that
//! entry. Guix signs the bytes before the `Signature` line. Nix signs a
//! [fingerprint](NarInfo::fingerprint) of four fields.
//!
//! [`NarInfo`] keeps the text as it was read, so it writes the same bytes back, unknown fields
//! included. [`NarInfo::set_entries`] changes only the lines of the entries, so signatures stay
//! valid.
//!
//! Restrictions: UTF-8; at most 1 MiB, 4096 entries and 65536 references. Each field occurs once,
//! except those of entries and `Sig`.
//!
//! ```
//! use interplanar_core::narinfo::NarInfo;
//! let text = "StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree\n\
//!     URL: nar/x.nar\nCompression: none\n\
//!     NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n\
//!     NarSize: 1272\nReferences: \n";
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

/// Longest narinfo, in bytes (docs/design.md; the longest in real caches has about 60 KiB).
pub const MAX_NARINFO: usize = 1 << 20;
/// Most references of an item.
pub const MAX_REFERENCES: usize = 65_536;
/// Most entries of a narinfo.
pub const MAX_ENTRIES: usize = 4096;

/// The form of a narinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Signed by a `Signature` line; entries follow it.
    Guix,
    /// Signed by `Sig` lines.
    Nix,
}

/// Why a text is not a narinfo. Lines are counted from 1.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// The text is longer than [`MAX_NARINFO`].
    #[error("narinfo of {0} bytes is too long (at most 1 MiB)")]
    TooLong(usize),
    /// The text is not UTF-8 at this byte.
    #[error("narinfo is not UTF-8 at byte {0}")]
    Utf8(usize),
    /// A line has no `: `.
    #[error("line {line}: expected a key, a colon and a value")]
    Syntax {
        /// The line.
        line: usize,
    },
    /// The value of a field is malformed.
    #[error("line {line}: the value of {field} is malformed")]
    Value {
        /// The line.
        line: usize,
        /// The field's key.
        field: &'static str,
    },
    /// A field that may occur once occurs again.
    #[error("line {line}: {field} occurs twice")]
    Repeated {
        /// The line.
        line: usize,
        /// The field's key.
        field: &'static str,
    },
    /// There is no `URL`, or a `Compression`, `FileSize` or `FileHash` belongs to none.
    #[error("the narinfo has no URL, or an entry without one")]
    NoUrl,
    /// A required field is missing.
    #[error("the narinfo has no {field}")]
    Missing {
        /// The field's key.
        field: &'static str,
    },
    /// There are more than [`MAX_REFERENCES`] or [`MAX_ENTRIES`].
    #[error("too many values of {field}")]
    TooMany {
        /// The field's key.
        field: &'static str,
    },
}

/// The fields that a signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedFields {
    pub(crate) store_path: StorePath,
    pub(crate) nar_hash: Sha256,
    pub(crate) nar_size: u64,
    pub(crate) references: Vec<String>,
    pub(crate) deriver: Option<String>,
}

/// A narinfo: its text and the fields parsed from it.
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
    /// Byte range of the value of the `Signature` line.
    guix_signature: Option<Range<usize>>,
    /// Byte at which the `Signature` line starts.
    signed_end: Option<usize>,
}

impl NarInfo {
    /// Parses a narinfo in either dialect.
    ///
    /// # Errors
    /// [`NarInfoError`] with the line of the first fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, NarInfoError> {
        read::read(bytes)
    }

    /// Returns the path of the store item.
    #[must_use]
    pub fn store_path(&self) -> &StorePath {
        &self.store_path
    }

    /// Returns where the NAR can be downloaded. No signature covers this.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the SHA-256 of the uncompressed NAR.
    #[must_use]
    pub fn nar_hash(&self) -> Sha256 {
        self.nar_hash
    }

    /// Returns the number of bytes of the uncompressed NAR.
    #[must_use]
    pub fn nar_size(&self) -> u64 {
        self.nar_size
    }

    /// Returns the base names of the store items that this one refers to.
    #[must_use]
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// Returns the base name of the derivation that built the item. It is signed only if its line
    /// stands above a `Signature` line.
    #[must_use]
    pub fn deriver(&self) -> Option<&str> {
        self.deriver.as_deref()
    }

    /// Returns the system that the item was built for.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Returns the content address, as Nix writes it.
    #[must_use]
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Returns the values of the `Sig` lines.
    #[must_use]
    pub fn signatures(&self) -> &[String] {
        &self.signatures
    }

    /// Returns the value of the `Signature` line.
    #[must_use]
    pub fn guix_signature(&self) -> Option<&str> {
        self.text.get(self.guix_signature.clone()?)
    }

    /// Returns the text that the `Signature` line signs: everything before that line.
    #[must_use]
    pub fn signed_text(&self) -> Option<&str> {
        self.text.get(..self.signed_end?)
    }

    /// Returns the text that `Sig` lines sign: `1;StorePath;NarHash;NarSize;` and the references as
    /// whole paths, sorted and separated by commas.
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

    /// Returns what a correct signature of a dialect proves: for Guix, the fields in the text above
    /// the `Signature` line; for Nix, those of the fingerprint.
    pub(crate) fn signed_fields(&self, dialect: Dialect) -> Result<SignedFields, NarInfoError> {
        match dialect {
            Dialect::Guix => read::signed_fields(self.signed_text().unwrap_or_default()),
            Dialect::Nix => Ok(SignedFields {
                store_path: self.store_path.clone(),
                nar_hash: self.nar_hash,
                nar_size: self.nar_size,
                references: self.references.clone(),
                deriver: None,
            }),
        }
    }

    /// Returns the dialect. It is Guix's if there is a `Signature` line, or if there is no
    /// signature and the store directory is Guix's.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        let guix_store = self.signatures.is_empty() && self.store_path.directory() == "/gnu/store";
        if self.signed_end.is_some() || guix_store {
            Dialect::Guix
        } else {
            Dialect::Nix
        }
    }

    /// Returns the text, byte for byte as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the value of a field that this module has no meaning for: the first with this key.
    #[must_use]
    pub fn extra(&self, key: &str) -> Option<&str> {
        read::lines(&self.text)
            .filter_map(|line| read::split(line.text))
            .find_map(|(other, value)| (other == key && !read::is_known(key)).then_some(value))
    }

    /// Replaces the entries and keeps all other lines.
    ///
    /// In a signed Guix narinfo the new entries follow the `Signature` line; entries before that
    /// line are signed and stay. In other narinfos the new entries take the place of the first
    /// entry.
    pub fn set_entries(&mut self, entries: Vec<Entry>) {
        let mut text = String::with_capacity(self.text.len());
        let from = self.signed_end.unwrap_or(0);
        let mut kept = Vec::new();
        let mut insert_at = None;
        for line in read::lines(&self.text) {
            if line.start >= from && read::is_entry(line.text) {
                insert_at = insert_at.or(Some(text.len()));
                continue;
            }
            text.push_str(line.text);
            text.push('\n');
            if line.start >= from && self.signed_end.is_some() && insert_at.is_none() {
                // Directly after the signature.
                insert_at = Some(text.len());
            }
        }
        if let Some(signed) = self.signed_end {
            kept = read::entries_of(self.text.get(..signed).unwrap_or_default());
        }
        let lines: String = entries
            .iter()
            .map(|entry| entry.lines(self.dialect()))
            .collect();
        text.insert_str(insert_at.unwrap_or(text.len()), &lines);
        self.text = text;
        kept.extend(entries);
        self.entries = kept;
    }
}

/// Writes the text, byte for byte.
impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
