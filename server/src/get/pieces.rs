//! A store item's NAR piece by piece, in any order, by the chunk index that its narinfo names.
//!
//! What the index says is believed as far as its CID and the signed NarSize go: each piece has the hash that the index says, but whether the index is of
//! the NAR that was signed only the whole NAR can tell.

use super::Access;
use crate::cli::Failure;
use crate::proxy::Available;
use anyhow::anyhow;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use interplanar_core::cid;
use interplanar_core::dedup::{self, Entry, PieceMap, Place, frame};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::{Listing, Skim};
use std::ops::Range;
use tokio::task::block_in_place;

/// Pieces that are fetched at once, of up to 4 MiB each.
const AT_ONCE: usize = 6;

/// See the module.
pub struct Pieces<'a> {
    access: &'a Access,
    map: PieceMap,
    nar_size: u64,
    /// The last piece of framing, and where it starts.
    held: Option<(u64, Bytes)>,
}

impl<'a> Pieces<'a> {
    /// Fetches the root of an item's index; `None` if its narinfo names none.
    ///
    /// # Errors
    /// Exit code 4 when nobody has the index, 3 when it is none, or not one of this NAR.
    pub async fn open(access: &'a Access, item: &Available) -> Result<Option<Self>, Failure> {
        let narinfo = item.narinfo();
        let Some(field) = narinfo.extra(dedup::FIELD) else {
            return Ok(None);
        };
        let root = access.block(&cid::parse(field)?).await?;
        let nar_size = narinfo.nar_size();
        Ok(Some(Self {
            access,
            map: PieceMap::new(&root, nar_size).map_err(lie)?,
            nar_size,
            held: None,
        }))
    }

    /// The tree of the item, from the pieces that have framing; it ends early once `found` says so.
    ///
    /// # Errors
    /// As [`Self::open`], for pieces.
    pub async fn listing(&mut self, found: impl Fn(&Listing) -> bool) -> Result<Listing, Failure> {
        let mut skim = Skim::new();
        while !skim.is_done() && !found(skim.listing()) {
            let (start, piece) = self.hold(skim.position()).await?;
            let before = usize::try_from(skim.position().saturating_sub(start))?;
            let rest = piece.get(before..).unwrap_or_default();
            block_in_place(|| skim.push(rest)).map_err(lie)?;
        }
        if skim.is_done() && skim.position() != self.nar_size {
            return Err(lie("its NAR ends early"));
        }
        Ok(skim.listing().clone())
    }

    /// Hands bytes of the NAR to `take`, in order.
    ///
    /// # Errors
    /// As [`Self::open`], for pieces; those of `take`.
    pub async fn read(
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

    /// The piece that has a byte, kept for the next time.
    async fn hold(&mut self, at: u64) -> Result<(u64, Bytes), Failure> {
        if let Some((start, piece)) = &self.held
            && (*start..start.saturating_add(piece.len() as u64)).contains(&at)
        {
            return Ok((*start, piece.clone()));
        }
        let entry = self.entry(at).await?;
        let fetched = fetch(self.access, entry).await?;
        self.held = Some(fetched.clone());
        Ok(fetched)
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

/// A piece and where it starts.
async fn fetch(access: &Access, entry: Entry) -> Result<(u64, Bytes), Failure> {
    let mut compressed = Vec::new();
    for cid in entry.cids() {
        compressed.extend_from_slice(access.block(&cid).await?.data());
    }
    let plain = block_in_place(|| {
        let plain = frame::decode(&compressed, entry.length).map_err(lie)?;
        let right = Sha256::of(&plain) == entry.plain;
        right
            .then_some(plain)
            .ok_or_else(|| lie("a piece has another hash"))
    })?;
    Ok((entry.offset, plain.into()))
}

fn lie(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("the chunk index of the narinfo is wrong: {what}"))
}
