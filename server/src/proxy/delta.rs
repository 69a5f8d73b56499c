//! Rebuilds a NAR from pieces of installed items and stored blocks, and fetches only the rest.
//!
//! ```text
//! chunk index of the narinfo
//!   ─► Plan: pieces in installed items │ in stored blocks │ missing
//!   ─► Route: requests for the missing ones ─► is it cheaper than the whole NAR?
//!   ─► pieces in order, the next ones fetched in parallel, each hashed ─► the NAR, for the Checker
//! ```
//! If no installed item has the same package, and the NAR is small or the index is empty, nothing
//! is requested. Otherwise the chunk index is fetched first. If the rebuild fails, the next source
//! continues from the same byte.

use super::cache::{Cache, FetchBlocks};
use super::metrics::Metrics;
use super::prefetch::{Prefetch, RangeFiles};
use crate::installed::{FoundPieces, Installed, ItemReader, PieceLocation};
use crate::net::client::{FetchStream, LocalBlocks as _, fetch_block, fetch_ipfs};
use crate::task;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid, IpfsUrl};
use interplanar_core::dedup::{
    self, Estimate, Index, IndexBody, PieceEntry, PieceSource, Plan, Prefer, Route,
};
use interplanar_core::fetch::{ByteRange, GatewayPool, LinkSpeed, Options};
use interplanar_core::hash::Sha256;
use interplanar_core::install::{Known, Place, Source};
use interplanar_core::narinfo::Compression;
use interplanar_core::unixfs::Budget;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pieces that are assembled at once.
const MAX_CONCURRENT: usize = 32;
/// Bytes of pieces that may be ready before the client reads them, in units of [`UNIT`].
const MAX_READY: usize = 256;
const UNIT: u32 = 64 << 10;
/// Maximum number of pieces in an index: those of a NAR of 256 GiB, about 64 MiB of memory.
const MAX_PIECES: usize = 1 << 18;

/// Target of the log lines with download plans (`get --explain`).
pub const EXPLAIN: &str = "interplanar_server::explain";

/// A NAR that will be rebuilt.
pub(super) struct Delta {
    /// The chunk index as a source of the NAR.
    pub(super) source: Source,
    entries: Vec<PieceEntry>,
    piece_sources: Vec<PieceSource>,
    sources: PieceSources,
}

/// Fetches blocks from gateways into the block store.
pub(super) struct BlockFetcher {
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    store: FetchBlocks,
    metrics: Arc<Metrics>,
}

/// The sources of pieces.
struct PieceSources {
    blocks: Arc<BlockFetcher>,
    installed_pieces: FoundPieces,
    readers: Vec<tokio::sync::Mutex<Option<ItemReader>>>,
    prefetch: Prefetch,
}

/// What [`Delta::prepare`] needs.
pub(super) struct DeltaContext<'a> {
    pub(super) installed: &'a Arc<Installed>,
    pub(super) prefer: Prefer,
    pub(super) client: &'a reqwest::Client,
    pub(super) gateways: &'a Arc<Mutex<GatewayPool>>,
    pub(super) cache: &'a Arc<Cache>,
    pub(super) metrics: &'a Arc<Metrics>,
}

/// Returns the chunk index that a narinfo names, as a source.
pub(super) fn source(known: &Known) -> Option<(Cid, Source)> {
    let index = cid::parse(known.hints.extra(dedup::FIELD)?).ok()?;
    let source = Source {
        place: Place::Ipfs(IpfsUrl::new(index)),
        compression: Compression::None,
        file_size: None,
    };
    Some((index, source))
}

impl Delta {
    /// Plans the rebuild of a NAR. Returns `None` if fetching the whole NAR is cheaper. The log has
    /// the reasons.
    pub(super) async fn prepare(
        context: DeltaContext<'_>,
        known: &Known,
        (index, source): (Cid, Source),
        others: &[Source],
    ) -> Option<Self> {
        let item = known.signed.store_path().as_str();
        let (installed, wanted) = (
            Arc::clone(context.installed),
            known.signed.store_path().clone(),
        );
        let nar_size = known.signed.nar_size();
        let candidates = task::blocking(("finding similar items", item), move || {
            let candidates = installed.candidates(&wanted);
            let any = !candidates.is_empty() || installed.knows_others(nar_size);
            any.then_some(candidates)
        });
        let Some(candidates) = candidates.await.ok()? else {
            tracing::info!(target: EXPLAIN, item, "no similar item is installed: fetching the whole item");
            return None;
        };
        let blocks = BlockFetcher {
            client: context.client.clone(),
            gateways: Arc::clone(context.gateways),
            store: context.cache.for_fetch(&index),
            metrics: Arc::clone(context.metrics),
        };
        let loaded = blocks.index(index, known.signed.nar_size()).await;
        let (read, entries) = loaded
            .map_err(|error| tracing::warn!(item, error, "can't use the chunk index"))
            .ok()?;
        let installed = Arc::clone(context.installed);
        let wanted: Vec<_> = entries.iter().map(|one| (one.plain, one.length)).collect();
        let pieces = move || installed.pieces(candidates, &read.parameters, &wanted);
        let installed_pieces = task::blocking(("finding installed pieces", item), pieces)
            .await
            .ok()?;
        let store = context.cache.blocks();
        let has = |cid: &Cid| store.has(cid).unwrap_or(false);
        let plan = Plan::new(
            &entries,
            |plain| installed_pieces.find(plain).is_some(),
            has,
        );
        let files = RangeFiles::of(&known.hints, &entries);
        let (line, prefer) = (blocks.line(), context.prefer);
        let route = Route::new(&plan.fetch, files.forms(), &line, prefer);
        let least = others.iter().filter_map(|one| one.file_size).min();
        let whole = least.unwrap_or(u64::MAX).min(known.signed.nar_size());
        let worth = prefer.is_worth(&route.estimate, whole, &line);
        let from = format!("{:?}", installed_pieces.items);
        tracing::info!(
            target: EXPLAIN,
            item,
            installed = from,
            pieces = entries.len(),
            reused = plan.sources.iter().filter(|way| **way != PieceSource::Fetch).count(),
            fetch_bytes = plan.bytes,
            requests = route.estimate.requests(),
            ranges = route.estimate.ranges,
            download_bytes = route.estimate.bytes,
            estimated_ms = route.estimate.time_us(&line) / 1000,
            whole_bytes = whole,
            whole_ms = Estimate::whole(whole).time_us(&line) / 1000,
            round_trip_ms = line.round_trip_ms(),
            bytes_per_second = line.rate(),
            ?prefer,
            "{}", if worth { "fetching only the missing pieces" } else { "installed items save too little: fetching the whole item" }
        );
        let blocks = Arc::new(blocks);
        worth.then(|| Self {
            source,
            entries,
            piece_sources: plan.sources,
            sources: PieceSources {
                prefetch: Prefetch::new(&blocks, files, route, &plan.fetch),
                readers: installed_pieces
                    .items
                    .iter()
                    .map(|one| Some(ItemReader::new(one.clone())))
                    .map(tokio::sync::Mutex::new)
                    .collect(),
                blocks,
                installed_pieces,
            },
        })
    }

    /// Returns the bytes of the NAR.
    pub(super) fn open(mut self) -> BoxStream<'static, Result<Bytes, String>> {
        let ready = Arc::new(Semaphore::new(MAX_READY));
        let fetching = self.sources.prefetch.begin();
        let sources = Arc::new(self.sources);
        let pieces = self.entries.into_iter().zip(self.piece_sources);
        let pieces = futures_util::stream::iter(pieces).map(move |(entry, way)| {
            let (sources, ready) = (Arc::clone(&sources), Arc::clone(&ready));
            async move {
                let room = ready.acquire_many_owned(entry.length.div_ceil(UNIT)).await;
                let room = room.map_err(|error| error.to_string())?;
                let piece = sources.piece(entry, way).await?;
                Ok::<(Bytes, OwnedSemaphorePermit), String>((piece, room))
            }
        });
        pieces
            .buffered(MAX_CONCURRENT)
            .map(move |piece| {
                // The requests are cancelled when the stream is dropped.
                let _fetching = &fetching;
                piece.map(|(piece, _room)| piece)
            })
            .boxed()
    }
}

impl BlockFetcher {
    /// Fetches the chunk index with all its pieces.
    async fn index(&self, root: Cid, nar_size: u64) -> Result<(Index, Vec<PieceEntry>), String> {
        let block = self.block(root).await?;
        let mut index = Index::of_nar(&block, nar_size).map_err(|error| error.to_string())?;
        let body = std::mem::replace(&mut index.body, IndexBody::Parts(Vec::new()));
        let parts = match body {
            IndexBody::Pieces(pieces) => return Ok((index, pieces)),
            IndexBody::Parts(parts) => parts,
        };
        let count: u64 = parts.iter().map(|part| u64::from(part.pieces)).sum();
        if count > MAX_PIECES as u64 {
            return Err(format!("it has {count} pieces, more than {MAX_PIECES}"));
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
        let store = Some(self.store.clone());
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

    /// Fetches a range of a file into the block store.
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
        let store = Some(self.store.clone());
        let stream = fetch_ipfs(&self.client, &url, options, gateways, store, |_| {});
        self.read(stream, drop).await
    }

    async fn read(
        &self,
        mut stream: FetchStream,
        mut consume: impl FnMut(Bytes) + Send,
    ) -> Result<(), String> {
        while let Some(piece) = stream.next().await {
            consume(piece.map_err(|error| error.to_string())?);
        }
        let network = stream.summary().map_or(0, |summary| summary.network_bytes);
        self.metrics.ipfs_bytes.add(network);
        Ok(())
    }

    /// Returns whether a block is stored. Blocking.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.store.has(cid)
    }

    fn line(&self) -> LinkSpeed {
        let gateways = self.gateways.lock();
        gateways.unwrap_or_else(PoisonError::into_inner).line()
    }

    /// Returns a piece if all its leaves are stored.
    async fn stored_piece(self: &Arc<Self>, entry: &PieceEntry) -> Option<Bytes> {
        let (blocks, entry) = (Arc::clone(self), entry.clone());
        let read = task::blocking("reading a piece", move || {
            let mut compressed = Vec::new();
            for cid in entry.cids() {
                compressed.extend_from_slice(&blocks.store.get(&cid).ok()??);
            }
            // If it is damaged, it is fetched again.
            entry.open(&compressed).ok()
        });
        read.await.ok()?.map(Bytes::from)
    }
}

impl PieceSources {
    /// Returns a verified piece: from an installed item, else from stored blocks, else from
    /// gateways.
    async fn piece(self: &Arc<Self>, entry: PieceEntry, way: PieceSource) -> Result<Bytes, String> {
        if way == PieceSource::Plain
            && let Some(location) = self.installed_pieces.find(&entry.plain)
            && let Some(piece) = self.installed(location, &entry).await
        {
            return Ok(piece);
        }
        for cid in entry.cids() {
            self.prefetch.wait(&cid).await;
        }
        if let Some(piece) = self.blocks.stored_piece(&entry).await {
            return Ok(piece);
        }
        let mut compressed = Vec::new();
        for cid in entry.cids() {
            compressed.extend_from_slice(&self.blocks.block(cid).await?);
        }
        let plain = task::blocking("decompressing a piece", move || entry.open(&compressed)).await;
        let plain = plain.map_err(|error| error.to_string())?;
        plain.map(Bytes::from).map_err(|error| error.to_string())
    }

    async fn installed(
        self: &Arc<Self>,
        location: PieceLocation,
        entry: &PieceEntry,
    ) -> Option<Bytes> {
        let mut slot = self.readers.get(location.item)?.lock().await;
        let mut reader = slot.take()?;
        let expected = entry.plain;
        let read = task::blocking("reading an installed item", move || {
            let piece = reader.piece(location);
            let right = piece
                .as_ref()
                .is_some_and(|piece| Sha256::of(piece) == expected);
            (reader, piece.filter(|_| right))
        });
        let (reader, piece) = read.await.ok()?;
        if piece.is_some() {
            *slot = Some(reader);
        } else {
            // The item was altered, or its pieces are in another order. Its other pieces are
            // fetched too.
            let item = self.installed_pieces.items.get(location.item).cloned();
            tracing::warn!(
                ?item,
                "an installed item no longer has an indexed piece, so it is not used any more"
            );
            let this = Arc::clone(self);
            let invalidate = move || {
                item.iter()
                    .for_each(|item| this.installed_pieces.invalidate(item))
            };
            task::blocking("changing the index", invalidate);
        }
        let piece = piece?;
        self.blocks.metrics.installed_bytes.add(piece.len() as u64);
        Some(piece.into())
    }
}
