//! Serves NARs: tries source after source, through a [`Checker`], until one response is complete
//! and correct.
//!
//! ```text
//! FetchStream or HTTP ─► channel ─► blocking thread: decompress, hash, parse, hold back
//!                                     ─► body channel ─► client
//! ```
//! Both channels are bounded, so the client sets the speed. The response starts with the first byte
//! that the checker releases. A failure before that is a 502; a later one closes the connection
//! before the body is complete.
//!
//! If a NAR is malformed though its hash is the signed one, no source is wrong and none can repair
//! it. Its error is remembered, and no source is asked for it again.

use super::cache::Cache;
use super::delta::{self, Delta, DeltaContext};
use super::metrics::{Counter, Metrics};
use super::ttl_cache::TtlCache;
use crate::decode::{DecodeError, Decoder};
use crate::installed::Installed;
use crate::net::client::fetch_ipfs;
use crate::net::server::{self, Response};
use crate::task::{self, WorkError};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::dedup::Prefer;
use interplanar_core::fetch::{FetchError, GatewayPool, Options};
use interplanar_core::install::checker::{self, Gone, Sink, Stop};
use interplanar_core::install::{
    self, BAD_FOR, BAD_HTTP_FOR, Known, Next, Pace, Place, Source, Trial, max_file_size,
};
use interplanar_core::nar::NarError;
use interplanar_core::narinfo::Compression;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{RwLock, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The media type of a NAR.
pub(super) const CONTENT_TYPE: &str = "application/x-nix-archive";
/// NARs that are served at once. Further requests wait.
const MAX_CONCURRENT: usize = 32;
/// Chunks between the network and the decompressing thread.
const QUEUE: usize = 4;
/// Wrong sources, and malformed NARs, that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// The largest zstd window that is decompressed, in bytes (docs/design.md).
const MAX_WINDOW: u64 = 128 << 20;

type Checker = checker::Checker<Decoder, BodySink>;
type Attempt = install::Attempt<DecodeError>;

/// Serves NARs from their sources.
pub(super) struct NarServer {
    pub(super) client: reqwest::Client,
    pub(super) gateways: Arc<Mutex<GatewayPool>>,
    pub(super) cache: Arc<Cache>,
    pub(super) metrics: Arc<Metrics>,
    installed: Option<(Arc<Installed>, Prefer)>,
    wrong_sources: Mutex<TtlCache<()>>,
    /// Errors of NARs that are malformed although their hash was signed, by NarHash.
    malformed: Mutex<TtlCache<NarError>>,
    slots: Arc<Semaphore>,
    /// Each delivery holds it to read, until also its eviction has ended.
    pub(super) running: Arc<RwLock<()>>,
}

/// A message from the network to the decompressing thread. If the channel closes without `End` or
/// `Unfit`, the source was interrupted.
enum FeedMessage {
    Data(Bytes),
    End,
    /// The source can't have the NAR.
    Unfit,
}

/// Why a source sends no more bytes.
enum FeedError {
    /// It failed. The next attempt may succeed.
    Failed(String),
    /// It can't have the NAR, now or later.
    Unfit(String),
}

impl NarServer {
    pub(super) fn new(
        client: reqwest::Client,
        gateways: Arc<Mutex<GatewayPool>>,
        cache: Arc<Cache>,
        metrics: Arc<Metrics>,
        installed: Option<(Arc<Installed>, Prefer)>,
    ) -> Self {
        Self {
            client,
            gateways,
            cache,
            metrics,
            installed,
            wrong_sources: Mutex::new(TtlCache::new(MAX_REMEMBERED)),
            malformed: Mutex::new(TtlCache::new(MAX_REMEMBERED)),
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            running: Arc::default(),
        }
    }

    /// Returns a response with the NAR of `known`.
    pub(super) async fn respond(self: &Arc<Self>, known: Arc<Known>) -> Response {
        if self.malformed(&known).is_some() {
            return malformed_nar();
        }
        let size = known.signed.nar_size();
        let (sender, body) = server::channel(Some(size));
        let (started, has_started) = oneshot::channel();
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let body = body
            .map_frame(move |frame| {
                // Dropped with the body: the client has disconnected, or has received everything.
                let _held = &guard;
                frame
            })
            .boxed_unsync();
        let sink = BodySink {
            sender,
            started: Some(started),
        };
        let running = Arc::clone(&self.running).read_owned().await;
        let delivery = Arc::clone(self).serve(Arc::clone(&known), sink, cancel);
        let work = ("delivering a NAR", known.signed.store_path().clone());
        task::spawn(work, async move {
            delivery.await;
            drop(running);
        });
        if has_started.await.is_err() {
            return match self.malformed(&known) {
                Some(_) => malformed_nar(),
                None => server::text(StatusCode::BAD_GATEWAY, "no source has this item\n"),
            };
        }
        let mut response = server::stream(StatusCode::OK, CONTENT_TYPE, body);
        // Mapping the frames removed the length of the body.
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
        response
    }

    pub(super) async fn deliver(
        self: Arc<Self>,
        known: Arc<Known>,
        sink: BodySink,
        cancel: CancellationToken,
    ) {
        let Some(_permit) = cancel.run_until_cancelled(self.slots.acquire()).await else {
            return;
        };
        let _paused = self
            .installed
            .as_ref()
            .map(|(installed, _)| installed.pause_indexing());
        let (hash, size) = (known.signed.nar_hash(), known.signed.nar_size());
        let item = known.signed.store_path().to_string();
        let mut checker = Checker::new(hash, size, MAX_WINDOW, sink);
        let mut trial = Trial::default();
        let sources = self.sources(&known).await;
        let delta = self.delta(&known, &sources, &cancel).await;
        let first = delta.map(|delta| (delta.source.clone(), Some(delta)));
        let sources = sources.into_iter().map(|source| (source, None));
        for (source, delta) in first.into_iter().chain(sources) {
            let (name, sent_before) = (source.name(), checker.sent());
            let stream = self.open(&source, delta, size);
            let feed = (source.compression, name.as_str(), size, stream);
            let (returned, attempt) = match self.attempt(&item, checker, feed, &cancel).await {
                Some(Ok(ended)) => ended,
                Some(Err(_)) => {
                    // The next request takes another source.
                    self.remember(&known, &source);
                    return self.metrics.nar_aborted.add(1);
                }
                None => return self.metrics.nar_aborted.add(1),
            };
            checker = returned;
            log_attempt(&item, &name, &known.upstream, &attempt);
            if let Attempt::Stopped(Stop::Malformed(error)) = &attempt {
                self.remember_malformed(&known, error.clone());
            }
            let is_explained =
                matches!(&attempt, Attempt::Stopped(Stop::Gone | Stop::Malformed(_)));
            let contributed = checker.sent() > sent_before;
            let (next, wrong) = trial.judge(source, contributed, &attempt);
            wrong
                .iter()
                .for_each(|source| self.remember(&known, source));
            match next {
                Next::Complete => {
                    tracing::info!(item, from = name, bytes = size, "served a NAR");
                    self.metrics.nar_complete.add(1);
                    self.metrics.nar_bytes.add(size);
                    return checker.into_sink().sender.finish().await;
                }
                Next::Another => {}
                Next::GiveUp if is_explained => return self.metrics.nar_aborted.add(1),
                Next::GiveUp => break,
            }
        }
        if !cancel.is_cancelled() {
            tracing::error!(item, sent = checker.sent(), "no source has this item");
        }
        self.metrics.nar_aborted.add(1);
    }

    /// Runs [`Self::deliver`], then evicts blocks if needed.
    async fn serve(self: Arc<Self>, known: Arc<Known>, sink: BodySink, cancel: CancellationToken) {
        Arc::clone(&self).deliver(known, sink, cancel).await;
        // An error was logged where it happened.
        let _ = task::blocking("evicting blocks", move || self.cache.trim()).await;
    }

    async fn sources(self: &Arc<Self>, known: &Arc<Known>) -> Vec<Source> {
        let (this, known) = (Arc::clone(self), Arc::clone(known));
        let sources = task::blocking("finding sources", move || {
            let wrong_sources = this
                .wrong_sources
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let is_local = |url: &IpfsUrl| this.cache.blocks().has(&url.cid).unwrap_or(false);
            install::sources(&known, is_local, |name| {
                wrong_sources
                    .get(&wrong_source_key(&known, name), Instant::now())
                    .is_some()
            })
        });
        sources.await.unwrap_or_default()
    }

    /// Plans how to rebuild the NAR from installed items, if that is cheaper.
    async fn delta(
        &self,
        known: &Known,
        sources: &[Source],
        cancel: &CancellationToken,
    ) -> Option<Delta> {
        let whole = |why| tracing::debug!(target: delta::EXPLAIN, "{why}: fetching the whole item");
        let Some((installed, prefer)) = self.installed.as_ref() else {
            whole("nothing to reuse, because this machine has no store, or because of --no-delta");
            return None;
        };
        let Some((index, source)) = delta::source(known) else {
            whole("the narinfo has no chunk index");
            return None;
        };
        let is_wrong = {
            let wrong_sources = self
                .wrong_sources
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            wrong_sources
                .get(&wrong_source_key(known, &source.name()), Instant::now())
                .is_some()
        };
        if is_wrong {
            return None;
        }
        let context = DeltaContext {
            installed,
            prefer: *prefer,
            client: &self.client,
            gateways: &self.gateways,
            cache: &self.cache,
            metrics: &self.metrics,
        };
        cancel
            .run_until_cancelled(Delta::prepare(context, known, (index, source), sources))
            .await?
    }

    fn open(&self, source: &Source, delta: Option<Delta>, size: u64) -> Feed<'_> {
        let metrics = &self.metrics;
        match (delta, &source.place) {
            (Some(delta), _) => (
                delta
                    .open()
                    .map(|piece| piece.map_err(FeedError::Failed))
                    .boxed(),
                &metrics.rebuilt_bytes,
            ),
            (None, Place::Ipfs(url)) => (self.open_ipfs(url, size), &metrics.ipfs_bytes),
            (None, Place::Http(url)) => (self.open_http(url), &metrics.http_bytes),
        }
    }

    /// Remembers that `source` is wrong for this NAR. It may be right for another one.
    fn remember(&self, known: &Known, source: &Source) {
        self.metrics.wrong_sources.add(1);
        let ttl = match source.place {
            Place::Ipfs(_) => BAD_FOR,
            Place::Http(_) => BAD_HTTP_FOR,
        };
        let mut wrong_sources = self
            .wrong_sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        wrong_sources.insert(
            wrong_source_key(known, &source.name()),
            (),
            1,
            ttl,
            Instant::now(),
        );
    }

    /// Returns the error of a NAR that is malformed although its hash was signed, if a source sent
    /// it before.
    pub(super) fn malformed(&self, known: &Known) -> Option<NarError> {
        let malformed = self
            .malformed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = malformed.get(&known.signed.nar_hash().to_string(), Instant::now());
        found.map(|(error, _)| error.clone())
    }

    fn remember_malformed(&self, known: &Known, error: NarError) {
        let mut malformed = self
            .malformed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let hash = known.signed.nar_hash().to_string();
        malformed.insert(hash, error, 1, BAD_FOR, Instant::now());
    }

    /// Passes one source of an item through the checker. Returns `None` if the client has
    /// disconnected.
    async fn attempt(
        &self,
        item: &str,
        mut checker: Checker,
        (compression, name, size, feed): (Compression, &str, u64, Feed<'_>),
        cancel: &CancellationToken,
    ) -> Option<Result<(Checker, Attempt), WorkError>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let checking = task::blocking(("checking a NAR", item), move || {
            let attempt = check(&mut checker, compression, receiver);
            (checker, attempt)
        });
        // The checking thread reports how the source ended.
        cancel
            .run_until_cancelled(feed_checker(name, feed, size, sender))
            .await?;
        Some(checking.await)
    }

    fn open_ipfs(&self, url: &IpfsUrl, size: u64) -> BoxStream<'static, Result<Bytes, FeedError>> {
        let options = Options {
            budget: install::budget(size),
            ..Options::default()
        };
        let blocks = Some(self.cache.for_fetch(&url.cid));
        let stream = fetch_ipfs(
            &self.client,
            url,
            options,
            Arc::clone(&self.gateways),
            blocks,
            |_| {},
        );
        let feed_error = |error: FetchError| match error.is_permanent() {
            true => FeedError::Unfit(error.to_string()),
            false => FeedError::Failed(error.to_string()),
        };
        stream.map(move |piece| piece.map_err(feed_error)).boxed()
    }

    fn open_http(&self, url: &str) -> BoxStream<'static, Result<Bytes, FeedError>> {
        let sending = self.client.get(url).send();
        let opened = async move {
            let failed = |error: reqwest::Error| FeedError::Failed(error.to_string());
            let response = sending.await.map_err(failed)?;
            let status = response.status();
            if status != StatusCode::OK {
                return Err(FeedError::Failed(format!("the server answered {status}")));
            }
            Ok(response
                .bytes_stream()
                .map(move |piece| piece.map_err(failed)))
        };
        futures_util::stream::once(opened)
            .flat_map(|opened| match opened {
                Ok(stream) => stream.boxed(),
                Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }
}

/// The bytes of a source, and the counter for them.
type Feed<'a> = (BoxStream<'static, Result<Bytes, FeedError>>, &'a Counter);

/// Sends the bytes of a source to the checking thread, until the source or the thread ends.
async fn feed_checker(
    from: &str,
    (mut stream, counter): Feed<'_>,
    size: u64,
    sender: mpsc::Sender<FeedMessage>,
) {
    let mut left = max_file_size(size);
    let mut pace = Pace::default();
    let end = loop {
        let started = Instant::now();
        let Some(piece) = stream.next().await else {
            break FeedMessage::End;
        };
        let piece = match piece {
            Ok(piece) if pace.keeps(piece.len(), millis(started.elapsed())) => piece,
            Ok(_) => return tracing::warn!(from, "the source is too slow"),
            Err(FeedError::Failed(error)) => {
                return tracing::warn!(from, error, "the source failed");
            }
            Err(FeedError::Unfit(error)) => {
                tracing::warn!(from, error, "the source can't have this NAR");
                break FeedMessage::Unfit;
            }
        };
        counter.add(piece.len() as u64);
        let Some(rest) = left.checked_sub(piece.len() as u64) else {
            tracing::warn!(from, "the source sent more bytes than its NAR can have");
            break FeedMessage::Unfit;
        };
        left = rest;
        if sender.send(FeedMessage::Data(piece)).await.is_err() {
            return;
        }
    };
    // If the thread has ended, it has reported the reason.
    let _ = sender.send(end).await;
}

/// Logs how a source ended, unless it was logged where it occurred.
fn log_attempt(item: &str, from: &str, upstream: &str, attempt: &Attempt) {
    match attempt {
        Attempt::Stopped(Stop::TooLate) => tracing::error!(
            item,
            from,
            "an earlier source sent wrong data; the client must retry"
        ),
        Attempt::Stopped(Stop::Malformed(error)) => tracing::error!(
            item,
            upstream,
            %error,
            "not serving a malformed NAR: its hash is the signed one, so no source can repair it"
        ),
        Attempt::Stopped(Stop::Wrong(fault)) => {
            tracing::warn!(item, from, upstream, %fault, "the source sent wrong data");
        }
        Attempt::Complete
        | Attempt::Interrupted
        | Attempt::Unfit
        | Attempt::Stopped(Stop::Gone) => {}
    }
}

fn malformed_nar() -> Response {
    server::text(StatusCode::BAD_GATEWAY, "the signed NAR is malformed\n")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn wrong_source_key(known: &Known, name: &str) -> String {
    format!("{} {name}", known.signed.nar_hash())
}

/// Runs the checker on the blocking thread.
fn check(
    checker: &mut Checker,
    compression: Compression,
    mut pieces: mpsc::Receiver<FeedMessage>,
) -> Attempt {
    let result = (|| {
        checker.begin(compression)?;
        while let Some(piece) = pieces.blocking_recv() {
            match piece {
                FeedMessage::Data(data) => checker.push(&data)?,
                FeedMessage::End => return checker.end().map(|()| Attempt::Complete),
                FeedMessage::Unfit => return Ok(Attempt::Unfit),
            }
        }
        Ok(Attempt::Interrupted)
    })();
    result.unwrap_or_else(Attempt::Stopped)
}

/// Sends the body of a response. The first piece starts the response.
pub(super) struct BodySink {
    pub(super) sender: server::Sender,
    pub(super) started: Option<oneshot::Sender<()>>,
}

impl Sink for BodySink {
    fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        if let Some(started) = self.started.take() {
            started.send(()).map_err(|()| Gone)?;
        }
        self.sender.blocking_send(piece).map_err(|_| Gone)
    }
}
