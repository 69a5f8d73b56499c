//! The driver of the fetch engine: real requests, a real clock, a block store, and a reader who may be slow.
//!
//! The engine ([`interplanar_core::fetch`]) decides; this carries out. While the reader doesn't read, or the disk doesn't write,
//! nothing is read from the network (TCP then slows the gateways down) and the engine's clock stands still, so that no gateway is
//! blamed for it.

use super::hashes::{self, Hashes};
use super::requests::Requests;
use super::store::{Finished, LocalBlocks, Store};
use super::streams::{FetchStream, Item, TreeStream};
use http::header::{ACCEPT, RANGE};
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{Action, Event, Fetcher, GatewayPool, Options, TreePiece};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Pieces of content that may wait for the reader.
const QUEUE: usize = 4;

/// Fetches the content of `url`, in order and verified block by block, from `store` and then from the gateways.
///
/// Blocks that came from a gateway are kept in `store`. `on_event` hears of everything that the engine reports; faults of gateways are logged
/// here. Must be called within a tokio runtime; dropping the stream cancels everything.
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

/// Fetches one block of any codec; its bytes are the content. As [`fetch_ipfs`] in everything else.
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

/// Fetches the directory at `url` with all that is below it, by one request where that is possible; a file is a tree of one entry. As
/// [`fetch_ipfs`] in everything else.
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
            hash_outside: hashes::FROM,
            ..options
        }),
        gateways,
        clock: Clock::new(),
        requests: Requests::default(),
        hashes: Hashes::default(),
        store: Store::new(store.map(|store| Arc::new(store) as Arc<dyn LocalBlocks>)),
        sender,
        on_event: Box::new(on_event),
    };
    FetchStream::new(receiver, tokio::spawn(driver.run()))
}

struct Driver {
    client: reqwest::Client,
    url: String,
    fetcher: Fetcher,
    gateways: Arc<Mutex<GatewayPool>>,
    clock: Clock,
    requests: Requests,
    hashes: Hashes,
    store: Store,
    sender: mpsc::Sender<Item>,
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
                    if !self.send(Item::Piece(TreePiece::Content(content))).await {
                        break;
                    }
                }
                Action::Entry(entry) => {
                    if !self.send(Item::Piece(TreePiece::Entry(entry))).await {
                        break;
                    }
                }
                Action::Wait { until_ms } => self.wait(until_ms).await,
                Action::Done(summary) => {
                    self.store.finish().await;
                    self.send(Item::Done(summary)).await;
                    break;
                }
                Action::Failed(error) => {
                    tracing::debug!(url = self.url, %error, "fetch failed");
                    self.store.finish().await;
                    self.send(Item::Failed(error)).await;
                    break;
                }
            }
        }
    }

    /// False when the reader is gone.
    async fn send(&mut self, item: Item) -> bool {
        let begun = Instant::now();
        self.store.start();
        let sent = self.sender.send(item).await.is_ok();
        self.clock.skip(begun.elapsed());
        sent
    }

    /// Waits for the next input of the engine, or for `until_ms`.
    async fn wait(&mut self, until_ms: Option<u64>) {
        self.store.start();
        if self.store.is_full() {
            let begun = Instant::now();
            let finished = self.store.next().await;
            self.clock.skip(begun.elapsed());
            // It may be what was looked up meanwhile, and the engine waits for every answer.
            self.stored(finished);
            return;
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
            finished = self.store.next() => self.stored(finished),
            (ticket, digest) = self.hashes.next() => {
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
    }

    fn stored(&mut self, finished: Finished) {
        if let Finished::Loaded(blocks) = finished {
            for (cid, data) in blocks {
                self.fetcher.loaded(&cid, data);
            }
        }
    }

    fn report(&mut self, event: &Event) {
        if let Event::GatewayFault { gateway, fault } = event {
            let pool = lock(&self.gateways);
            let gateway = pool.url(*gateway).unwrap_or_default();
            tracing::warn!(gateway, url = self.url, %fault, "gateway");
        }
        (self.on_event)(event);
    }
}

fn lock(gateways: &Mutex<GatewayPool>) -> MutexGuard<'_, GatewayPool> {
    gateways.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The engine's clock: milliseconds since the start of the process's first fetch, less what this fetch was made to wait.
struct Clock {
    origin: Instant,
    skipped: Duration,
}

impl Clock {
    fn new() -> Self {
        // One origin for all fetches, since they share the gateways' back-offs.
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

    /// Leaves out a time in which the fetch could not go on.
    fn skip(&mut self, time: Duration) {
        self.skipped = self.skipped.saturating_add(time);
    }

    /// When the clock will show `ms`.
    fn instant(&self, ms: u64) -> Instant {
        self.origin + self.skipped + Duration::from_millis(ms)
    }
}
