//! A NAR rebuilt from pieces: those of installed items and kept blocks, and only the rest fetched.
//!
//! ```text
//! ChunkIndex of the narinfo ─► index ─► Plan: what is in installed items │ kept blocks │ nowhere here ─► Route: by which requests ─► is it worth it?
//!                                         └─► pieces in order, those ahead fetched side by side, each hashed ─► the NAR, for the Checker
//! ```
//! Nothing is asked for where no installed item is of the same package, and the NAR is small or nothing is indexed; else the cost of finding out is the
//! index. Whatever goes wrong, the other sources go on from the same byte.

use super::ahead::{Ahead, Files};
use super::cache::{Cache, FetchBlocks};
use super::metrics::Metrics;
use crate::installed::{Installed, Pieces, Reader, Spot};
use crate::net::client::{FetchStream, LocalBlocks as _, fetch_block, fetch_ipfs};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid, IpfsUrl};
use interplanar_core::dedup::{self, Body, Entry, Estimate, Index, Plan, Prefer, Route, Way};
use interplanar_core::fetch::{ByteRange, GatewayPool, Line, Options};
use interplanar_core::hash::Sha256;
use interplanar_core::install::{Known, Place, Source};
use interplanar_core::narinfo::Compression;
use interplanar_core::unixfs::Budget;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pieces that are put together at once.
const AT_ONCE: usize = 32;
/// Bytes of pieces that may be ahead of the reader, in units of [`UNIT`].
const AHEAD: usize = 256;
const UNIT: u32 = 64 << 10;
/// Pieces of an index at most: what a NAR of 256 GiB has, some 64 MiB of memory.
const MAX_PIECES: usize = 1 << 18;

/// The target of log lines that say why NARs are fetched as they are (`get --explain`).
pub const EXPLAIN: &str = "interplanar_server::explain";

/// A NAR to rebuild.
pub(super) struct Delta {
    /// What it counts as among sources.
    pub(super) source: Source,
    entries: Vec<Entry>,
    ways: Vec<Way>,
    parts: Parts,
}

/// Where blocks come from.
pub(super) struct Blocks {
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
    ahead: Ahead,
}

/// What a delta is made with.
pub(super) struct Means<'a> {
    pub(super) installed: &'a Arc<Installed>,
    pub(super) prefer: Prefer,
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
        let files = Files::of(&known.narinfo, &entries);
        let (line, prefer) = (blocks.line(), means.prefer);
        let route = Route::new(&plan.fetch, files.forms(), &line, prefer);
        let least = others.iter().filter_map(|one| one.file_size).min();
        let whole = least.unwrap_or(u64::MAX).min(known.narinfo.nar_size());
        let worth = prefer.is_worth(&route.estimate, whole, &line);
        let from = format!("{:?}", here.items);
        tracing::info!(
            target: EXPLAIN,
            item,
            installed = from,
            pieces = entries.len(),
            here = plan.ways.iter().filter(|way| **way != Way::Fetch).count(),
            fetch = plan.bytes,
            requests = route.estimate.requests(),
            ranges = route.estimate.ranges,
            with_all_around = route.estimate.bytes,
            ms = route.estimate.time_us(&line) / 1000,
            whole,
            whole_ms = Estimate::whole(whole).time_us(&line) / 1000,
            round_trip_ms = line.round_trip_ms(),
            bytes_per_second = line.rate(),
            ?prefer,
            "{}", if worth { "only what is not here is fetched" } else { "what is here saves too little, so all is fetched" }
        );
        let blocks = Arc::new(blocks);
        worth.then(|| Self {
            source,
            entries,
            ways: plan.ways,
            parts: Parts {
                ahead: Ahead::new(&blocks, files, route, &plan.fetch),
                readers: here
                    .items
                    .iter()
                    .map(|one| Some(Reader::new(one.clone())))
                    .map(tokio::sync::Mutex::new)
                    .collect(),
                blocks,
                here,
            },
        })
    }

    /// The NAR.
    pub(super) fn open(mut self) -> BoxStream<'static, Result<Bytes, String>> {
        let ahead = Arc::new(Semaphore::new(AHEAD));
        let fetching = self.parts.ahead.begin();
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

    pub(super) async fn block(&self, cid: Cid) -> Result<Bytes, String> {
        let store = Some(self.kept.clone());
        let gateways = Arc::clone(&self.gateways);
        let stream = fetch_block(
            &self.client,
            cid,
            Options::default(),
            gateways,
            store,
            |_| {},
        );
        let mut data = Vec::new();
        self.read(stream, |piece| data.extend_from_slice(&piece))
            .await?;
        Block::verify(cid, data.into())
            .map(|block| block.into_parts().1)
            .map_err(|error| error.to_string())
    }

    /// Has the blocks of a range of a file kept.
    pub(super) async fn range(
        &self,
        root: Cid,
        range: Range<u64>,
        blocks: u64,
    ) -> Result<(), String> {
        let options = Options {
            range: Some(ByteRange {
                from: range.start,
                to: range.end.checked_sub(1),
            }),
            budget: Budget {
                blocks,
                output: range.end.saturating_sub(range.start),
                ..Budget::default()
            },
            ..Options::default()
        };
        let (url, gateways) = (IpfsUrl::new(root), Arc::clone(&self.gateways));
        let store = Some(self.kept.clone());
        let stream = fetch_ipfs(&self.client, &url, options, gateways, store, |_| {});
        self.read(stream, drop).await
    }

    async fn read(
        &self,
        mut stream: FetchStream,
        mut take: impl FnMut(Bytes) + Send,
    ) -> Result<(), String> {
        while let Some(piece) = stream.next().await {
            take(piece.map_err(|error| error.to_string())?);
        }
        let network = stream.summary().map_or(0, |summary| summary.network_bytes);
        self.metrics.ipfs_bytes.add(network);
        Ok(())
    }

    /// Whether a block is kept. Blocking.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.kept.has(cid)
    }

    fn line(&self) -> Line {
        let gateways = self.gateways.lock();
        gateways.unwrap_or_else(PoisonError::into_inner).line()
    }

    /// A piece of which all leaves are kept.
    async fn kept(self: &Arc<Self>, entry: &Entry) -> Option<Bytes> {
        let (blocks, entry) = (Arc::clone(self), entry.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut compressed = Vec::new();
            for cid in entry.cids() {
                compressed.extend_from_slice(&blocks.kept.get(&cid).ok()??);
            }
            // What is wrong with it shows when it is fetched anew.
            entry.open(&compressed).ok()
        });
        read.await.ok()?.map(Bytes::from)
    }
}

impl Parts {
    /// A piece, verified: from an installed item if it has it still, else of its leaves.
    async fn piece(self: &Arc<Self>, entry: Entry, way: Way) -> Result<Bytes, String> {
        if way == Way::Plain
            && let Some(spot) = self.here.find(&entry.plain)
            && let Some(piece) = self.installed(spot, &entry).await
        {
            return Ok(piece);
        }
        for cid in entry.cids() {
            self.ahead.wait(&cid).await;
        }
        if let Some(piece) = self.blocks.kept(&entry).await {
            return Ok(piece);
        }
        let mut compressed = Vec::new();
        for cid in entry.cids() {
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
