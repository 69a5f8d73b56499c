//! Fetches missing parts of a NAR ahead of their use: ranges of files and single leaves, along a
//! [`Route`], into the block store.
//!
//! ```text
//! Route ─► requests: 32 at once, at most 6 of them ranges
//!            ├─► range: CAR, each block verified ─┐
//!            └─► leaf: raw block, verified ───────┴─► block store ─► pieces
//! ```
//! The root of the `.nar.zst` is a hint, so a range may contain other blocks than expected. After a
//! range without any expected leaf, or one that no gateway has, no more ranges of that file are
//! requested. Its leaves are then fetched one by one, when a piece needs them.

use super::delta::BlockFetcher;
use crate::task::{self, WorkError};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::StreamExt as _;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::dedup::{
    Ask, Form, Forms, Missing, PieceEntry, Route, SMALL_FIELD, SmallPieces, frame,
};
use interplanar_core::narinfo::Compression;
use interplanar_core::trust::Hints;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests at once.
const MAX_REQUESTS: usize = 32;
/// Range requests among them.
const MAX_RANGES: usize = 6;

type SharedFetch = Shared<BoxFuture<'static, ()>>;

/// Files on IPFS that contain the leaves, as far as the narinfo names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RangeFiles {
    frame: Option<Cid>,
    small: Option<Cid>,
    /// Maximum number of blocks in a file.
    blocks: u64,
}

impl RangeFiles {
    /// Finds the files that a narinfo names, for a NAR with these pieces.
    pub(super) fn of(hints: &Hints, pieces: &[PieceEntry]) -> Self {
        let compressed: u64 = pieces.iter().map(|piece| u64::from(piece.compressed)).sum();
        let size = compressed + (frame::HEADER.len() + frame::TAIL.len()) as u64;
        let mut entries = hints.entries().iter();
        let frame = entries.find_map(|entry| {
            let url = IpfsUrl::parse(&entry.url).ok()?;
            let fits = entry.compression == Compression::Zstd && entry.file_size == Some(size);
            (fits && url.path.is_empty()).then_some(url.cid)
        });
        // The chunk index determines the root of this file; the narinfo says whether the file
        // exists.
        let small = hints.extra(SMALL_FIELD).and_then(|named| {
            let root = SmallPieces::of(pieces)?.cid;
            let right = named == root.to_string();
            if !right {
                tracing::warn!(named, expected = %root, "{SMALL_FIELD} doesn't match the chunk index");
            }
            right.then_some(root)
        });
        let leaves: u64 = pieces.iter().map(|piece| piece.leaves.len() as u64).sum();
        Self {
            frame,
            small,
            blocks: leaves.saturating_mul(2).saturating_add(1024),
        }
    }

    pub(super) fn forms(&self) -> Forms {
        Forms {
            frame: self.frame.is_some(),
            small: self.small.is_some(),
        }
    }
}

/// Shared by all range requests.
struct RangeFetcher {
    blocks: Arc<BlockFetcher>,
    files: RangeFiles,
    /// Files that turned out to be unusable: the `.nar.zst`, and the file of the small pieces.
    unusable: [AtomicBool; 2],
    slots: Semaphore,
}

/// Leaves that are being fetched into the block store.
pub(super) struct Prefetch {
    /// The requests, in the order of their first leaves.
    requests: Vec<SharedFetch>,
    /// The request that fetches each leaf.
    by_leaf: HashMap<Cid, SharedFetch>,
}

impl Prefetch {
    /// Prepares the requests. They start with [`Self::begin`], or when a piece waits for one.
    pub(super) fn new(
        blocks: &Arc<BlockFetcher>,
        files: RangeFiles,
        route: Route,
        missing: &[Missing],
    ) -> Self {
        let fetcher = Arc::new(RangeFetcher {
            blocks: Arc::clone(blocks),
            files,
            unusable: Default::default(),
            slots: Semaphore::new(MAX_RANGES),
        });
        let (mut requests, mut by_leaf) = (Vec::new(), HashMap::new());
        for ask in route.asks {
            let of = |leaf: &usize| missing.get(*leaf).map(|one| one.cid);
            let leaves: Vec<Cid> = ask.leaves().iter().filter_map(of).collect();
            let fetched = Arc::clone(&fetcher).fetch(ask, leaves.clone());
            let fetched = fetched.boxed().shared();
            by_leaf.extend(leaves.into_iter().map(|cid| (cid, fetched.clone())));
            requests.push(fetched);
        }
        Self { requests, by_leaf }
    }

    /// Starts the requests. Dropping the returned set cancels them.
    pub(super) fn begin(&mut self) -> JoinSet<Result<(), WorkError>> {
        let all = futures_util::stream::iter(std::mem::take(&mut self.requests));
        let mut fetching = JoinSet::new();
        let all = all.buffer_unordered(MAX_REQUESTS).collect();
        fetching.spawn(task::watched("fetching ranges", all));
        fetching
    }

    /// Waits for the request of a leaf, if there is one. The block store then shows whether the
    /// leaf was fetched.
    pub(super) async fn wait(&self, leaf: &Cid) {
        if let Some(request) = self.by_leaf.get(leaf) {
            request.clone().await;
        }
    }
}

impl RangeFetcher {
    async fn fetch(self: Arc<Self>, ask: Ask, leaves: Vec<Cid>) {
        let Ask::Range { form, from, to, .. } = ask else {
            for cid in leaves {
                // An error is ignored here: the piece that needs the leaf requests it again and
                // reports errors.
                let _ = self.blocks.block(cid).await;
            }
            return;
        };
        let (root, unusable) = match form {
            Form::Frame => (self.files.frame, &self.unusable[0]),
            Form::Small => (self.files.small, &self.unusable[1]),
        };
        let (Some(root), Ok(_slot)) = (root, self.slots.acquire().await) else {
            return;
        };
        if unusable.load(Ordering::Relaxed) {
            return;
        }
        let fetched = self.blocks.range(root, from..to, self.files.blocks).await;
        let blocks = Arc::clone(&self.blocks);
        let has = move || leaves.iter().any(|cid| blocks.has(cid));
        let has_any = task::blocking("finding blocks", has).await.unwrap_or(false);
        let error = match fetched {
            Ok(()) if has_any => return,
            Ok(()) => "its blocks don't belong to the chunk index".to_owned(),
            Err(error) => error,
        };
        unusable.store(true, Ordering::Relaxed);
        tracing::warn!(%root, error, "can't use a range request; fetching its pieces one by one");
    }
}
