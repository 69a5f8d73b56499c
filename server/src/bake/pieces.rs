//! The deduplicating form of a NAR: cut, compressed piece by piece on all processors, and put together in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use interplanar_core::cid::Cid;
use interplanar_core::dedup::{
    Cut, Cutter, Dag, Entry, IndexBuilder, MAX_PIECE, Parameters, References, SmallPieces, frame,
};
use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::store_path::HASH_PART;

use super::BakeError;
use super::block_writer::{Batch, BlockWriter};
use super::piece_compressor::{CompressedPiece, CompressorPool, Outcome};
use crate::store::Item;

/// Bytes that a bake may have in the works whatever others have.
const LEAST: u64 = 2 * MAX_PIECE as u64;

/// What comes next in the file.
enum Next {
    Piece { length: u64, outcome: Outcome },
    Enter,
    Leave { size: u64 },
}

/// A file in the making.
pub(super) struct Pieces {
    level: u32,
    compressor_pool: Arc<CompressorPool>,
    cutter: Cutter,
    dag: Dag,
    index: IndexBuilder,
    small: SmallPieces,
    batch: Batch,
    hasher: Sha256Hasher,
    /// In the order of the NAR.
    next: VecDeque<Next>,
    /// Bytes of the NAR that are in the works.
    in_works: u64,
}

/// A file that is in the block store, if not durable yet.
pub(super) struct Stored {
    pub(super) cid: Cid,
    /// Root of the chunk index.
    pub(super) index: Cid,
    /// Root of the file of the small pieces, if there are some.
    pub(super) small: Option<Cid>,
    pub(super) size: u64,
    pub(super) hash: Sha256,
}

impl Pieces {
    pub(super) fn new(
        item: &Item,
        level: u32,
        (parameters, compressor_pool): (Parameters, &Arc<CompressorPool>),
        block_writer: &Rc<RefCell<BlockWriter>>,
    ) -> Result<Self, BakeError> {
        let own = item.store_path.hash_part();
        let references = item
            .references
            .iter()
            .filter_map(|name| name.get(..HASH_PART));
        let references =
            References::new(references.chain([own])).map_err(|error| malformed(item, &error))?;
        let mut batch = Batch::new(block_writer);
        let dag = Dag::new(&mut |block| batch.add(block));
        let mut hasher = Sha256Hasher::new();
        hasher.update(&frame::HEADER);
        Ok(Self {
            level,
            compressor_pool: Arc::clone(compressor_pool),
            cutter: Cutter::new(parameters, references),
            dag,
            index: IndexBuilder::new(parameters),
            small: SmallPieces::default(),
            batch,
            hasher,
            next: VecDeque::new(),
            in_works: 0,
        })
    }

    /// Takes the next bytes of the NAR; waits while too much is in the works.
    pub(super) fn write(&mut self, item: &Item, mut bytes: &[u8]) -> Result<(), BakeError> {
        let cut = |error| malformed(item, &error);
        while let Some(cut) = self.cutter.push(&mut bytes).map_err(cut)? {
            let next = match cut {
                Cut::Enter => Next::Enter,
                Cut::Leave { size } => Next::Leave { size },
                Cut::Piece(piece) => {
                    let length = piece.data.len() as u64;
                    self.in_works += length;
                    let outcome = self.compressor_pool.compress(self.level, piece.data);
                    Next::Piece { length, outcome }
                }
            };
            self.next.push_back(next);
            // A few pieces are every bake's, however many bakes there are.
            while self.in_works > LEAST && self.compressor_pool.is_busy() {
                self.settle()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, item: &Item) -> Result<Stored, BakeError> {
        self.cutter
            .finish()
            .map_err(|error| malformed(item, &error))?;
        while !self.next.is_empty() {
            self.settle()?;
        }
        self.hasher.update(&frame::TAIL);
        let batch = &mut self.batch;
        let built = self.dag.finish(&mut |block| batch.add(block));
        let index = self.index.finish(&mut |block| batch.add(block));
        let small = self.small.finish(&mut |block| batch.add(block));
        self.batch.finish()?;
        Ok(Stored {
            cid: built.cid,
            index,
            small: small.map(|built| built.cid),
            size: built.size,
            hash: self.hasher.finish(),
        })
    }

    /// Puts what comes next where it belongs.
    fn settle(&mut self) -> Result<(), BakeError> {
        let batch = &mut self.batch;
        match self.next.pop_front() {
            None => return Ok(()),
            Some(Next::Enter) => self.dag.enter(),
            Some(Next::Leave { size }) => self.dag.leave(size, &mut |block| batch.add(block)),
            Some(Next::Piece { length, outcome }) => {
                self.in_works -= length;
                let pressed = outcome
                    .wait()
                    .map_err(|error| BakeError::Compress(error.to_string()))?;
                self.add(pressed);
            }
        }
        self.batch.settle()
    }

    fn add(&mut self, pressed: CompressedPiece) {
        let batch = &mut self.batch;
        self.dag.add(&pressed.leaves, &mut |block| batch.add(block));
        for leaf in &pressed.leaves {
            self.hasher.update(leaf.data());
        }
        // A leaf's CID has its digest.
        let digest = |leaf: &interplanar_core::block::Block| {
            let digest = leaf.cid().hash().digest().try_into();
            digest
                .map(Sha256::from_bytes)
                .unwrap_or_else(|_| Sha256::of(leaf.data()))
        };
        let entry = Entry {
            offset: 0,
            length: pressed.length,
            compressed: pressed.compressed,
            plain: pressed.plain,
            leaves: pressed.leaves.iter().map(digest).collect(),
        };
        self.small.add(&entry, &mut |block| batch.add(block));
        self.index.add(entry, &mut |block| batch.add(block));
        pressed.leaves.into_iter().for_each(|leaf| batch.add(leaf));
    }
}

fn malformed(item: &Item, reason: &dyn std::fmt::Display) -> BakeError {
    BakeError::Nar {
        path: item.store_path.clone(),
        reason: reason.to_string(),
    }
}
