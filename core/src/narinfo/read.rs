//! The parser of narinfos.

use super::{
    Compression, Entry, MAX_ENTRIES, MAX_NARINFO, MAX_REFERENCES, NarInfo, NarInfoError,
    SignedFields,
};
use crate::hash::Sha256;
use crate::store_path::StorePath;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// A line without its line feed.
pub(super) struct NarInfoLine<'a> {
    /// Byte at which it starts in the text.
    pub(super) start: usize,
    /// The text of the line.
    pub(super) text: &'a str,
}

/// Returns the lines of a text. The last line may lack its line feed.
pub(super) fn lines(text: &str) -> impl Iterator<Item = NarInfoLine<'_>> {
    let mut start = 0_usize;
    text.split_inclusive('\n').map(move |line| {
        let this = NarInfoLine {
            start,
            text: line.strip_suffix('\n').unwrap_or(line),
        };
        start = start.saturating_add(line.len());
        this
    })
}

/// Splits a line into key and value.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    // An editor may have removed the space before an empty value.
    let value = value
        .strip_prefix(' ')
        .or(value.is_empty().then_some(value))?;
    (!key.is_empty()).then_some((key, value))
}

/// Returns whether a line belongs to an entry.
pub(super) fn is_entry(line: &str) -> bool {
    split(line).is_some_and(|(key, _)| ENTRY_KEYS.contains(&key))
}

/// Returns whether this module knows the key.
pub(super) fn is_known(key: &str) -> bool {
    ENTRY_KEYS.contains(&key) || KEYS.contains(&key)
}

/// Returns the entries of a text that was parsed before.
pub(super) fn entries_of(text: &str) -> Vec<Entry> {
    let mut fields = NarInfoFields::default();
    for (index, line) in lines(text).enumerate() {
        if is_entry(line.text) && fields.line(index.saturating_add(1), &line).is_err() {
            break;
        }
    }
    fields.entries().unwrap_or_default()
}

const ENTRY_KEYS: [&str; 4] = ["URL", "Compression", "FileSize", "FileHash"];
const KEYS: [&str; 9] = [
    "StorePath",
    "NarHash",
    "NarSize",
    "References",
    "Deriver",
    "System",
    "CA",
    "Sig",
    "Signature",
];

/// The fields of one entry, while they are read.
#[derive(Default)]
struct EntryFields {
    url: Option<String>,
    compression: Option<Compression>,
    file_size: Option<u64>,
    file_hash: Option<Sha256>,
}

/// The fields of a narinfo, while they are read.
#[derive(Default)]
struct NarInfoFields {
    store_path: Option<StorePath>,
    nar_hash: Option<Sha256>,
    nar_size: Option<u64>,
    references: Option<Vec<String>>,
    deriver: Option<String>,
    system: Option<String>,
    ca: Option<String>,
    signatures: Vec<String>,
    guix_signature: Option<Range<usize>>,
    signed_end: Option<usize>,
    entry_fields: Vec<EntryFields>,
}

pub(super) fn read(bytes: &[u8]) -> Result<NarInfo, NarInfoError> {
    if bytes.len() > MAX_NARINFO {
        return Err(NarInfoError::TooLong(bytes.len()));
    }
    let text =
        core::str::from_utf8(bytes).map_err(|error| NarInfoError::Utf8(error.valid_up_to()))?;
    let mut fields = NarInfoFields::default();
    for (index, line) in lines(text).enumerate() {
        fields.line(index.saturating_add(1), &line)?;
    }
    let entries = fields.entries()?;
    let missing = |field| NarInfoError::Missing { field };
    Ok(NarInfo {
        text: String::from(text),
        store_path: fields.store_path.ok_or(missing("StorePath"))?,
        entries,
        nar_hash: fields.nar_hash.ok_or(missing("NarHash"))?,
        nar_size: fields.nar_size.ok_or(missing("NarSize"))?,
        references: fields.references.unwrap_or_default(),
        deriver: fields.deriver,
        system: fields.system,
        ca: fields.ca,
        signatures: fields.signatures,
        guix_signature: fields.guix_signature,
        signed_end: fields.signed_end,
    })
}

/// Reads the fields that a signature must cover from the text that Guix signed, and from nothing
/// else.
pub(super) fn signed_fields(text: &str) -> Result<SignedFields, NarInfoError> {
    let mut fields = NarInfoFields::default();
    for (index, line) in lines(text).enumerate() {
        fields.line(index.saturating_add(1), &line)?;
    }
    let missing = |field| NarInfoError::Missing { field };
    Ok(SignedFields {
        store_path: fields.store_path.ok_or(missing("StorePath"))?,
        nar_hash: fields.nar_hash.ok_or(missing("NarHash"))?,
        nar_size: fields.nar_size.ok_or(missing("NarSize"))?,
        references: fields.references.ok_or(missing("References"))?,
        deriver: fields.deriver,
    })
}

impl NarInfoFields {
    fn line(&mut self, line: usize, at: &NarInfoLine<'_>) -> Result<(), NarInfoError> {
        let (key, value) = split(at.text).ok_or(NarInfoError::Syntax { line })?;
        match key {
            "StorePath" => {
                let path = StorePath::parse(value).map_err(|_| malformed(line, "StorePath"))?;
                once(&mut self.store_path, path, line, "StorePath")
            }
            "NarHash" => {
                let hash = Sha256::parse(value).map_err(|_| malformed(line, "NarHash"))?;
                once(&mut self.nar_hash, hash, line, "NarHash")
            }
            "NarSize" => once(
                &mut self.nar_size,
                number(value, line, "NarSize")?,
                line,
                "NarSize",
            ),
            "References" => once(
                &mut self.references,
                references(value, line)?,
                line,
                "References",
            ),
            "Deriver" => once(&mut self.deriver, String::from(value), line, "Deriver"),
            "System" => once(&mut self.system, String::from(value), line, "System"),
            "CA" => once(&mut self.ca, String::from(value), line, "CA"),
            "Sig" => {
                self.signatures.push(String::from(value));
                Ok(())
            }
            "Signature" => {
                self.signed_end.get_or_insert(at.start);
                let end = at.start.saturating_add(at.text.len());
                let start = end.saturating_sub(value.len());
                once(&mut self.guix_signature, start..end, line, "Signature")
            }
            _ => self.entry_line(key, value, line),
        }
    }

    fn entry_line(&mut self, key: &str, value: &str, line: usize) -> Result<(), NarInfoError> {
        if key == "URL"
            && self
                .entry_fields
                .last()
                .is_none_or(|fields| fields.url.is_some())
        {
            if self.entry_fields.len() >= MAX_ENTRIES {
                return Err(NarInfoError::TooMany { field: "URL" });
            }
            self.entry_fields.push(EntryFields::default());
        }
        if !ENTRY_KEYS.contains(&key) {
            return Ok(());
        }
        if self.entry_fields.is_empty() {
            // Nix accepts its fields in any order: these belong to the URL that follows.
            self.entry_fields.push(EntryFields::default());
        }
        let Some(fields) = self.entry_fields.last_mut() else {
            return Ok(());
        };
        match key {
            "URL" => once(&mut fields.url, url(value, line)?, line, "URL"),
            "Compression" => {
                // Old versions of Nix wrote an empty value for bzip2.
                let method = if value.is_empty() {
                    Some(Compression::Bzip2)
                } else {
                    Compression::parse(value)
                };
                let method = method.ok_or(malformed(line, "Compression"))?;
                once(&mut fields.compression, method, line, "Compression")
            }
            "FileSize" => once(
                &mut fields.file_size,
                number(value, line, "FileSize")?,
                line,
                "FileSize",
            ),
            _ => {
                let hash = Sha256::parse(value).map_err(|_| malformed(line, "FileHash"))?;
                once(&mut fields.file_hash, hash, line, "FileHash")
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, NarInfoError> {
        let entry_fields = core::mem::take(&mut self.entry_fields);
        if entry_fields.is_empty() {
            return Err(NarInfoError::NoUrl);
        }
        let entry = |fields: EntryFields| {
            Ok(Entry {
                url: fields.url.ok_or(NarInfoError::NoUrl)?,
                // Nix's default if the field is missing.
                compression: fields.compression.unwrap_or(Compression::Bzip2),
                file_size: fields.file_size,
                file_hash: fields.file_hash,
            })
        };
        entry_fields.into_iter().map(entry).collect()
    }
}

fn malformed(line: usize, field: &'static str) -> NarInfoError {
    NarInfoError::Value { line, field }
}

fn once<T>(
    slot: &mut Option<T>,
    value: T,
    line: usize,
    field: &'static str,
) -> Result<(), NarInfoError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(NarInfoError::Repeated { line, field }),
    }
}

fn number(value: &str, line: usize, field: &'static str) -> Result<u64, NarInfoError> {
    // `parse` would accept a sign too.
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| value.parse().ok())
        .flatten()
        .ok_or(malformed(line, field))
}

fn url(value: &str, line: usize) -> Result<String, NarInfoError> {
    let valid = !value.is_empty()
        && !value
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b' ');
    if valid {
        Ok(String::from(value))
    } else {
        Err(malformed(line, "URL"))
    }
}

fn references(value: &str, line: usize) -> Result<Vec<String>, NarInfoError> {
    let mut names = Vec::new();
    for name in value.split(' ').filter(|name| !name.is_empty()) {
        // The check of a base name needs some directory; which one doesn't matter.
        StorePath::in_directory("/x", name).map_err(|_| malformed(line, "References"))?;
        if names.len() >= MAX_REFERENCES {
            return Err(NarInfoError::TooMany {
                field: "References",
            });
        }
        names.push(String::from(name));
    }
    Ok(names)
}
