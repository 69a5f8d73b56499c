//! Reads a baked file, or a range of it, from the block store.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::{Budget, Walker};

use super::Baker;
use crate::blocks::BlockStore;

/// Yields the verified pieces of a file in order. Blocks.
pub(crate) struct Content {
    blocks: BlockStore,
    walker: Walker,
    /// The baker to notify when a block of this item is lost.
    damage: Option<(Baker, String)>,
    ended: bool,
}

impl Content {
    /// Reads the bytes of `range` in the file with this root. Notifies the baker if blocks are
    /// lost.
    pub(crate) fn new(baker: &Baker, hash_part: &str, root: Cid, range: Range<u64>) -> Self {
        let last = range.end.saturating_sub(1);
        Self {
            blocks: baker.blocks().clone(),
            walker: Walker::with_range(root, range.start, Some(last), Budget::default()),
            damage: Some((baker.clone(), hash_part.to_owned())),
            ended: range.is_empty(),
        }
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(piece) = self.walker.next() {
                return Ok(Some(piece));
            }
            if self.walker.is_done() {
                return Ok(None);
            }
            let wanted = self.walker.wants(1).map_err(io::Error::other)?;
            for cid in wanted {
                let data = self.blocks.get(&cid).map_err(io::Error::other)?;
                let Some(data) = data else {
                    if let Some((baker, hash_part)) = self.damage.take() {
                        baker.forget_damaged(&hash_part);
                    }
                    return Err(io::Error::other(
                        "a block is lost; the item will be baked again",
                    ));
                };
                let block = Block::verify(cid, data).map_err(io::Error::other)?;
                self.walker.push(block).map_err(io::Error::other)?;
            }
        }
    }
}

impl Iterator for Content {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.piece().transpose();
        self.ended = !matches!(piece, Some(Ok(_)));
        piece
    }
}
