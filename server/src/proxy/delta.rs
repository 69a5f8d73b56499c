//! A NAR rebuilt from pieces: those of installed items and kept blocks, and only the rest fetched.
//!
//! ```text
//! ChunkIndex of the narinfo ─► index ─► Plan: what is in installed items │ kept blocks │ nowhere here ─► is it worth it?
//!                                         └─► pieces in order, those ahead fetched side by side, each hashed ─► the NAR, for the Checker
//! ```
//! Nothing is asked for where no installed item is of the same package, and the NAR is small or nothing is indexed; else the cost of finding out is the
//! index. Whatever goes wrong, the other sources go on from the same byte.

use super::cache::{Cache, FetchBlocks};
use super::metrics::Metrics;
use crate::installed::{Installed, Pieces, Reader, Spot};
use crate::net::client::fetch_block;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::{BoxStream, StreamExt as _};
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid, IpfsUrl};
use interplanar_core::dedup::{self, Body, Entry, Index, Plan, Way};
use interplanar_core::fetch::{GatewayPool, Options};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::Compression;
use interplanar_core::relay::{Known, Place, Source};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Pieces that are put together at once.
const AT_ONCE: usize = 32;
/// Leaves that are fetched at once, wherever in the NAR they are: those of a rebuild are many and small, and cost a round trip each.
const FETCHED_AT_ONCE: usize = 32;
/// Bytes of pieces that may be ahead of the reader, in units of [`UNIT`].
const AHEAD: usize = 256;
const UNIT: u32 = 64 << 10;
/// Pieces of an index at most: what a NAR of 256 GiB has, some 64 MiB of memory.
const MAX_PIECES: usize = 1 << 18;
/// The rebuilt NAR must cost less than so many percent of the smallest file that is offered.
const WORTH: u64 = 90;

/// The target of log lines that say why NARs are fetched as they are (`get --explain`).
pub const EXPLAIN: &str = "interplanar_server::explain";

/// A NAR to rebuild.
pub(super) struct Delta {
    /// What it counts as among sources.
    pub(super) source: Source,
    entries: Vec<Entry>,
    ways: Vec<Way>,
    /// Leaves to fetch, in the order of the NAR.
    fetch: Vec<Cid>,
    parts: Parts,
}

/// Where blocks come from.
struct Blocks {
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    kept: FetchBlocks,
    metrics: Arc<Metrics>,
}

/// Where pieces come from.
struct Parts {
    blocks: Arc<Blocks>,
    here: Pieces,
    readers: Vec<tokio::sync::Mutex<Option<Reader>>>,
    /// Leaves that are being fetched into the kept blocks.
    coming: HashMap<Cid, Coming>,
}

type Coming = Shared<BoxFuture<'static, ()>>;

/// What a delta is made with.
pub(super) struct Means<'a> {
    pub(super) installed: &'a Arc<Installed>,
    pub(super) client: &'a reqwest::Client,
    pub(super) gateways: &'a Arc<Mutex<GatewayPool>>,
    pub(super) cache: &'a Arc<Cache>,
    pub(super) metrics: &'a Arc<Metrics>,
}

/// The chunk index of a narinfo, as a source.
pub(super) fn source(known: &Known) -> Option<(Cid, Source)> {
    let index = cid::parse(known.narinfo.extra(dedup::FIELD)?).ok()?;
    let source = Source {
        place: Place::Ipfs(IpfsUrl::new(index)),
        compression: Compression::None,
        file_size: None,
    };
    Some((index, source))
}

impl Delta {
    /// What it takes to rebuild the NAR; `None` where that is not worth it. The log says why.
    pub(super) async fn prepare(
        means: Means<'_>,
        known: &Known,
        (index, source): (Cid, Source),
        others: &[Source],
    ) -> Option<Self> {
        let item = known.narinfo.store_path().as_str();
        let (installed, wanted) = (
            Arc::clone(means.installed),
            known.narinfo.store_path().clone(),
        );
        let nar_size = known.narinfo.nar_size();
        let candidates = tokio::task::spawn_blocking(move || {
            let candidates = installed.candidates(&wanted);
            let any = !candidates.is_empty() || installed.knows_others(nar_size);
            any.then_some(candidates)
        });
        let Some(candidates) = candidates.await.ok()? else {
            tracing::info!(target: EXPLAIN, item, "no other version of it is installed, so all is fetched");
            return None;
        };
        let blocks = Blocks {
            client: means.client.clone(),
            gateways: Arc::clone(means.gateways),
            kept: means.cache.for_fetch(&index),
            metrics: Arc::clone(means.metrics),
        };
        let loaded = blocks.index(index, known.narinfo.nar_size()).await;
        let (read, entries) = loaded
            .map_err(|error| tracing::warn!(item, error, "the chunk index is of no use"))
            .ok()?;
        let installed = Arc::clone(means.installed);
        let wanted: Vec<_> = entries.iter().map(|one| (one.plain, one.length)).collect();
        let pieces = move || installed.pieces(candidates, &read.parameters, &wanted);
        let here = tokio::task::spawn_blocking(pieces).await.ok()?;
        let kept = means.cache.blocks();
        let has = |cid: &Cid| kept.has(cid).unwrap_or(false);
        let plan = Plan::new(&entries, |plain| here.find(plain).is_some(), has);
        let least = others.iter().filter_map(|one| one.file_size).min();
        let whole = least.unwrap_or(u64::MAX).min(known.narinfo.nar_size());
        let worth = plan.bytes < whole / 100 * WORTH;
        let from = format!("{:?}", here.items);
        tracing::info!(
            target: EXPLAIN,
            item,
            installed = from,
            pieces = entries.len(),
            here = plan.ways.iter().filter(|way| **way != Way::Fetch).count(),
            fetch = plan.bytes,
            whole,
            "{}", if worth { "only what is not here is fetched" } else { "little of it is here, so all is fetched" }
        );
        worth.then(|| Self {
            source,
            entries,
            ways: plan.ways,
            parts: Parts::new(blocks, here, &plan.fetch),
            fetch: plan.fetch,
        })
    }

    /// The NAR.
    pub(super) fn open(self) -> BoxStream<'static, Result<Bytes, String>> {
        let ahead = Arc::new(Semaphore::new(AHEAD));
        let fetching = self.parts.fetch_ahead(&self.fetch);
        let parts = Arc::new(self.parts);
        let pieces = self.entries.into_iter().zip(self.ways);
        let pieces = futures_util::stream::iter(pieces).map(move |(entry, way)| {
            let (parts, ahead) = (Arc::clone(&parts), Arc::clone(&ahead));
            async move {
                let room = ahead.acquire_many_owned(entry.length.div_ceil(UNIT)).await;
                let room = room.map_err(|error| error.to_string())?;
                let piece = parts.piece(entry, way).await?;
                Ok::<(Bytes, OwnedSemaphorePermit), String>((piece, room))
            }
        });
        pieces
            .buffered(AT_ONCE)
            .map(move |piece| {
                // Ends with the stream.
                let _fetching = &fetching;
                piece.map(|(piece, _room)| piece)
            })
            .boxed()
    }
}

impl Blocks {
    /// The index, and all its pieces.
    async fn index(&self, root: Cid, nar_size: u64) -> Result<(Index, Vec<Entry>), String> {
        let block = self.block(root).await?;
        let mut index = Index::of_nar(&block, nar_size).map_err(|error| error.to_string())?;
        let body = std::mem::replace(&mut index.body, Body::Parts(Vec::new()));
        let parts = match body {
            Body::Pieces(pieces) => return Ok((index, pieces)),
            Body::Parts(parts) => parts,
        };
        let count: u64 = parts.iter().map(|part| u64::from(part.pieces)).sum();
        if count > MAX_PIECES as u64 {
            return Err(format!("it has {count} pieces"));
        }
        let mut pieces = Vec::new();
        for part in parts {
            let block = self.block(part.cid).await?;
            let more = part.decode(&block).map_err(|error| error.to_string())?;
            pieces.extend(more);
        }
        Ok((index, pieces))
    }

    async fn block(&self, cid: Cid) -> Result<Bytes, String> {
        let store = Some(self.kept.clone());
        let gateways = Arc::clone(&self.gateways);
        let mut stream = fetch_block(
            &self.client,
            cid,
            Options::default(),
            gateways,
            store,
            |_| {},
        );
        let mut data = Vec::new();
        while let Some(piece) = stream.next().await {
            data.extend_from_slice(&piece.map_err(|error| error.to_string())?);
        }
        let network = stream.summary().map_or(0, |summary| summary.network_bytes);
        self.metrics.ipfs_bytes.add(network);
        Block::verify(cid, data.into())
            .map(|block| block.into_parts().1)
            .map_err(|error| error.to_string())
    }
}

impl Parts {
    /// The leaves that nobody has here are fetched when [`Self::fetch_ahead`] is called, or when a piece needs them.
    fn new(blocks: Blocks, here: Pieces, leaves: &[Cid]) -> Self {
        let blocks = Arc::new(blocks);
        let coming = |cid: &Cid| {
            let (blocks, cid) = (Arc::clone(&blocks), *cid);
            let fetched = async move {
                // Whoever needs it asks once more, and says what is wrong.
                let _ = blocks.block(cid).await;
            };
            (cid, fetched.boxed().shared())
        };
        let readers = here.items.iter().map(|one| Some(Reader::new(one.clone())));
        Self {
            coming: leaves.iter().map(coming).collect(),
            readers: readers.map(tokio::sync::Mutex::new).collect(),
            blocks,
            here,
        }
    }

    /// Begins to fetch, until the task is dropped.
    fn fetch_ahead(&self, leaves: &[Cid]) -> JoinSet<()> {
        let coming = leaves
            .iter()
            .filter_map(|cid| self.coming.get(cid).cloned());
        let all = futures_util::stream::iter(coming.collect::<Vec<_>>());
        let mut fetching = JoinSet::new();
        fetching.spawn(all.buffer_unordered(FETCHED_AT_ONCE).collect());
        fetching
    }

    /// A piece, verified: from an installed item if it has it still, else of its leaves.
    async fn piece(self: &Arc<Self>, entry: Entry, way: Way) -> Result<Bytes, String> {
        if way == Way::Plain
            && let Some(spot) = self.here.find(&entry.plain)
            && let Some(piece) = self.installed(spot, &entry).await
        {
            return Ok(piece);
        }
        let mut compressed = Vec::new();
        for cid in entry.cids() {
            if let Some(coming) = self.coming.get(&cid) {
                coming.clone().await;
            }
            compressed.extend_from_slice(&self.blocks.block(cid).await?);
        }
        let plain = tokio::task::spawn_blocking(move || entry.open(&compressed)).await;
        let plain = plain.map_err(|error| error.to_string())?;
        plain.map(Bytes::from).map_err(|error| error.to_string())
    }

    async fn installed(self: &Arc<Self>, spot: Spot, entry: &Entry) -> Option<Bytes> {
        let mut slot = self.readers.get(spot.item)?.lock().await;
        let mut reader = slot.take()?;
        let expected = entry.plain;
        let read = tokio::task::spawn_blocking(move || {
            let piece = reader.piece(spot);
            let right = piece
                .as_ref()
                .is_some_and(|piece| Sha256::of(piece) == expected);
            (reader, piece.filter(|_| right))
        });
        let (reader, piece) = read.await.ok()?;
        if piece.is_some() {
            *slot = Some(reader);
        } else {
            // It was altered, or its pieces stand in another order: the rest of its pieces is fetched.
            let item = self.here.items.get(spot.item).cloned();
            tracing::warn!(
                ?item,
                "an installed item has not the piece that it had, so it is used no more"
            );
            let this = Arc::clone(self);
            let distrust = move || item.iter().for_each(|item| this.here.distrust(item));
            tokio::task::spawn_blocking(distrust);
        }
        let piece = piece?;
        self.blocks.metrics.installed_bytes.add(piece.len() as u64);
        Some(piece.into())
    }
}
