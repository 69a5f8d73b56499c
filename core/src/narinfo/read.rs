//! The parser of narinfos.

use super::{Compression, Entry, MAX_ENTRIES, MAX_NARINFO, MAX_REFERENCES, NarInfo, NarInfoError};
use crate::hash::Sha256;
use crate::store_path::StorePath;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// A line without its end.
pub(super) struct Line<'a> {
    /// Where it starts in the text.
    pub(super) start: usize,
    /// What it says.
    pub(super) text: &'a str,
}

/// The lines of a text; one without its end is a line too.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0_usize;
    text.split_inclusive('\n').map(move |line| {
        let this = Line {
            start,
            text: line.strip_suffix('\n').unwrap_or(line),
        };
        start = start.saturating_add(line.len());
        this
    })
}

/// A line's key and value.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    // An empty value may have lost its space.
    let value = value
        .strip_prefix(' ')
        .or(value.is_empty().then_some(value))?;
    (!key.is_empty()).then_some((key, value))
}

/// Whether a line belongs to an entry.
pub(super) fn is_entry(line: &str) -> bool {
    split(line).is_some_and(|(key, _)| ENTRY_KEYS.contains(&key))
}

/// Whether a key has a meaning here.
pub(super) fn is_known(key: &str) -> bool {
    ENTRY_KEYS.contains(&key) || KEYS.contains(&key)
}

/// The entries of a text that was parsed before.
pub(super) fn entries_of(text: &str) -> Vec<Entry> {
    let mut fields = Fields::default();
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

#[derive(Default)]
struct Group {
    url: Option<String>,
    compression: Option<Compression>,
    file_size: Option<u64>,
    file_hash: Option<Sha256>,
}

#[derive(Default)]
struct Fields {
    store_path: Option<StorePath>,
    nar_hash: Option<Sha256>,
    nar_size: Option<u64>,
    references: Option<Vec<String>>,
    deriver: Option<String>,
    system: Option<String>,
    ca: Option<String>,
    signatures: Vec<String>,
    guix_signature: Option<Range<usize>>,
    signed: Option<usize>,
    groups: Vec<Group>,
}

pub(super) fn read(bytes: &[u8]) -> Result<NarInfo, NarInfoError> {
    if bytes.len() > MAX_NARINFO {
        return Err(NarInfoError::TooLong(bytes.len()));
    }
    let text =
        core::str::from_utf8(bytes).map_err(|error| NarInfoError::Utf8(error.valid_up_to()))?;
    let mut fields = Fields::default();
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
        signed: fields.signed,
    })
}

impl Fields {
    fn line(&mut self, line: usize, at: &Line<'_>) -> Result<(), NarInfoError> {
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
                self.signed.get_or_insert(at.start);
                let end = at.start.saturating_add(at.text.len());
                let start = end.saturating_sub(value.len());
                once(&mut self.guix_signature, start..end, line, "Signature")
            }
            _ => self.entry_line(key, value, line),
        }
    }

    fn entry_line(&mut self, key: &str, value: &str, line: usize) -> Result<(), NarInfoError> {
        if key == "URL" && self.groups.last().is_none_or(|group| group.url.is_some()) {
            if self.groups.len() >= MAX_ENTRIES {
                return Err(NarInfoError::TooMany { field: "URL" });
            }
            self.groups.push(Group::default());
        }
        if !ENTRY_KEYS.contains(&key) {
            return Ok(());
        }
        if self.groups.is_empty() {
            // Nix takes its fields in any order: these belong to the URL that follows.
            self.groups.push(Group::default());
        }
        let Some(group) = self.groups.last_mut() else {
            return Ok(());
        };
        match key {
            "URL" => once(&mut group.url, url(value, line)?, line, "URL"),
            "Compression" => {
                // An empty one is what old Nix wrote for none given.
                let method = if value.is_empty() {
                    Some(Compression::Bzip2)
                } else {
                    Compression::parse(value)
                };
                let method = method.ok_or(malformed(line, "Compression"))?;
                once(&mut group.compression, method, line, "Compression")
            }
            "FileSize" => once(
                &mut group.file_size,
                number(value, line, "FileSize")?,
                line,
                "FileSize",
            ),
            _ => {
                let hash = Sha256::parse(value).map_err(|_| malformed(line, "FileHash"))?;
                once(&mut group.file_hash, hash, line, "FileHash")
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, NarInfoError> {
        let groups = core::mem::take(&mut self.groups);
        if groups.is_empty() {
            return Err(NarInfoError::NoUrl);
        }
        let entry = |group: Group| {
            Ok(Entry {
                url: group.url.ok_or(NarInfoError::NoUrl)?,
                // Nix's default where the field is missing.
                compression: group.compression.unwrap_or(Compression::Bzip2),
                file_size: group.file_size,
                file_hash: group.file_hash,
            })
        };
        groups.into_iter().map(entry).collect()
    }
}

fn malformed(line: usize, field: &'static str) -> NarInfoError {
    NarInfoError::Value { line, field }
}

fn once<T>(
    place: &mut Option<T>,
    value: T,
    line: usize,
    field: &'static str,
) -> Result<(), NarInfoError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(NarInfoError::Repeated { line, field }),
    }
}

fn number(value: &str, line: usize, field: &'static str) -> Result<u64, NarInfoError> {
    // `parse` would take a sign too.
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| value.parse().ok())
        .flatten()
        .ok_or(malformed(line, field))
}

fn url(value: &str, line: usize) -> Result<String, NarInfoError> {
    let sound = !value.is_empty()
        && !value
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b' ');
    if sound {
        Ok(String::from(value))
    } else {
        Err(malformed(line, "URL"))
    }
}

fn references(value: &str, line: usize) -> Result<Vec<String>, NarInfoError> {
    let mut names = Vec::new();
    for name in value.split(' ').filter(|name| !name.is_empty()) {
        // Any directory will do for the check of a base name.
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
