//! A store item's NAR piece by piece, in any order, by the chunk index that its narinfo names.
//!
//! What the index says is believed as far as its CID and the signed NarSize go: each piece has the hash that the index says, but whether the index is of
//! the NAR that was signed only the whole NAR can tell.

use super::Access;
use crate::cli::Failure;
use anyhow::anyhow;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use interplanar_core::cid::Cid;
use interplanar_core::dedup::{Entry, PieceMap, Place};
use std::ops::Range;
use tokio::task::block_in_place;

/// Pieces that are fetched at once, of up to 4 MiB each.
const AT_ONCE: usize = 6;

/// See the module.
pub(super) struct Pieces<'a> {
    access: &'a Access,
    map: PieceMap,
    /// The last piece of framing, and where it starts.
    held: Option<(u64, Bytes)>,
}

impl<'a> Pieces<'a> {
    /// Fetches the root of the index of a NAR of this size.
    ///
    /// # Errors
    /// Exit code 4 when nobody has the index, 3 when it is none, or not one of this NAR.
    pub(super) async fn open(
        access: &'a Access,
        index: &Cid,
        nar_size: u64,
    ) -> Result<Self, Failure> {
        let root = access.block(index).await?;
        Ok(Self {
            access,
            map: PieceMap::new(&root, nar_size).map_err(lie)?,
            held: None,
        })
    }

    /// Hands bytes of the NAR to `take`, in order.
    ///
    /// # Errors
    /// As [`Self::open`], for pieces; those of `take`.
    pub(super) async fn read(
        &mut self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let (mut next, mut coming) = (range.start, FuturesOrdered::new());
        loop {
            while coming.len() < AT_ONCE && next < range.end {
                let entry = self.entry(next).await?;
                next = entry.end();
                coming.push_back(fetch(self.access, entry));
            }
            let Some(fetched) = coming.next().await else {
                return Ok(());
            };
            let (start, piece) = fetched?;
            let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
            let (from, to) = (within(range.start), within(range.end).min(piece.len()));
            block_in_place(|| take(piece.get(from..to).unwrap_or_default()))?;
        }
    }

    /// The bytes from an offset to the end of its piece, which is kept for the next time.
    ///
    /// # Errors
    /// As [`Self::open`], for the piece.
    pub(super) async fn at(&mut self, at: u64) -> Result<Bytes, Failure> {
        if let Some(rest) = self.held.as_ref().and_then(|held| behind(held, at)) {
            return Ok(rest);
        }
        let entry = self.entry(at).await?;
        let fetched = self.held.insert(fetch(self.access, entry).await?);
        behind(fetched, at).ok_or_else(|| lie("a piece is elsewhere"))
    }

    async fn entry(&mut self, at: u64) -> Result<Entry, Failure> {
        let part = match self.map.place(at) {
            Some(Place::Piece(entry)) => return Ok(entry.clone()),
            Some(Place::Part(cid)) => self.access.block(&cid).await?,
            None => return Err(lie("its NAR goes on behind the end")),
        };
        self.map.load(&part).map_err(lie)?;
        match self.map.place(at) {
            Some(Place::Piece(entry)) => Ok(entry.clone()),
            _ => Err(lie("a part of it has not the pieces that it should have")),
        }
    }
}

/// What a piece has from an offset on; `None` if it isn't in it.
fn behind((start, piece): &(u64, Bytes), at: u64) -> Option<Bytes> {
    let before = usize::try_from(at.checked_sub(*start)?).ok()?;
    (before < piece.len()).then(|| piece.slice(before..))
}

/// A piece and where it starts.
async fn fetch(access: &Access, entry: Entry) -> Result<(u64, Bytes), Failure> {
    let mut compressed = Vec::new();
    for cid in entry.cids() {
        compressed.extend_from_slice(access.block(&cid).await?.data());
    }
    let plain = block_in_place(|| entry.open(&compressed)).map_err(lie)?;
    Ok((entry.offset, plain.into()))
}

fn lie(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("the chunk index of the narinfo is wrong: {what}"))
}
