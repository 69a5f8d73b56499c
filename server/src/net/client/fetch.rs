//! The driver of the fetch engine: it makes requests, reads the clock, uses a block store, and
//! serves a reader that may be slow.
//!
//! The engine ([`interplanar_core::fetch`]) makes the decisions. While the reader or the disk is
//! slow, nothing is read from the network, and TCP slows the gateways down. The engine's clock
//! stops meanwhile, so gateways aren't blamed.

use super::hashes::{self, HashTasks};
use super::requests::RunningRequests;
use super::store::{BatchedStore, FinishedBatch, LocalBlocks};
use super::streams::{FetchStream, StreamItem, TreeStream};
use crate::task::{self, WorkError};
use http::header::{ACCEPT, RANGE};
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{
    Action, Event, FetchError, Fetcher, GatewayPool, Options, TreePiece,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Chunks of content that may wait for the reader.
const QUEUE: usize = 4;

/// Fetches the content of `url` in order, from `store` or else from the gateways. Verifies each
/// block.
///
/// Blocks from gateways are written to `store`. `on_event` is called with each event of the engine;
/// faults of gateways are logged here. Must be called within a tokio runtime. Dropping the stream
/// cancels all requests.
pub fn fetch_ipfs(
    client: &reqwest::Client,
    url: &IpfsUrl,
    options: Options,
    gateways: Arc<Mutex<GatewayPool>>,
    store: Option<impl LocalBlocks>,
    on_event: impl FnMut(&Event) + Send + 'static,
) -> FetchStream {
    let fetcher = |options| Fetcher::new(url, options);
    drive(client, url, fetcher, options, gateways, store, on_event)
}

/// Fetches one block of any codec; the content is the block's bytes. Otherwise like [`fetch_ipfs`].
pub fn fetch_block(
    client: &reqwest::Client,
    cid: Cid,
    options: Options,
    gateways: Arc<Mutex<GatewayPool>>,
    store: Option<impl LocalBlocks>,
    on_event: impl FnMut(&Event) + Send + 'static,
) -> FetchStream {
    let fetcher = |options| Fetcher::block(cid, options);
    let url = IpfsUrl::new(cid);
    drive(client, &url, fetcher, options, gateways, store, on_event)
}

/// Fetches the directory at `url` with everything in it, in one request if possible. A file is a
/// tree with one entry. Otherwise like [`fetch_ipfs`].
pub fn fetch_tree(
    client: &reqwest::Client,
    url: &IpfsUrl,
    options: Options,
    gateways: Arc<Mutex<GatewayPool>>,
    store: Option<impl LocalBlocks>,
    on_event: impl FnMut(&Event) + Send + 'static,
) -> TreeStream {
    let fetcher = |options| Fetcher::tree(url, options);
    TreeStream(drive(
        client, url, fetcher, options, gateways, store, on_event,
    ))
}

fn drive(
    client: &reqwest::Client,
    url: &IpfsUrl,
    fetcher: impl FnOnce(Options) -> Fetcher,
    options: Options,
    gateways: Arc<Mutex<GatewayPool>>,
    store: Option<impl LocalBlocks>,
    on_event: impl FnMut(&Event) + Send + 'static,
) -> FetchStream {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let driver = Driver {
        client: client.clone(),
        url: url.to_string(),
        fetcher: fetcher(Options {
            local: store.is_some(),
            hash_outside: hashes::MIN_SIZE,
            ..options
        }),
        gateways,
        clock: Clock::new(),
        requests: RunningRequests::default(),
        hashes: HashTasks::default(),
        store: BatchedStore::new(store.map(|store| Arc::new(store) as Arc<dyn LocalBlocks>)),
        sender,
        on_event: Box::new(on_event),
    };
    let work = ("fetching", driver.url.clone());
    FetchStream::new(receiver, task::spawn(work, driver.run()))
}

struct Driver {
    client: reqwest::Client,
    url: String,
    fetcher: Fetcher,
    gateways: Arc<Mutex<GatewayPool>>,
    clock: Clock,
    requests: RunningRequests,
    hashes: HashTasks,
    store: BatchedStore,
    sender: mpsc::Sender<StreamItem>,
    on_event: Box<dyn FnMut(&Event) + Send>,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let now = self.clock.now_ms();
            let action = self.fetcher.poll(&mut lock(&self.gateways), now);
            match action {
                Action::Load(cid) => self.store.load(cid),
                Action::Store(block) => self.store.put(block),
                Action::Request {
                    id,
                    url,
                    accept,
                    range,
                    ..
                } => {
                    let request = self.client.get(url).header(ACCEPT, accept);
                    self.requests.start(
                        id,
                        match range {
                            Some(range) => request.header(RANGE, format!("bytes={range}")),
                            None => request,
                        },
                    );
                }
                Action::Cancel(id) => self.requests.cancel(id),
                Action::Hash { ticket, data } => self.hashes.start(ticket, data),
                Action::Event(event) => self.report(&event),
                Action::Content(content) => {
                    if !self
                        .send(StreamItem::Piece(TreePiece::Content(content)))
                        .await
                    {
                        break;
                    }
                }
                Action::Entry(entry) => {
                    if !self.send(StreamItem::Piece(TreePiece::Entry(entry))).await {
                        break;
                    }
                }
                Action::Wait { until_ms } => {
                    if self.wait(until_ms).await.is_err() {
                        self.send(StreamItem::Failed(FetchError::Interrupted)).await;
                        break;
                    }
                }
                Action::Done(summary) => {
                    self.store.finish().await;
                    self.send(StreamItem::Done(summary)).await;
                    break;
                }
                Action::Failed(error) => {
                    tracing::debug!(url = self.url, %error, "a fetch failed");
                    self.store.finish().await;
                    self.send(StreamItem::Failed(error)).await;
                    break;
                }
            }
        }
    }

    /// Sends an item to the reader. Returns `false` if the stream was dropped.
    async fn send(&mut self, item: StreamItem) -> bool {
        let started = Instant::now();
        self.store.start();
        let sent = self.sender.send(item).await.is_ok();
        self.clock.skip(started.elapsed());
        sent
    }

    /// Waits for the next input of the engine, at most until `until_ms`.
    ///
    /// # Errors
    /// An input that the engine needs will never come.
    async fn wait(&mut self, until_ms: Option<u64>) -> Result<(), WorkError> {
        self.store.start();
        if self.store.is_full() {
            let started = Instant::now();
            let finished = self.store.next().await;
            self.clock.skip(started.elapsed());
            // The batch may be a lookup, and the engine needs the result of each lookup.
            self.batch_finished(finished);
            return Ok(());
        }
        let until = until_ms.map(|until| self.clock.instant(until));
        let sleep = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            finished = self.store.next() => self.batch_finished(finished),
            hashed = self.hashes.next() => {
                let (ticket, digest) = hashed?;
                let now = self.clock.now_ms();
                self.fetcher.hashed(ticket, digest, &mut lock(&self.gateways), now);
            }
            (id, input) = self.requests.next(|id| self.fetcher.wants_data(id)) => {
                let now = self.clock.now_ms();
                self.fetcher.input(id, input, &mut lock(&self.gateways), now);
            }
            () = sleep => {}
            () = self.sender.closed() => {}
        }
        Ok(())
    }

    fn batch_finished(&mut self, finished: FinishedBatch) {
        if let FinishedBatch::Loaded(blocks) = finished {
            for (cid, data) in blocks {
                self.fetcher.loaded(&cid, data);
            }
        }
    }

    fn report(&mut self, event: &Event) {
        if let Event::GatewayFault { gateway, fault } = event {
            let pool = lock(&self.gateways);
            let gateway = pool.url(*gateway).unwrap_or_default();
            tracing::warn!(gateway, url = self.url, %fault, "a gateway failed");
        }
        (self.on_event)(event);
    }
}

fn lock(gateways: &Mutex<GatewayPool>) -> MutexGuard<'_, GatewayPool> {
    gateways.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The engine's clock, in milliseconds since the first fetch of the process, without the time that
/// this fetch had to wait.
struct Clock {
    origin: Instant,
    skipped: Duration,
}

impl Clock {
    fn new() -> Self {
        // All fetches use one origin, because they share the back-off times of the gateways.
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        Self {
            origin: *ORIGIN.get_or_init(Instant::now),
            skipped: Duration::ZERO,
        }
    }

    fn now_ms(&self) -> u64 {
        let running = self.origin.elapsed().saturating_sub(self.skipped);
        u64::try_from(running.as_millis()).unwrap_or(u64::MAX)
    }

    /// Subtracts a time in which the fetch had to wait.
    fn skip(&mut self, time: Duration) {
        self.skipped = self.skipped.saturating_add(time);
    }

    /// Returns the time at which the clock shows `ms`.
    fn instant(&self, ms: u64) -> Instant {
        self.origin + self.skipped + Duration::from_millis(ms)
    }
}
