//! Stores an item as a UnixFS directory, and its plain NAR over the blocks of its files.

use std::cell::RefCell;
use std::rc::Rc;

use interplanar_core::dedup::{self, TreeBuilder};

use super::BakeError;
use super::block_writer::{Batch, BlockWriter};
use crate::store::Item;

/// Builds the directory and the NAR.
pub(super) struct TreeEncoder {
    builder: TreeBuilder,
    batch: Batch,
}

impl TreeEncoder {
    pub(super) fn new(block_writer: &Rc<RefCell<BlockWriter>>) -> Self {
        Self {
            builder: TreeBuilder::new(),
            batch: Batch::new(block_writer),
        }
    }

    /// Stores the next bytes of the NAR.
    pub(super) fn write(&mut self, item: &Item, bytes: &[u8]) -> Result<(), BakeError> {
        let batch = &mut self.batch;
        self.builder
            .push(bytes, &mut |block| batch.add(block))
            .map_err(|error| malformed(item, &error))?;
        self.batch.write_if_full()
    }

    pub(super) fn finish(mut self, item: &Item) -> Result<dedup::BuiltTree, BakeError> {
        let batch = &mut self.batch;
        let tree = self
            .builder
            .finish(&mut |block| batch.add(block))
            .map_err(|error| malformed(item, &error))?;
        self.batch.finish()?;
        Ok(tree)
    }
}

fn malformed(item: &Item, reason: &dyn std::fmt::Display) -> BakeError {
    BakeError::Nar {
        path: item.store_path.clone(),
        reason: reason.to_string(),
    }
}
