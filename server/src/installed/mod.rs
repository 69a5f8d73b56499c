//! Which pieces of a NAR are in store items that are installed already.
//!
//! ```text
//! the item that is wanted ─► items of the same package (other versions, rebuilds) ─► their pieces, cut as the wanted one was
//!                                                                                     └─► <dir>/<hash part>-<how it was cut>.pieces
//! ```
//! Only these items are looked at, since updates and rebuilds are what share pieces: so nothing is indexed that nobody asks for, and the first install of
//! a package reads nothing. An index is made when it is first needed (a read of the item), kept in a file of 44 bytes a piece, and forgotten when all of
//! them take more than [`MAX_BYTES`], the one that was used longest ago first. An item that has left the store is no candidate any more.
//!
//! What an index says is a hint: whoever reads a piece hashes it, since items can be altered on disk.

mod file;
mod reader;
#[cfg(test)]
mod tests;

pub use reader::Reader;

use crate::atomic;
use crate::store::{Item, Source, SourceError};
use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::NarError;
use interplanar_core::store_path::{HASH_PART, StorePath};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that all indexes may take: some 1.5 million pieces, 500 GB of items.
pub const MAX_BYTES: u64 = 64 << 20;
/// Items that are looked at for one that is wanted.
const MAX_CANDIDATES: usize = 4;

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Which of the items that were looked at.
    pub item: usize,
    /// Where it starts in the NAR of that item.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
}

/// A piece of an installed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    plain: Sha256,
    offset: u64,
    length: u32,
}

/// The stores of this machine, and what is known of their items.
pub struct Installed {
    stores: Vec<Arc<dyn Source>>,
    dir: PathBuf,
}

/// The pieces of the items that were looked at.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The items.
    pub items: Vec<Candidate>,
    spots: HashMap<Sha256, Spot>,
}

/// An installed item that may have pieces of another one.
#[derive(Clone)]
pub struct Candidate {
    store: Arc<dyn Source>,
    /// It.
    pub item: Item,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.item.store_path.as_str())
    }
}

impl Pieces {
    /// Where the piece with this SHA-256 is.
    #[must_use]
    pub fn find(&self, plain: &Sha256) -> Option<Spot> {
        self.spots.get(plain).copied()
    }
}

/// Why an item can't be indexed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The item can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is no archive.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// It has changed since it was registered.
    #[error("its files are not those that were registered")]
    Altered,
    /// The index can't be kept.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Installed {
    /// The stores, and the folder of the indexes; made if it is missing. Blocks.
    ///
    /// # Errors
    /// The folder can't be used.
    pub fn open(stores: Vec<Arc<dyn Source>>, dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        atomic::sweep(&dir)?;
        Ok(Self { stores, dir })
    }

    /// Installed items of the same package, those of the very same name first. Blocks.
    #[must_use]
    pub fn candidates(&self, wanted: &StorePath) -> Vec<Candidate> {
        let package = package(wanted.name());
        let mut candidates = Vec::new();
        let stores = self.stores.iter();
        for store in stores.filter(|store| store.store_dir() == wanted.directory()) {
            let found = store.named(package).unwrap_or_else(|error| {
                tracing::warn!(%error, "the store can't be searched");
                Vec::new()
            });
            let others = found.into_iter().filter(|item| {
                item.store_path != *wanted && self::package(item.store_path.name()) == package
            });
            candidates.extend(others.map(|item| Candidate {
                store: Arc::clone(store),
                item,
            }));
        }
        // A stable sort: what was registered last stays first.
        candidates.sort_by_key(|one| one.item.store_path.name() != wanted.name());
        candidates.truncate(MAX_CANDIDATES);
        candidates
    }

    /// The pieces of items, cut so. Blocks; reads an item whose index isn't there.
    #[must_use]
    pub fn pieces(&self, candidates: Vec<Candidate>, parameters: &Parameters) -> Pieces {
        let mut pieces = Pieces::default();
        for candidate in candidates {
            match self.index(&candidate, parameters) {
                Ok(index) => {
                    let item = pieces.items.len();
                    for Piece {
                        plain,
                        offset,
                        length,
                    } in index
                    {
                        let spot = Spot {
                            item,
                            offset,
                            length,
                        };
                        pieces.spots.entry(plain).or_insert(spot);
                    }
                    pieces.items.push(candidate);
                }
                Err(error) => {
                    let item = candidate.item.store_path.as_str();
                    tracing::warn!(item, %error, "an installed item can't be compared");
                }
            }
        }
        self.trim();
        pieces
    }

    fn index(
        &self,
        candidate: &Candidate,
        parameters: &Parameters,
    ) -> Result<Vec<Piece>, IndexError> {
        let path = self.path(&candidate.item, parameters);
        if let Some(index) = file::read(&path) {
            return Ok(index);
        }
        let index = cut(candidate, parameters)?;
        atomic::write(&path, &file::encode(&index))?;
        Ok(index)
    }

    /// Named by what the pieces depend on.
    fn path(&self, item: &Item, parameters: &Parameters) -> PathBuf {
        let how = format!("{} {parameters:?}", item.nar_hash);
        let how: String = Sha256::of(how.as_bytes()).as_bytes()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let hash_part = item.store_path.hash_part();
        self.dir.join(format!("{hash_part}-{how}.pieces"))
    }

    /// Forgets the indexes that were used longest ago, if all take too much.
    fn trim(&self) {
        if let Err(error) = trim(&self.dir, MAX_BYTES) {
            tracing::warn!(%error, "the indexes of installed items can't be trimmed");
        }
    }
}

fn trim(dir: &Path, most: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let data = entry.metadata()?;
        files.push((data.modified()?, data.len(), entry.path()));
    }
    let mut taken: u64 = files.iter().map(|(_, length, _)| length).sum();
    files.sort();
    for (_, length, path) in files {
        if taken <= most {
            break;
        }
        std::fs::remove_file(path)?;
        taken = taken.saturating_sub(length);
    }
    Ok(())
}

/// The package of a name: what stands before the version.
fn package(name: &str) -> &str {
    let version = name
        .match_indices('-')
        .find(|(at, _)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    version.map_or(name, |(at, _)| &name[..at])
}

/// Cuts an installed item.
fn cut(candidate: &Candidate, parameters: &Parameters) -> Result<Vec<Piece>, IndexError> {
    let item = &candidate.item;
    let names = item
        .references
        .iter()
        .filter_map(|name| name.get(..HASH_PART));
    let references = References::new(names.chain([item.store_path.hash_part()]));
    let mut cutting = Cutting {
        cutter: Cutter::new(*parameters, references.unwrap_or_default()),
        pieces: Vec::new(),
        size: 0,
        malformed: None,
    };
    let dumped = candidate.store.dump(item, &mut cutting);
    if let Some(error) = cutting.malformed {
        return Err(error.into());
    }
    dumped?;
    cutting.cutter.finish()?;
    if cutting.size != item.nar_size {
        return Err(IndexError::Altered);
    }
    Ok(cutting.pieces)
}

struct Cutting {
    cutter: Cutter,
    pieces: Vec<Piece>,
    size: u64,
    malformed: Option<NarError>,
}

impl Write for Cutting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut input = bytes;
        loop {
            match self.cutter.push(&mut input) {
                Ok(Some(Cut::Piece(piece))) => {
                    let length = u32::try_from(piece.data.len()).map_err(io::Error::other)?;
                    self.size += u64::from(length);
                    self.pieces.push(Piece {
                        plain: Sha256::of(&piece.data),
                        offset: piece.offset,
                        length,
                    });
                }
                Ok(Some(Cut::Enter | Cut::Leave { .. })) => {}
                Ok(None) => return Ok(bytes.len()),
                Err(error) => {
                    let words = error.to_string();
                    self.malformed = Some(error);
                    return Err(io::Error::other(words));
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
