//! What of a NAR is fetched ahead: ranges of files and single leaves, by a [`Route`], into the kept blocks.
//!
//! ```text
//! Route ─► asks, 32 at once and 6 of them ranges ─┬─► range: CAR by the fetch engine, block by block verified ─┐
//!                                                 └─► leaf: raw block, verified ───────────────────────────────┴─► kept blocks ─► pieces
//! ```
//! Whether a range has the leaves that it is asked for, only its blocks tell: the root of the `.nar.zst` is a stranger's word. One that has none of them, or that nobody gives, is
//! the last of its file; its leaves are asked for by themselves, by the pieces that need them.

use super::delta::Blocks;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::StreamExt as _;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::dedup::{
    Ask, Entry, Form, Forms, Missing, Route, SMALL_FIELD, SmallPieces, frame,
};
use interplanar_core::narinfo::{Compression, NarInfo};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests at once, wherever in the NAR their leaves are.
const AT_ONCE: usize = 32;
/// Ranges among them.
const RANGES_AT_ONCE: usize = 6;

type Coming = Shared<BoxFuture<'static, ()>>;

/// The files that leaves are a part of, as far as somebody says that they are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    frame: Option<Cid>,
    small: Option<Cid>,
    /// Blocks in a file at most.
    blocks: u64,
}

impl Files {
    /// Those that a narinfo names, of a NAR with these pieces.
    pub(super) fn of(narinfo: &NarInfo, pieces: &[Entry]) -> Self {
        let compressed: u64 = pieces.iter().map(|piece| u64::from(piece.compressed)).sum();
        let size = compressed + (frame::HEADER.len() + frame::TAIL.len()) as u64;
        let mut entries = narinfo.entries().iter();
        let frame = entries.find_map(|entry| {
            let url = IpfsUrl::parse(&entry.url).ok()?;
            let fits = entry.compression == Compression::Zstd && entry.file_size == Some(size);
            (fits && url.path.is_empty()).then_some(url.cid)
        });
        // What its root is, the index says; the narinfo, whether there is one.
        let small = narinfo.extra(SMALL_FIELD).and_then(|said| {
            let root = SmallPieces::of(pieces)?.cid;
            let right = said == root.to_string();
            if !right {
                tracing::warn!(said, expected = %root, "{SMALL_FIELD} is not what the chunk index makes it");
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

/// What all ranges share.
struct Ranges {
    blocks: Arc<Blocks>,
    files: Files,
    /// Files that are of no use: the `.nar.zst` and that of the small pieces.
    useless: [AtomicBool; 2],
    slots: Semaphore,
}

/// The leaves that are being fetched into the kept blocks.
pub(super) struct Ahead {
    /// In the order of their first leaves.
    asks: Vec<Coming>,
    /// Of each leaf.
    coming: HashMap<Cid, Coming>,
}

impl Ahead {
    /// They are fetched when [`Self::begin`] is called, or when a piece waits for them.
    pub(super) fn new(
        blocks: &Arc<Blocks>,
        files: Files,
        route: Route,
        missing: &[Missing],
    ) -> Self {
        let ranges = Arc::new(Ranges {
            blocks: Arc::clone(blocks),
            files,
            useless: Default::default(),
            slots: Semaphore::new(RANGES_AT_ONCE),
        });
        let (mut asks, mut coming) = (Vec::new(), HashMap::new());
        for ask in route.asks {
            let of = |leaf: &usize| missing.get(*leaf).map(|one| one.cid);
            let leaves: Vec<Cid> = ask.leaves().iter().filter_map(of).collect();
            let fetched = Arc::clone(&ranges).fetch(ask, leaves.clone());
            let fetched = fetched.boxed().shared();
            coming.extend(leaves.into_iter().map(|cid| (cid, fetched.clone())));
            asks.push(fetched);
        }
        Self { asks, coming }
    }

    /// Begins to fetch, until the task is dropped.
    pub(super) fn begin(&mut self) -> JoinSet<()> {
        let all = futures_util::stream::iter(std::mem::take(&mut self.asks));
        let mut fetching = JoinSet::new();
        fetching.spawn(all.buffer_unordered(AT_ONCE).collect());
        fetching
    }

    /// Waits until a leaf has come, if it is on its way. Whether it has, the kept blocks tell.
    pub(super) async fn wait(&self, leaf: &Cid) {
        if let Some(coming) = self.coming.get(leaf) {
            coming.clone().await;
        }
    }
}

impl Ranges {
    async fn fetch(self: Arc<Self>, ask: Ask, leaves: Vec<Cid>) {
        let Ask::Range { form, from, to, .. } = ask else {
            for cid in leaves {
                // Whoever needs it asks once more, and says what is wrong.
                let _ = self.blocks.block(cid).await;
            }
            return;
        };
        let (root, useless) = match form {
            Form::Frame => (self.files.frame, &self.useless[0]),
            Form::Small => (self.files.small, &self.useless[1]),
        };
        let (Some(root), Ok(_slot)) = (root, self.slots.acquire().await) else {
            return;
        };
        if useless.load(Ordering::Relaxed) {
            return;
        }
        let fetched = self.blocks.range(root, from..to, self.files.blocks).await;
        let blocks = Arc::clone(&self.blocks);
        let has = move || leaves.iter().any(|cid| blocks.has(cid));
        let came = tokio::task::spawn_blocking(has).await.unwrap_or(false);
        let error = match fetched {
            Ok(()) if came => return,
            Ok(()) => "its bytes are not those of the chunk index".to_owned(),
            Err(error) => error,
        };
        useless.store(true, Ordering::Relaxed);
        tracing::warn!(%root, error, "a range is of no use, so its pieces are asked for one by one");
    }
}
