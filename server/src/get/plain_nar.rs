//! A store item's plain NAR on IPFS, in any order: what is asked for is read from the leaves that have it.

use super::Access;
use crate::cli::Failure;
use anyhow::anyhow;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, RAW};
use interplanar_core::unixfs::{Budget, Walker};
use std::collections::HashMap;

/// Inner nodes that are kept, of some kilobytes each; beyond that all are forgotten.
const MAX_NODES: usize = 1024;

/// See the module.
pub(super) struct Plain<'a> {
    access: &'a Access,
    root: Cid,
    nar_size: u64,
    nodes: HashMap<Cid, Block>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(access: &'a Access, root: Cid, nar_size: u64) -> Self {
        Self {
            access,
            root,
            nar_size,
            nodes: HashMap::new(),
        }
    }

    /// The bytes from an offset to the end of its leaf.
    ///
    /// # Errors
    /// Exit code 4 when nobody has a block, 3 when it is no file or ends before.
    pub(super) async fn at(&mut self, at: u64) -> Result<Bytes, Failure> {
        let mut walker = Walker::with_range(self.root, at, None, Budget::default());
        loop {
            if let Some(bytes) = walker.next() {
                return Ok(bytes);
            }
            if walker.is_done() {
                return Err(lie("it ends early"));
            }
            for cid in walker.wants(1).map_err(lie)? {
                walker.push(self.block(&cid).await?).map_err(lie)?;
            }
            if walker.size().is_some_and(|size| size != self.nar_size) {
                return Err(lie("it has another size"));
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

fn lie(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("the plain NAR of the narinfo is wrong: {what}"))
}
