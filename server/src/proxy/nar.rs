//! Serves NARs: source after source, through a [`Checker`], until one response is complete and right.
//!
//! ```text
//! FetchStream or HTTP ─► Piece channel ─► blocking thread: decode, hash, hold back ─► body channel ─► client
//! ```
//! Each arrow is bounded, so the client's speed is the speed of all. The head of the response waits for the first byte that may
//! leave: until then a failure is a clean 502; after it, a failure ends the connection before the body is complete.

use super::cache::Cache;
use super::delta::{self, Delta, Means};
use super::metrics::{Counter, Metrics};
use super::ttl_cache::TtlCache;
use crate::decode::{DecodeError, Decoder};
use crate::installed::Installed;
use crate::net::client::fetch_ipfs;
use crate::net::server::{self, Response};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::dedup::Prefer;
use interplanar_core::fetch::{GatewayPool, Options};
use interplanar_core::install::checker::{self, Gone, Sink, Stop};
use interplanar_core::install::{
    self, BAD_FOR, BAD_HTTP_FOR, Known, Next, Pace, Place, Source, Trial, max_file_size,
};
use interplanar_core::narinfo::Compression;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The media type of a NAR.
pub(super) const CONTENT_TYPE: &str = "application/x-nix-archive";
/// NARs served at once; further ones wait.
const MAX_AT_ONCE: usize = 32;
/// Pieces between the network and the thread that decodes.
const QUEUE: usize = 4;
/// Wrong sources remembered.
const MAX_BAD: usize = 10_000;

/// The largest zstd window that is decoded, in bytes (design.md).
const MAX_WINDOW: u64 = 128 << 20;

type Checker = checker::Checker<Decoder, BodySink>;
type Attempt = install::Attempt<DecodeError>;

/// What serving NARs needs.
pub(super) struct Nars {
    pub(super) client: reqwest::Client,
    pub(super) gateways: Arc<Mutex<GatewayPool>>,
    pub(super) cache: Arc<Cache>,
    pub(super) metrics: Arc<Metrics>,
    installed: Option<(Arc<Installed>, Prefer)>,
    bad: Mutex<TtlCache<()>>,
    slots: Arc<Semaphore>,
}

/// From the network to the thread that decodes. A channel that closes without an end was interrupted.
enum Piece {
    Data(Bytes),
    End,
}

impl Nars {
    pub(super) fn new(
        client: reqwest::Client,
        gateways: Arc<Mutex<GatewayPool>>,
        cache: Arc<Cache>,
        metrics: Arc<Metrics>,
        installed: Option<(Arc<Installed>, Prefer)>,
    ) -> Self {
        let bad = Mutex::new(TtlCache::new(MAX_BAD));
        Self {
            client,
            gateways,
            cache,
            metrics,
            installed,
            bad,
            slots: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    /// The response with the NAR of `known`.
    pub(super) async fn respond(self: &Arc<Self>, known: Arc<Known>) -> Response {
        let size = known.narinfo.nar_size();
        let (sender, body) = server::channel(Some(size));
        let (started, has_started) = oneshot::channel();
        let gone = CancellationToken::new();
        let guard = gone.clone().drop_guard();
        let body = body
            .map_frame(move |frame| {
                // Dropped with the body: the client is gone, or has all.
                let _held = &guard;
                frame
            })
            .boxed_unsync();
        let delivery = Arc::clone(self).serve(
            known,
            BodySink {
                sender,
                started: Some(started),
            },
            gone,
        );
        tokio::spawn(delivery);
        if has_started.await.is_err() {
            return server::text(StatusCode::BAD_GATEWAY, "no source gives this item\n");
        }
        let mut response = server::stream(StatusCode::OK, CONTENT_TYPE, body);
        // The body lost its length with its guard.
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
        response
    }

    async fn deliver(self: Arc<Self>, known: Arc<Known>, sink: BodySink, gone: CancellationToken) {
        let Some(_permit) = gone.run_until_cancelled(self.slots.acquire()).await else {
            return;
        };
        let _busy = self
            .installed
            .as_ref()
            .map(|(installed, _)| installed.busy());
        let (hash, size) = (known.narinfo.nar_hash(), known.narinfo.nar_size());
        let item = known.narinfo.store_path().to_string();
        let mut checker = Checker::new(hash, size, MAX_WINDOW, sink);
        let mut trial = Trial::default();
        let sources = self.sources(&known).await;
        let delta = self.delta(&known, &sources, &gone).await;
        let first = delta.map(|delta| (delta.source.clone(), Some(delta)));
        let sources = sources.into_iter().map(|source| (source, None));
        for (source, delta) in first.into_iter().chain(sources) {
            let (name, sent_before) = (source.name(), checker.sent());
            let stream = self.open(&source, delta, size);
            let feed = (source.compression, name.as_str(), stream);
            let Some((back, attempt)) = self.attempt(checker, feed, size, &gone).await else {
                return self.metrics.nar_aborted.add(1);
            };
            checker = back;
            tell(&item, &name, &known.upstream, &attempt);
            let contributed = checker.sent() > sent_before;
            let (next, wrong) = trial.judge(source, contributed, &attempt);
            wrong
                .iter()
                .for_each(|source| self.remember(&known, source));
            match next {
                Next::Complete => {
                    tracing::info!(item, from = name, bytes = size, "served");
                    self.metrics.nar_complete.add(1);
                    self.metrics.nar_bytes.add(size);
                    return checker.into_sink().sender.finish().await;
                }
                Next::Another => {}
                Next::GiveUp => break,
            }
        }
        if !gone.is_cancelled() {
            tracing::error!(item, sent = checker.sent(), "no source gives this item");
        }
        self.metrics.nar_aborted.add(1);
    }

    /// [`Self::deliver`], and what must follow it however it ends.
    async fn serve(self: Arc<Self>, known: Arc<Known>, sink: BodySink, gone: CancellationToken) {
        Arc::clone(&self).deliver(known, sink, gone).await;
        tokio::task::spawn_blocking(move || self.cache.trim());
    }

    async fn sources(self: &Arc<Self>, known: &Arc<Known>) -> Vec<Source> {
        let (this, known) = (Arc::clone(self), Arc::clone(known));
        let sources = tokio::task::spawn_blocking(move || {
            let bad = this.bad.lock().unwrap_or_else(PoisonError::into_inner);
            let is_local = |url: &IpfsUrl| this.cache.blocks().has(&url.cid).unwrap_or(false);
            install::sources(&known, is_local, |name| {
                bad.get(&bad_key(&known, name), Instant::now()).is_some()
            })
        });
        sources.await.unwrap_or_default()
    }

    /// How the NAR can be rebuilt from what is here, if that is worth it.
    async fn delta(
        &self,
        known: &Known,
        sources: &[Source],
        gone: &CancellationToken,
    ) -> Option<Delta> {
        let (installed, prefer) = self.installed.as_ref()?;
        let (index, source) = delta::source(known)?;
        let is_bad = {
            let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
            bad.get(&bad_key(known, &source.name()), Instant::now())
                .is_some()
        };
        if is_bad {
            return None;
        }
        let means = Means {
            installed,
            prefer: *prefer,
            client: &self.client,
            gateways: &self.gateways,
            cache: &self.cache,
            metrics: &self.metrics,
        };
        gone.run_until_cancelled(Delta::prepare(means, known, (index, source), sources))
            .await?
    }

    fn open(&self, source: &Source, delta: Option<Delta>, size: u64) -> Feed<'_> {
        let metrics = &self.metrics;
        match (delta, &source.place) {
            (Some(delta), _) => (delta.open(), &metrics.rebuilt_bytes),
            (None, Place::Ipfs(url)) => (self.open_ipfs(url, size), &metrics.ipfs_bytes),
            (None, Place::Http(url)) => (self.open_http(url), &metrics.http_bytes),
        }
    }

    /// Remembers that `source` is wrong for this NAR; for another one it may be right.
    fn remember(&self, known: &Known, source: &Source) {
        self.metrics.wrong_sources.add(1);
        let ttl = match source.place {
            Place::Ipfs(_) => BAD_FOR,
            Place::Http(_) => BAD_HTTP_FOR,
        };
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.insert(bad_key(known, &source.name()), (), 1, ttl, Instant::now());
    }

    /// One source through the checker. None when the client is gone or the thread panicked.
    async fn attempt(
        &self,
        mut checker: Checker,
        (compression, name, feed): (Compression, &str, Feed<'_>),
        size: u64,
        gone: &CancellationToken,
    ) -> Option<(Checker, Attempt)> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let checking = tokio::task::spawn_blocking(move || {
            let attempt = check(&mut checker, compression, receiver);
            (checker, attempt)
        });
        // Whether it could be fed to its end is for the thread to say, by what it got.
        gone.run_until_cancelled(push(name, feed, size, sender))
            .await?;
        checking.await.ok()
    }

    fn open_ipfs(&self, url: &IpfsUrl, size: u64) -> BoxStream<'static, Result<Bytes, String>> {
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
        stream
            .map(|piece| piece.map_err(|error| error.to_string()))
            .boxed()
    }

    fn open_http(&self, url: &str) -> BoxStream<'static, Result<Bytes, String>> {
        let sending = self.client.get(url).send();
        let opened = async move {
            let response = sending.await.map_err(|error| error.to_string())?;
            if response.status() != StatusCode::OK {
                return Err(format!("the server answers {}", response.status()));
            }
            Ok(response
                .bytes_stream()
                .map(|piece| piece.map_err(|error| error.to_string())))
        };
        futures_util::stream::once(opened)
            .flat_map(|opened| match opened {
                Ok(stream) => stream.boxed(),
                Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }
}

/// The bytes of a source, and what counts them.
type Feed<'a> = (BoxStream<'static, Result<Bytes, String>>, &'a Counter);

/// Sends the bytes of a source to the thread that decodes, until one of both ends.
async fn push(from: &str, (mut stream, counter): Feed<'_>, size: u64, sender: mpsc::Sender<Piece>) {
    let mut left = max_file_size(size);
    let mut pace = Pace::default();
    loop {
        let begun = Instant::now();
        let Some(piece) = stream.next().await else {
            break;
        };
        let piece = match piece {
            Ok(piece) if pace.keeps(piece.len(), millis(begun.elapsed())) => piece,
            Ok(_) => return tracing::warn!(from, "source is too slow"),
            Err(error) => return tracing::warn!(from, error, "source failed"),
        };
        counter.add(piece.len() as u64);
        let Some(rest) = left.checked_sub(piece.len() as u64) else {
            return tracing::warn!(from, "source is longer than its NAR could be");
        };
        left = rest;
        if sender.send(Piece::Data(piece)).await.is_err() {
            return;
        }
    }
    // When the thread is gone it has said why.
    let _ = sender.send(Piece::End).await;
}

/// What the log says of how a source ended; of an interruption its reader has said why.
fn tell(item: &str, from: &str, upstream: &str, attempt: &Attempt) {
    match attempt {
        Attempt::Stopped(Stop::TooLate) => tracing::error!(
            item,
            from,
            "an earlier source was wrong; the client must ask again"
        ),
        Attempt::Stopped(Stop::Wrong(fault)) => {
            tracing::warn!(item, from, upstream, %fault, "wrong source");
        }
        Attempt::Complete | Attempt::Interrupted | Attempt::Stopped(Stop::Gone) => {}
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn bad_key(known: &Known, name: &str) -> String {
    format!("{} {name}", known.narinfo.nar_hash())
}

/// The blocking half of an attempt.
fn check(
    checker: &mut Checker,
    compression: Compression,
    mut pieces: mpsc::Receiver<Piece>,
) -> Attempt {
    let result = (|| {
        checker.begin(compression)?;
        while let Some(piece) = pieces.blocking_recv() {
            match piece {
                Piece::Data(data) => checker.push(&data)?,
                Piece::End => return checker.end().map(|()| Attempt::Complete),
            }
        }
        Ok(Attempt::Interrupted)
    })();
    result.unwrap_or_else(Attempt::Stopped)
}

/// The body of a response, whose first piece starts it.
struct BodySink {
    sender: server::Sender,
    started: Option<oneshot::Sender<()>>,
}

impl Sink for BodySink {
    fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        if let Some(started) = self.started.take() {
            started.send(()).map_err(|()| Gone)?;
        }
        self.sender.blocking_send(piece).map_err(|_| Gone)
    }
}
