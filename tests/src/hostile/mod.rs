//! Hostile inputs: every rule of each grammar broken once, with the verdict that `core` must give.
//!
//! [`all`] makes the same cases in each run. A [`Case`] names the [`Reader`] that it is for, the
//! exact error, and the reason. [`Case::check`] gives the input to the reader whole, split in two at
//! every byte, and byte by byte. `tests/tests/hostile.rs` also gives it to the reference programs.
//!
//! `cargo run -p interplanar-tests --example hostile -- FOLDER` writes the cases as files.
//!
//! The module of each grammar builds a valid input first, and accepts it. So a case that is refused
//! differs from an accepted one by one rule.

mod car;
mod compression;
mod dags;
mod documents;
mod nar;
mod narinfo;
mod signatures;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader as CarReader};
use interplanar_core::cid::{self, Cid};
use interplanar_core::dag_pb::Node;
use interplanar_core::decompress::{Decoder, Limits};
use interplanar_core::dedup::Index;
use interplanar_core::ipns::{Name, Record};
use interplanar_core::nar::{Listing, Parser};
use interplanar_core::narinfo::{Compression, NarInfo};
use interplanar_core::signature::{guix, nix};
use interplanar_core::store_path::StorePath;
use interplanar_core::unixfs::{Budget, Content, Entries, Walker};
use std::collections::HashMap;
use std::fmt::Display;

/// The part of `core` that reads an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `nar::Parser`.
    Nar,
    /// `nar::Listing::from_json`.
    Listing,
    /// `narinfo::NarInfo::parse`.
    NarInfo,
    /// `trust::TrustedKeys::verify`, with the keys of the module `signatures`.
    Trust,
    /// `store_path::StorePath::parse`.
    StorePath,
    /// `signature::nix::PublicKey::parse`.
    NixPublicKey,
    /// `signature::nix::SecretKey::parse`.
    NixSecretKey,
    /// `signature::nix::Signature::parse`.
    NixSignature,
    /// `signature::guix::PublicKey::parse`.
    GuixPublicKey,
    /// `signature::guix::SecretKey::parse`.
    GuixSecretKey,
    /// `signature::guix::Signature::parse`.
    GuixSignature,
    /// `signature::guix::Acl::parse`.
    Acl,
    /// `cid::parse`.
    Cid,
    /// `car::Reader`.
    Car,
    /// `dag_pb::Node::decode`.
    DagPb,
    /// `unixfs::Content::decode`, of a dag-pb block.
    UnixFs,
    /// `unixfs::Walker`, over the first root and the blocks of a CAR.
    File,
    /// `unixfs::Entries`, over the first root and the blocks of a CAR.
    Directory,
    /// `ipns::Name::parse`.
    IpnsName,
    /// `ipns::Record::verify`, with the key of the module `documents`.
    IpnsRecord,
    /// `dedup::Index::decode`.
    Index,
    /// `decompress::Decoder`.
    Decoder(Compression),
}

/// An input and the verdict on it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the grammar, a slash, and the rule that is broken.
    pub name: String,
    /// The reader that must give the verdict.
    pub reader: Reader,
    /// The input.
    pub input: Vec<u8>,
    /// `Ok` if the reader accepts the input, else the text of its error.
    pub verdict: Result<(), String>,
    /// Why this is the verdict.
    pub reason: &'static str,
}

/// Most places at which [`Case::check`] splits an input in two.
const MAX_SPLITS: usize = 4096;

/// Makes all cases.
#[must_use]
pub fn all() -> Vec<Case> {
    let groups = [
        nar::cases(),
        narinfo::cases(),
        signatures::cases(),
        compression::cases(),
        car::cases(),
        dags::cases(),
        documents::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// The cases of one grammar, while they are collected.
struct Cases {
    grammar: &'static str,
    reader: Reader,
    list: Vec<Case>,
}

impl Cases {
    fn new(grammar: &'static str, reader: Reader) -> Self {
        Self {
            grammar,
            reader,
            list: vec![],
        }
    }

    fn accept(&mut self, rule: &str, input: impl Into<Vec<u8>>, reason: &'static str) {
        self.add(rule, input.into(), Ok(()), reason);
    }

    fn refuse(
        &mut self,
        rule: &str,
        input: impl Into<Vec<u8>>,
        error: impl Into<String>,
        reason: &'static str,
    ) {
        self.add(rule, input.into(), Err(error.into()), reason);
    }

    fn add(
        &mut self,
        rule: &str,
        input: Vec<u8>,
        verdict: Result<(), String>,
        reason: &'static str,
    ) {
        self.list.push(Case {
            name: format!("{}/{rule}", self.grammar),
            reader: self.reader,
            input,
            verdict,
            reason,
        });
    }
}

impl Case {
    /// Returns the input as a CAR with a root, if it is a CAR or a dag-pb block.
    #[must_use]
    pub fn car(&self) -> Option<Vec<u8>> {
        match self.reader {
            Reader::Car | Reader::File | Reader::Directory => Some(self.input.clone()),
            Reader::DagPb | Reader::UnixFs => {
                let bytes = Bytes::copy_from_slice(&self.input);
                Some(car::write(&[Block::dag_pb(bytes, cid::Version::V1)]))
            }
            _ => None,
        }
    }

    /// Gives the input to its reader: whole, split in two at every byte, and byte by byte.
    ///
    /// # Errors
    /// What the reader said instead of the verdict, and how the input was split.
    pub fn check(&self) -> Result<(), String> {
        let compare = |how: &str, found: Result<(), String>| {
            if found == self.verdict {
                return Ok(());
            }
            let Self { name, verdict, .. } = self;
            Err(format!(
                "{name}, {how}:\n  found   {found:?}\n  instead {verdict:?}"
            ))
        };
        compare("whole", self.reader.read(&[&self.input]))?;
        if self.reader.is_stream() {
            // Of the few inputs above 4 KiB, not each byte.
            let step = self.input.len().div_ceil(MAX_SPLITS).max(1);
            for at in (1..self.input.len()).step_by(step) {
                let (head, tail) = self.input.split_at(at);
                compare(&format!("split at {at}"), self.reader.read(&[head, tail]))?;
            }
            let bytes: Vec<&[u8]> = self.input.chunks(1).collect();
            compare("byte by byte", self.reader.read(&bytes))?;
        }
        Ok(())
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

impl Reader {
    /// Returns whether the reader takes its input in pieces.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(
            self,
            Self::Nar | Self::Car | Self::File | Self::Directory | Self::Decoder(_)
        )
    }

    /// Reads an input that arrives in these pieces.
    ///
    /// Errors of decoders are without the offset, because it depends on how much input the decoder
    /// had taken.
    ///
    /// # Errors
    /// The text of the error.
    pub fn read(self, pieces: &[&[u8]]) -> Result<(), String> {
        match self {
            Self::Nar => read_nar(pieces),
            Self::Car => read_car(pieces).map(drop),
            Self::File => read_file(pieces),
            Self::Directory => read_directory(pieces),
            Self::Decoder(method) => decompress(method, pieces),
            _ => self.parse(&pieces.concat()),
        }
    }

    /// Reads an input that its reader takes whole.
    fn parse(self, input: &[u8]) -> Result<(), String> {
        let bytes = Bytes::copy_from_slice(input);
        match self {
            Self::NarInfo => return NarInfo::parse(input).map(drop).map_err(text),
            Self::Trust => {
                let info = NarInfo::parse(input).map_err(text)?;
                let checked = signatures::trusted().verify(&info);
                return checked.map(drop).map_err(text);
            }
            Self::DagPb => return Node::decode(&bytes).map(drop).map_err(text),
            Self::UnixFs => {
                let block = Block::dag_pb(bytes, cid::Version::V1);
                return Content::decode(&block).map(drop).map_err(text);
            }
            Self::IpnsRecord => {
                let record = Record::verify(&documents::ipns_name(), input);
                return record.map(drop).map_err(text);
            }
            Self::Index => return Index::decode(input).map(drop).map_err(text),
            _ => {}
        }
        let input = std::str::from_utf8(input).map_err(text)?;
        match self {
            Self::Listing => {
                let listing = Listing::from_json(input);
                listing.map(drop).ok_or("not a listing".to_owned())
            }
            Self::StorePath => StorePath::parse(input).map(drop).map_err(text),
            Self::NixPublicKey => nix::PublicKey::parse(input).map(drop).map_err(text),
            Self::NixSecretKey => nix::SecretKey::parse(input).map(drop).map_err(text),
            Self::NixSignature => nix::Signature::parse(input).map(drop).map_err(text),
            Self::GuixPublicKey => guix::PublicKey::parse(input).map(drop).map_err(text),
            Self::GuixSecretKey => guix::SecretKey::parse(input).map(drop).map_err(text),
            Self::GuixSignature => guix::Signature::parse(input).map(drop).map_err(text),
            Self::Acl => guix::Acl::parse(input).map(drop).map_err(text),
            Self::Cid => cid::parse(input).map(drop).map_err(text),
            Self::IpnsName => Name::parse(input).map(drop).map_err(text),
            other => unreachable!("{other:?} was read above"),
        }
    }
}

fn read_nar(pieces: &[&[u8]]) -> Result<(), String> {
    let mut parser = Parser::new();
    for piece in pieces {
        let mut rest = *piece;
        while parser.push(&mut rest).map_err(text)?.is_some() {}
    }
    parser.finish().map_err(text)
}

/// The first root of a CAR and its blocks, not verified.
#[derive(Default)]
struct ReadCar {
    root: Option<Cid>,
    blocks: Vec<(Cid, Bytes)>,
}

fn read_car(pieces: &[&[u8]]) -> Result<ReadCar, String> {
    let (mut reader, mut read) = (CarReader::new(), ReadCar::default());
    for piece in pieces {
        let mut rest = Bytes::copy_from_slice(piece);
        while let Some(item) = reader.push(&mut rest).map_err(text)? {
            match item {
                Item::Header { roots } => read.root = roots.first().copied(),
                Item::Block { cid, data } => read.blocks.push((cid, data)),
            }
        }
    }
    reader.finish().map_err(text)?;
    Ok(read)
}

/// Reads a CAR and verifies its blocks. Returns its first root and the blocks.
fn verified(pieces: &[&[u8]]) -> Result<(Cid, HashMap<Cid, Block>), String> {
    let read = read_car(pieces)?;
    let mut blocks = HashMap::new();
    for (cid, data) in read.blocks {
        blocks.insert(cid, Block::verify(cid, data).map_err(text)?);
    }
    Ok((read.root.ok_or("no root")?, blocks))
}

fn read_file(pieces: &[&[u8]]) -> Result<(), String> {
    let (root, blocks) = verified(pieces)?;
    let mut walker = Walker::new(root, Budget::default());
    while !walker.is_done() {
        for cid in walker.wants(4).map_err(text)? {
            let block = blocks.get(&cid).ok_or("a block is missing")?;
            walker.push(block.clone()).map_err(text)?;
        }
        while walker.next().is_some() {}
    }
    Ok(())
}

fn read_directory(pieces: &[&[u8]]) -> Result<(), String> {
    let (root, blocks) = verified(pieces)?;
    let mut entries = Entries::new(root, Budget::default());
    while !entries.is_done() {
        for cid in entries.wants(4) {
            let block = blocks.get(&cid).ok_or("a block is missing")?;
            entries.push(block).map_err(text)?;
        }
        while entries.next().is_some() {}
    }
    Ok(())
}

fn decompress(method: Compression, pieces: &[&[u8]]) -> Result<(), String> {
    let limits = Limits {
        max_output: 1 << 20,
        max_window: 8 << 20,
    };
    let without_offset = |error| {
        let text = text(error);
        match text.split_once(": ") {
            Some((offset, rest)) if offset.starts_with("byte ") => rest.to_owned(),
            _ => text,
        }
    };
    let mut decoder = Decoder::new(method, limits).map_err(without_offset)?;
    let mut out = vec![];
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            decoder.push(&mut rest, &mut out).map_err(without_offset)?;
        }
    }
    while !decoder.finish(&mut out).map_err(without_offset)? {}
    Ok(())
}
