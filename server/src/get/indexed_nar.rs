//! A store item's NAR, read piece by piece in any order, by the chunk index in its narinfo.
//!
//! Each piece must have the hash in the chunk index, and the index must have the hash in its CID.
//! Only the whole NAR shows whether the index describes the signed NAR.

use super::Access;
use crate::cli::Failure;
use anyhow::anyhow;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use interplanar_core::cid::Cid;
use interplanar_core::dedup::{PieceEntry, PieceLocation, PieceMap};
use std::ops::Range;
use tokio::task::block_in_place;

/// Pieces that are fetched at once. A piece has at most 4 MiB.
const CONCURRENT_PIECES: usize = 6;

/// A NAR behind a chunk index. See the module.
pub(super) struct IndexedNar<'a> {
    access: &'a Access,
    map: PieceMap,
    /// The last piece with framing, and its offset in the NAR.
    last_framing: Option<(u64, Bytes)>,
}

impl<'a> IndexedNar<'a> {
    /// Fetches the root of the chunk index of a NAR with `nar_size` bytes.
    ///
    /// # Errors
    /// Exit code 4 when no source has the index, 3 when it is not a chunk index or doesn't fit the
    /// NAR.
    pub(super) async fn open(
        access: &'a Access,
        index: &Cid,
        nar_size: u64,
    ) -> Result<Self, Failure> {
        let root = access.block(index).await?;
        Ok(Self {
            access,
            map: PieceMap::new(&root, nar_size).map_err(mismatch)?,
            last_framing: None,
        })
    }

    /// Passes a range of the NAR to `consume`, in order.
    ///
    /// # Errors
    /// Those of [`Self::open`], for the pieces, and those of `consume`.
    pub(super) async fn read(
        &mut self,
        range: Range<u64>,
        mut consume: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let (mut next, mut fetches) = (range.start, FuturesOrdered::new());
        loop {
            while fetches.len() < CONCURRENT_PIECES && next < range.end {
                let entry = self.entry(next).await?;
                next = entry.end();
                fetches.push_back(fetch(self.access, entry));
            }
            let Some(fetched) = fetches.next().await else {
                return Ok(());
            };
            let (start, piece) = fetched?;
            let within =
                |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
            let (from, to) = (within(range.start), within(range.end).min(piece.len()));
            block_in_place(|| consume(piece.get(from..to).unwrap_or_default()))?;
        }
    }

    /// Returns the bytes from an offset to the end of its piece. Keeps the piece for the next
    /// call.
    ///
    /// # Errors
    /// Those of [`Self::open`], for the piece.
    pub(super) async fn bytes_at(&mut self, offset: u64) -> Result<Bytes, Failure> {
        if let Some(rest) = self
            .last_framing
            .as_ref()
            .and_then(|piece| rest_of(piece, offset))
        {
            return Ok(rest);
        }
        let entry = self.entry(offset).await?;
        let fetched = self.last_framing.insert(fetch(self.access, entry).await?);
        rest_of(fetched, offset).ok_or_else(|| mismatch("a piece has another offset"))
    }

    async fn entry(&mut self, offset: u64) -> Result<PieceEntry, Failure> {
        let part = match self.map.place(offset) {
            Some(PieceLocation::Piece(entry)) => return Ok(entry.clone()),
            Some(PieceLocation::Part(cid)) => self.access.block(&cid).await?,
            None => return Err(mismatch("the NAR reaches beyond its pieces")),
        };
        self.map.load(&part).map_err(mismatch)?;
        match self.map.place(offset) {
            Some(PieceLocation::Piece(entry)) => Ok(entry.clone()),
            _ => Err(mismatch("a part of it lacks pieces")),
        }
    }
}

/// Returns the rest of a piece from an offset on, or `None` if the offset is outside.
fn rest_of((start, piece): &(u64, Bytes), offset: u64) -> Option<Bytes> {
    let before = usize::try_from(offset.checked_sub(*start)?).ok()?;
    (before < piece.len()).then(|| piece.slice(before..))
}

/// Fetches and decompresses a piece. Returns it with its offset.
async fn fetch(access: &Access, entry: PieceEntry) -> Result<(u64, Bytes), Failure> {
    let mut compressed = Vec::new();
    for cid in entry.cids() {
        compressed.extend_from_slice(access.block(&cid).await?.data());
    }
    let plain = block_in_place(|| entry.open(&compressed)).map_err(mismatch)?;
    Ok((entry.offset, plain.into()))
}

fn mismatch(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("the narinfo names a wrong chunk index: {what}"))
}
