//! Reading a baked file back out of the block store, whole or a range of it.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::{Budget, Walker};

use super::Baker;
use crate::blocks::BlockStore;

/// The pieces of a file in order, each verified. Blocks on the disk.
pub(crate) struct Content {
    blocks: BlockStore,
    walker: Walker,
    /// Whom to tell of what that a block is lost.
    damaged: Option<(Baker, String)>,
    ended: bool,
}

impl Content {
    /// The bytes of `range` in the file with this root; the baker is told if they aren't all there.
    pub(crate) fn new(baker: &Baker, hash_part: &str, root: Cid, range: Range<u64>) -> Self {
        let last = range.end.saturating_sub(1);
        Self {
            blocks: baker.blocks().clone(),
            walker: Walker::with_range(root, range.start, Some(last), Budget::default()),
            damaged: Some((baker.clone(), hash_part.to_owned())),
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
                    if let Some((baker, hash_part)) = self.damaged.take() {
                        baker.damaged(&hash_part);
                    }
                    return Err(io::Error::other("a block is lost"));
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
