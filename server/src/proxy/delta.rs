//! A NAR rebuilt from pieces: those of installed items and kept blocks, and only the rest fetched.
//!
//! ```text
//! ChunkIndex of the narinfo ─► index ─► Plan: what is in installed items │ kept blocks │ nowhere here ─► is it worth it?
//!                                         └─► pieces in order, those ahead fetched side by side, each hashed ─► the NAR, for the Checker
//! ```
//! Nothing is asked for where no installed item is of the same package; where one is, the cost of finding out is the index. Whatever goes wrong, the other
//! sources go on from the same byte.

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
use interplanar_core::dedup::{self, Body, Entry, Index, Plan, Way, frame};
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
    fetch: Vec<Cid>,
    parts: Parts,
}

/// What every piece needs.
struct Parts {
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    blocks: FetchBlocks,
    metrics: Arc<Metrics>,
    here: Pieces,
    readers: Vec<tokio::sync::Mutex<Option<Reader>>>,
    /// Leaves that are being fetched into the kept blocks.
    coming: HashMap<Cid, Shared<BoxFuture<'static, ()>>>,
}

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
        others: &[Source],
    ) -> Option<Self> {
        let (index, source) = source(known)?;
        let item = known.narinfo.store_path().as_str();
        let (installed, wanted) = (
            Arc::clone(means.installed),
            known.narinfo.store_path().clone(),
        );
        let candidates = tokio::task::spawn_blocking(move || installed.candidates(&wanted));
        let candidates = candidates.await.ok()?;
        if candidates.is_empty() {
            tracing::info!(target: EXPLAIN, item, "no other version of it is installed, so all is fetched");
            return None;
        }
        let blocks = means.cache.for_fetch(&index);
        let mut parts = Parts {
            client: means.client.clone(),
            gateways: Arc::clone(means.gateways),
            blocks,
            metrics: Arc::clone(means.metrics),
            here: Pieces::default(),
            readers: Vec::new(),
            coming: HashMap::new(),
        };
        let loaded = parts.index(index, known.narinfo.nar_size()).await;
        let (read, entries) = loaded
            .map_err(|error| tracing::warn!(item, error, "the chunk index is of no use"))
            .ok()?;
        let installed = Arc::clone(means.installed);
        let pieces = move || installed.pieces(candidates, &read.parameters);
        parts.here = tokio::task::spawn_blocking(pieces).await.ok()?;
        let readers = parts
            .here
            .items
            .iter()
            .map(|one| Some(Reader::new(one.clone())));
        parts.readers = readers.map(tokio::sync::Mutex::new).collect();
        let kept = means.cache.blocks();
        let has = |cid: &Cid| kept.has(cid).unwrap_or(false);
        let plan = Plan::new(&entries, |plain| parts.here.find(plain).is_some(), has);
        let least = others.iter().filter_map(|one| one.file_size).min();
        let whole = least.unwrap_or(u64::MAX).min(known.narinfo.nar_size());
        let worth = plan.bytes < whole / 100 * WORTH;
        let from = format!("{:?}", parts.here.items);
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
            fetch: plan.fetch,
            parts,
        })
    }

    /// The NAR.
    pub(super) fn open(self) -> BoxStream<'static, Result<Bytes, String>> {
        let ahead = Arc::new(Semaphore::new(AHEAD));
        let (parts, fetching) = self.parts.fetch_ahead(&self.fetch);
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

impl Parts {
    /// Begins to fetch leaves, until the task is dropped.
    fn fetch_ahead(mut self, leaves: &[Cid]) -> (Arc<Self>, JoinSet<()>) {
        let lone = Arc::new(self.alone());
        for cid in leaves {
            let (lone, cid) = (Arc::clone(&lone), *cid);
            let fetched = async move {
                // Whoever needs it asks once more, and says what is wrong.
                let _ = lone.block(cid).await;
            };
            self.coming.insert(cid, fetched.boxed().shared());
        }
        let coming: Vec<_> = leaves
            .iter()
            .filter_map(|cid| self.coming.get(cid).cloned())
            .collect();
        let mut fetching = JoinSet::new();
        let all = futures_util::stream::iter(coming).buffer_unordered(FETCHED_AT_ONCE);
        fetching.spawn(all.for_each(|()| std::future::ready(())));
        (Arc::new(self), fetching)
    }

    /// What fetching takes, without what is here.
    fn alone(&self) -> Self {
        Self {
            client: self.client.clone(),
            gateways: Arc::clone(&self.gateways),
            blocks: self.blocks.clone(),
            metrics: Arc::clone(&self.metrics),
            here: Pieces::default(),
            readers: Vec::new(),
            coming: HashMap::new(),
        }
    }

    /// The index, and all its pieces.
    async fn index(&self, root: Cid, nar_size: u64) -> Result<(Index, Vec<Entry>), String> {
        let block = self.block(root).await?;
        let mut index = Index::decode(&block).map_err(|error| error.to_string())?;
        if index.nar_size != nar_size {
            return Err(format!("it is of a NAR of {} bytes", index.nar_size));
        }
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
            compressed.extend_from_slice(&self.block(cid).await?);
        }
        let decoded = move || {
            let plain =
                frame::decode(&compressed, entry.length).map_err(|error| error.to_string())?;
            let right = Sha256::of(&plain) == entry.plain;
            right
                .then_some(plain)
                .ok_or_else(|| "the chunk index names a wrong piece".to_owned())
        };
        let plain = tokio::task::spawn_blocking(decoded).await;
        plain.map_err(|error| error.to_string())?.map(Bytes::from)
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
            let item = self.here.items.get(spot.item);
            tracing::warn!(
                ?item,
                "an installed item has not the piece that it had, so it is used no more"
            );
        }
        let piece = piece?;
        self.metrics.installed_bytes.add(piece.len() as u64);
        Some(piece.into())
    }

    async fn block(&self, cid: Cid) -> Result<Bytes, String> {
        let store = Some(self.blocks.clone());
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
