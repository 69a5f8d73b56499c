//! Bakes one item: its NAR passes once through the hash, the listing and all compressors, in
//! constant memory.
//!
//! Two threads share the work: one reads the store and hashes, the other compresses and stores.
//! Nothing refers to the blocks until the caller writes the record, so nobody can request an
//! item that is not completely baked.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::nar::{Listing, Parser};
use interplanar_core::narinfo::Compression;

use super::block_writer::{BlockWriter, FileWriter};
use super::encoder::Encoder;
use super::piece_compressor::CompressorPool;
use super::pieces::PiecesEncoder;
use super::record::Representation;
use super::tree_encoder::TreeEncoder;
use super::{BakeError, Compressor};
use crate::store::{Item, PreparedFile, Source};

/// Chunks of a NAR (about 256 KiB each) that wait for the compressors.
const QUEUE: usize = 8;
/// Bytes read from a binary cache's file at a time.
const BUFFER: usize = 256 << 10;

/// The result of a bake.
pub(super) struct BakeOutput {
    pub(super) representations: Vec<Representation>,
    /// Nix's `.ls` file; with CIDs if the item is also stored as a tree.
    pub(super) listing: String,
}

/// Bakes the NAR of an item with each of `compressors`; without any, only checks the NAR.
pub(super) fn bake(
    source: &dyn Source,
    item: &Item,
    compressors: &[Compressor],
    compressor_pool: (Parameters, &Arc<CompressorPool>),
    block_writer: &Rc<RefCell<BlockWriter>>,
) -> Result<BakeOutput, BakeError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let reading = scope.spawn(move || read(source, item, sender));
        let compressed = compress(item, compressors, compressor_pool, block_writer, &receiver);
        // Without a receiver, the reader stops.
        drop(receiver);
        // The baking thread reports a panic.
        let read = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        let encoders = match (compressed, read) {
            // If both failed, the reader failed only because the receiver was dropped.
            (Err(error), _) => return Err(error),
            (Ok(_), Err(error)) => return Err(error),
            (Ok(encoders), Ok(())) => encoders,
        };
        encoders.finish(item, block_writer)
    })
}

/// Reads and hashes the NAR, and sends it to the compressors. Fails if the hash or the size is
/// wrong.
fn read(source: &dyn Source, item: &Item, sender: SyncSender<Bytes>) -> Result<(), BakeError> {
    let mut nar = NarSender {
        sender,
        hasher: Sha256Hasher::new(),
        size: 0,
    };
    source.dump(item, &mut nar)?;
    if nar.hasher.finish() != item.nar_hash || nar.size != item.nar_size {
        let path = item.store_path.clone();
        return Err(BakeError::NarHash { path });
    }
    Ok(())
}

struct NarSender {
    sender: SyncSender<Bytes>,
    hasher: Sha256Hasher,
    size: u64,
}

impl Write for NarSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sender
            .send(Bytes::copy_from_slice(bytes))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compresses a NAR into one form.
enum FormEncoder {
    Whole(Box<Encoder<FileWriter>>),
    Pieces(Box<PiecesEncoder>),
    Tree(Box<TreeEncoder>),
}

/// Compresses a NAR into all forms at the same time.
struct Encoders {
    forms: Vec<(Compressor, FormEncoder)>,
    parser: Parser,
    listing: Listing,
}

fn compress(
    item: &Item,
    compressors: &[Compressor],
    compressor_pool: (Parameters, &Arc<CompressorPool>),
    block_writer: &Rc<RefCell<BlockWriter>>,
    nar: &Receiver<Bytes>,
) -> Result<Encoders, BakeError> {
    let failed = |error: io::Error| block_writer.borrow_mut().cause(&error);
    let mut forms = Vec::with_capacity(compressors.len());
    for &compressor in compressors {
        let form = if compressor.is_tree() {
            FormEncoder::Tree(Box::new(TreeEncoder::new(block_writer)))
        } else if compressor.is_pieces() {
            let pieces =
                PiecesEncoder::new(item, compressor.level(), compressor_pool, block_writer)?;
            FormEncoder::Pieces(Box::new(pieces))
        } else {
            // An uncompressed file has the hash of the NAR.
            let writer = FileWriter::new(block_writer, compressor.method() != Compression::None);
            let encoder = Encoder::new(compressor, item.nar_size, writer).map_err(failed)?;
            FormEncoder::Whole(Box::new(encoder))
        };
        forms.push((compressor, form));
    }
    let mut encoders = Encoders {
        forms,
        parser: Parser::new(),
        listing: Listing::new(),
    };
    for piece in nar {
        list(&mut encoders.parser, &mut encoders.listing, &piece)
            .map_err(|reason| malformed(item, reason))?;
        for (_, form) in &mut encoders.forms {
            match form {
                FormEncoder::Whole(encoder) => encoder.write_all(&piece).map_err(failed)?,
                FormEncoder::Pieces(pieces) => pieces.write(item, &piece)?,
                FormEncoder::Tree(tree) => tree.write(item, &piece)?,
            }
        }
    }
    Ok(encoders)
}

fn list(
    parser: &mut Parser,
    listing: &mut Listing,
    mut piece: &[u8],
) -> Result<(), interplanar_core::nar::NarError> {
    while let Some(event) = parser.push(&mut piece)? {
        listing.push(event)?;
    }
    Ok(())
}

fn malformed(item: &Item, reason: impl ToString) -> BakeError {
    BakeError::Nar {
        path: item.store_path.clone(),
        reason: reason.to_string(),
    }
}

impl Encoders {
    fn finish(
        self,
        item: &Item,
        block_writer: &Rc<RefCell<BlockWriter>>,
    ) -> Result<BakeOutput, BakeError> {
        self.parser
            .finish()
            .map_err(|reason| malformed(item, reason))?;
        let mut representations = Vec::with_capacity(self.forms.len());
        let mut cids = Vec::new();
        for (compressor, form) in self.forms {
            representations.push(match form {
                FormEncoder::Whole(encoder) => {
                    let finished = encoder.finish();
                    let writer =
                        finished.map_err(|error| block_writer.borrow_mut().cause(&error))?;
                    let stored = writer.finish()?;
                    let hash = stored.hash.unwrap_or(item.nar_hash);
                    representation(compressor, stored.cid, stored.size, hash)
                }
                FormEncoder::Pieces(pieces) => {
                    let stored = pieces.finish(item)?;
                    Representation {
                        index: Some(stored.index),
                        small: stored.small,
                        ..representation(compressor, stored.cid, stored.size, stored.hash)
                    }
                }
                FormEncoder::Tree(tree) => {
                    let tree = tree.finish(item)?;
                    cids = tree.cids;
                    Representation {
                        tree: Some(tree.root.cid),
                        ..representation(compressor, tree.nar.cid, tree.nar.size, item.nar_hash)
                    }
                }
            });
        }
        Ok(BakeOutput {
            representations,
            listing: self.listing.to_json_with(&cids),
        })
    }
}

fn representation(
    compressor: Compressor,
    cid: Cid,
    file_size: u64,
    file_hash: Sha256,
) -> Representation {
    Representation {
        compression: compressor.method(),
        level: compressor.level(),
        file_size,
        file_hash,
        cid,
        index: None,
        small: None,
        tree: None,
        published: false,
    }
}

/// Stores a binary cache's compressed file as it is, if its hash and size are those in the narinfo.
pub(super) fn store_prepared(
    source: &dyn Source,
    item: &Item,
    prepared: &PreparedFile,
    compressor_pool: (Parameters, &Arc<CompressorPool>),
    block_writer: &Rc<RefCell<BlockWriter>>,
) -> Result<Representation, BakeError> {
    let expected = prepared.entry.file_hash;
    if expected.is_none() {
        // The narinfo has no FileHash, so check the NAR that the file contains.
        bake(source, item, &[], compressor_pool, block_writer)?;
    }
    let mut file = File::open(&prepared.path).map_err(BakeError::io(&prepared.path))?;
    let mut writer = FileWriter::new(block_writer, true);
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = file
            .read(&mut buffer)
            .map_err(BakeError::io(&prepared.path))?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        writer
            .write_all(bytes)
            .map_err(|error| block_writer.borrow_mut().cause(&error))?;
    }
    let stored = writer.finish()?;
    let is_right = |hash: Sha256| expected.is_none_or(|expected| expected == hash);
    let size = prepared.entry.file_size.unwrap_or(prepared.size);
    match stored.hash {
        Some(hash) if is_right(hash) && stored.size == size => Ok(Representation {
            compression: prepared.entry.compression,
            level: 0,
            file_size: stored.size,
            file_hash: hash,
            cid: stored.cid,
            index: None,
            small: None,
            tree: None,
            published: false,
        }),
        _ => Err(BakeError::FileHash {
            file: prepared.path.clone(),
        }),
    }
}
