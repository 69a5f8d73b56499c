//! A store item's plain NAR on IPFS, read in any order: only the leaves that contain the requested
//! bytes are fetched.

use super::Access;
use crate::cli::Failure;
use anyhow::anyhow;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, RAW};
use interplanar_core::unixfs::{Budget, Walker};
use std::collections::HashMap;

/// Inner nodes in memory, of some kilobytes each. When the limit is reached, all are dropped.
const MAX_NODES: usize = 1024;

/// A plain NAR on IPFS. See the module.
pub(super) struct PlainNar<'a> {
    access: &'a Access,
    root: Cid,
    nar_size: u64,
    nodes: HashMap<Cid, Block>,
}

impl<'a> PlainNar<'a> {
    pub(super) fn new(access: &'a Access, root: Cid, nar_size: u64) -> Self {
        Self {
            access,
            root,
            nar_size,
            nodes: HashMap::new(),
        }
    }

    /// Returns the bytes from an offset to the end of its leaf.
    ///
    /// # Errors
    /// Exit code 4 when no source has a block, 3 when the DAG is not a file or ends early.
    pub(super) async fn bytes_at(&mut self, offset: u64) -> Result<Bytes, Failure> {
        let mut walker = Walker::with_range(self.root, offset, None, Budget::default());
        loop {
            if let Some(bytes) = walker.next() {
                return Ok(bytes);
            }
            if walker.is_done() {
                return Err(mismatch("it ends early"));
            }
            for cid in walker.wants(1).map_err(mismatch)? {
                walker.push(self.block(&cid).await?).map_err(mismatch)?;
            }
            if walker.size().is_some_and(|size| size != self.nar_size) {
                return Err(mismatch("its size differs from NarSize"));
            }
        }
    }

    async fn block(&mut self, cid: &Cid) -> Result<Block, Failure> {
        if let Some(node) = self.nodes.get(cid) {
            return Ok(node.clone());
        }
        let block = self.access.block(cid).await?;
        if cid.codec() != RAW {
            if self.nodes.len() >= MAX_NODES {
                self.nodes.clear();
            }
            self.nodes.insert(*cid, block.clone());
        }
        Ok(block)
    }
}

fn mismatch(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("the narinfo names a wrong plain NAR: {what}"))
}
