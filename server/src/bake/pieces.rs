//! The form of a NAR that shares pieces with other items: it is cut into pieces, they are
//! compressed on all processors, and put together in order.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use interplanar_core::cid::Cid;
use interplanar_core::dedup::{
    Cut, Cutter, Dag, IndexBuilder, MAX_PIECE, Parameters, PieceEntry, References, SmallPieces,
    frame,
};
use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::store_path::HASH_PART;

use super::BakeError;
use super::block_writer::{Batch, BlockWriter};
use super::piece_compressor::{CompressedPiece, CompressorPool, PendingPiece};
use crate::store::Item;

/// Pending bytes that every bake may have, however many bakes run.
const MIN_PENDING: u64 = 2 * MAX_PIECE as u64;

/// A step in the order of the NAR.
enum NarStep {
    Piece { length: u64, result: PendingPiece },
    Enter,
    Leave { size: u64 },
}

/// Cuts and compresses one NAR.
pub(super) struct PiecesEncoder {
    level: u32,
    compressor_pool: Arc<CompressorPool>,
    cutter: Cutter,
    dag: Dag,
    index: IndexBuilder,
    small: SmallPieces,
    batch: Batch,
    hasher: Sha256Hasher,
    /// Steps that are not yet written, in the order of the NAR.
    steps: VecDeque<NarStep>,
    /// Bytes of the NAR that were given to the compressors and are not written yet.
    pending_bytes: u64,
}

/// A file that was written to the block store, but is not durable yet.
pub(super) struct StoredPieces {
    pub(super) cid: Cid,
    /// Root of the chunk index.
    pub(super) index: Cid,
    /// Root of the file with the small pieces, if there are any.
    pub(super) small: Option<Cid>,
    pub(super) size: u64,
    pub(super) hash: Sha256,
}

impl PiecesEncoder {
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
            steps: VecDeque::new(),
            pending_bytes: 0,
        })
    }

    /// Compresses the next bytes of the NAR. Waits while too many are pending.
    pub(super) fn write(&mut self, item: &Item, mut bytes: &[u8]) -> Result<(), BakeError> {
        let cut = |error| malformed(item, &error);
        while let Some(cut) = self.cutter.push(&mut bytes).map_err(cut)? {
            let step = match cut {
                Cut::Enter => NarStep::Enter,
                Cut::Leave { size } => NarStep::Leave { size },
                Cut::Piece(piece) => {
                    let length = piece.data.len() as u64;
                    self.pending_bytes += length;
                    let result = self.compressor_pool.compress(self.level, piece.data);
                    NarStep::Piece { length, result }
                }
            };
            self.steps.push_back(step);
            // Each bake may have some bytes pending, however many bakes run.
            while self.pending_bytes > MIN_PENDING && self.compressor_pool.is_busy() {
                self.write_next()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, item: &Item) -> Result<StoredPieces, BakeError> {
        self.cutter
            .finish()
            .map_err(|error| malformed(item, &error))?;
        while !self.steps.is_empty() {
            self.write_next()?;
        }
        self.hasher.update(&frame::TAIL);
        let batch = &mut self.batch;
        let built = self.dag.finish(&mut |block| batch.add(block));
        let index = self.index.finish(&mut |block| batch.add(block));
        let small = self.small.finish(&mut |block| batch.add(block));
        self.batch.finish()?;
        Ok(StoredPieces {
            cid: built.cid,
            index,
            small: small.map(|built| built.cid),
            size: built.size,
            hash: self.hasher.finish(),
        })
    }

    /// Writes the next step to the DAG and the block store.
    fn write_next(&mut self) -> Result<(), BakeError> {
        let batch = &mut self.batch;
        match self.steps.pop_front() {
            None => return Ok(()),
            Some(NarStep::Enter) => self.dag.enter(),
            Some(NarStep::Leave { size }) => self.dag.leave(size, &mut |block| batch.add(block)),
            Some(NarStep::Piece { length, result }) => {
                self.pending_bytes -= length;
                let piece = result
                    .wait()
                    .map_err(|error| BakeError::Compress(error.to_string()))?;
                self.add(piece);
            }
        }
        self.batch.write_if_full()
    }

    fn add(&mut self, piece: CompressedPiece) {
        let batch = &mut self.batch;
        self.dag.add(&piece.leaves, &mut |block| batch.add(block));
        for leaf in &piece.leaves {
            self.hasher.update(leaf.data());
        }
        // The CID of a leaf contains its SHA-256.
        let digest = |leaf: &interplanar_core::block::Block| {
            let digest = leaf.cid().hash().digest().try_into();
            digest
                .map(Sha256::from_bytes)
                .unwrap_or_else(|_| Sha256::of(leaf.data()))
        };
        let entry = PieceEntry {
            offset: 0,
            length: piece.length,
            compressed: piece.compressed,
            plain: piece.plain,
            leaves: piece.leaves.iter().map(digest).collect(),
        };
        self.small.add(&entry, &mut |block| batch.add(block));
        self.index.add(entry, &mut |block| batch.add(block));
        piece.leaves.into_iter().for_each(|leaf| batch.add(leaf));
    }
}

fn malformed(item: &Item, reason: &dyn std::fmt::Display) -> BakeError {
    BakeError::Nar {
        path: item.store_path.clone(),
        reason: reason.to_string(),
    }
}
