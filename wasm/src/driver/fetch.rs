//! The loop that drives the fetch engine.

use super::body::GATHER;
use super::client::Client;
use super::hashes::Hashes;
use super::requests::Requests;
use super::store::{BlockStore, LocalBlocks, StoreEvent};
use super::time::{Alarm, Clock};
use bytes::Bytes;
use futures_util::stream::{LocalBoxStream, Stream, StreamExt as _, unfold};
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{
    Action, Event, FetchError, Fetcher, GatewayPool, HashTicket, Input, Options, RequestId,
    Summary, TreePiece,
};
use interplanar_core::hash::Sha256;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Fetches the content of `url` in order, from `store` first and then from the gateways. Each block
/// is verified.
///
/// Blocks from a gateway are written to `store`. `on_event` receives all events of the engine, also
/// the errors of gateways. The fetch makes progress only while the stream is polled: a slow reader
/// slows down the gateways, and they don't count as slow for that. Dropping the stream aborts every
/// request.
pub fn fetch_ipfs(
    client: &Client,
    url: &IpfsUrl,
    options: Options,
    gateways: Rc<RefCell<GatewayPool>>,
    store: Option<Rc<dyn LocalBlocks>>,
    on_event: impl FnMut(&Event) + 'static,
) -> FetchStream {
    let fetcher = |options| Fetcher::new(url, options);
    drive(client, fetcher, options, gateways, store, on_event)
}

/// Fetches and verifies one block of any codec. Everything else is as in [`fetch_ipfs`].
pub fn fetch_block(
    client: &Client,
    cid: Cid,
    options: Options,
    gateways: Rc<RefCell<GatewayPool>>,
    store: Option<Rc<dyn LocalBlocks>>,
    on_event: impl FnMut(&Event) + 'static,
) -> FetchStream {
    let fetcher = |options| Fetcher::block(cid, options);
    drive(client, fetcher, options, gateways, store, on_event)
}

/// Fetches the directory at `url` and everything below it, with one request if possible. A file is
/// a tree of one entry. Everything else is as in [`fetch_ipfs`].
pub fn fetch_tree(
    client: &Client,
    url: &IpfsUrl,
    options: Options,
    gateways: Rc<RefCell<GatewayPool>>,
    store: Option<Rc<dyn LocalBlocks>>,
    on_event: impl FnMut(&Event) + 'static,
) -> TreeStream {
    let fetcher = |options| Fetcher::tree(url, options);
    TreeStream(drive(client, fetcher, options, gateways, store, on_event))
}

/// Lists the directory at `url` and everything below it, without contents and in no particular
/// order. Everything else is as in [`fetch_ipfs`].
pub fn fetch_outline(
    client: &Client,
    url: &IpfsUrl,
    options: Options,
    gateways: Rc<RefCell<GatewayPool>>,
    store: Option<Rc<dyn LocalBlocks>>,
    on_event: impl FnMut(&Event) + 'static,
) -> TreeStream {
    let fetcher = |options| Fetcher::outline(url, options);
    TreeStream(drive(client, fetcher, options, gateways, store, on_event))
}

fn drive(
    client: &Client,
    fetcher: impl FnOnce(Options) -> Fetcher,
    options: Options,
    gateways: Rc<RefCell<GatewayPool>>,
    store: Option<Rc<dyn LocalBlocks>>,
    on_event: impl FnMut(&Event) + 'static,
) -> FetchStream {
    let hashes = Hashes::new();
    let options = Options {
        local: store.is_some(),
        hash_outside: hashes.from(),
        ..options
    };
    let summary = Rc::default();
    let driver = Driver {
        client: client.clone(),
        fetcher: fetcher(options),
        gateways,
        clock: Clock::new(),
        alarm: Alarm::new(),
        requests: Requests::default(),
        hashes,
        store: BlockStore::new(store),
        on_event: Box::new(on_event),
        summary: Rc::clone(&summary),
        done: false,
    };
    let content = unfold(driver, |mut driver| async move {
        let item = driver.next().await?;
        Some((item, driver))
    });
    FetchStream {
        content: content.boxed_local(),
        summary,
    }
}

/// The entries of a tree, each file followed by its content; see [`fetch_tree`].
pub struct TreeStream(FetchStream);

impl TreeStream {
    /// The summary of the fetch, after the stream has ended without an error.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        self.0.summary()
    }
}

impl Stream for TreeStream {
    type Item = Result<TreePiece, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.content.poll_next_unpin(context)
    }
}

/// The content of a fetch; see [`fetch_ipfs`].
pub struct FetchStream {
    content: LocalBoxStream<'static, Result<TreePiece, FetchError>>,
    summary: Rc<RefCell<Option<Summary>>>,
}

impl FetchStream {
    /// The summary of the fetch, after the stream has ended without an error.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        self.summary.borrow().clone()
    }
}

impl Stream for FetchStream {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match self.content.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(TreePiece::Content(bytes)))) => Poll::Ready(Some(Ok(bytes))),
                // Only trees have entries.
                Poll::Ready(Some(Ok(TreePiece::Entry(_)))) => continue,
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

struct Driver {
    client: Client,
    fetcher: Fetcher,
    gateways: Rc<RefCell<GatewayPool>>,
    clock: Clock,
    alarm: Alarm,
    requests: Requests,
    hashes: Hashes,
    store: BlockStore,
    on_event: Box<dyn FnMut(&Event)>,
    summary: Rc<RefCell<Option<Summary>>>,
    done: bool,
}

/// The reason why a wait ended.
enum WakeReason {
    Store(StoreEvent),
    Hashed(HashTicket, Sha256),
    Request(RequestId, Input),
    Time,
}

impl Driver {
    /// Returns the next entry or content; none at the end.
    async fn next(&mut self) -> Option<Result<TreePiece, FetchError>> {
        self.clock.resume();
        while !self.done {
            let now_ms = self.clock.now_ms();
            let action = self.fetcher.poll(&mut self.gateways.borrow_mut(), now_ms);
            match action {
                Action::Load(cid) => self.store.load(cid),
                Action::Store(block) => self.store.put(block),
                Action::Request {
                    id,
                    url,
                    accept,
                    range,
                    ..
                } => self.requests.start(&self.client, id, &url, accept, range),
                Action::Cancel(id) => self.requests.cancel(id),
                Action::Hash { ticket, data } => self.hashes.start(ticket, data),
                Action::Event(event) => (self.on_event)(&event),
                Action::Content(content) => return self.deliver(TreePiece::Content(content)),
                Action::Entry(entry) => return self.deliver(TreePiece::Entry(entry)),
                Action::Wait { until_ms } => self.wait(until_ms).await,
                Action::Done(summary) => {
                    self.store.finish().await;
                    self.done = true;
                    *self.summary.borrow_mut() = Some(summary);
                }
                Action::Failed(error) => {
                    self.store.finish().await;
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// Returns output, and pauses the clock while the reader uses it.
    fn deliver(&mut self, piece: TreePiece) -> Option<Result<TreePiece, FetchError>> {
        self.store.start();
        self.clock.pause();
        Some(Ok(piece))
    }

    /// Waits for the next input of the engine, or for `until_ms`.
    async fn wait(&mut self, until_ms: Option<u64>) {
        self.store.start();
        if self.store.is_full() {
            self.clock.pause();
            let finished = poll_fn(|context| self.store.poll_next(context)).await;
            self.clock.resume();
            // A lookup may have ended instead of the write. The engine needs its result.
            return self.stored(finished);
        }
        match poll_fn(|context| self.poll_wait(context, until_ms)).await {
            WakeReason::Store(finished) => self.stored(finished),
            WakeReason::Hashed(ticket, digest) => {
                let now_ms = self.clock.now_ms();
                let pool = &mut self.gateways.borrow_mut();
                self.fetcher.hashed(ticket, digest, pool, now_ms);
            }
            WakeReason::Request(id, input) => {
                let now_ms = self.clock.now_ms();
                let pool = &mut self.gateways.borrow_mut();
                self.fetcher.input(id, input, pool, now_ms);
            }
            WakeReason::Time => {}
        }
    }

    fn poll_wait(&mut self, context: &mut Context<'_>, until_ms: Option<u64>) -> Poll<WakeReason> {
        if let Poll::Ready(finished) = self.store.poll_next(context) {
            return Poll::Ready(WakeReason::Store(finished));
        }
        if let Poll::Ready((ticket, digest)) = self.hashes.poll_next(context) {
            return Poll::Ready(WakeReason::Hashed(ticket, digest));
        }
        let fetcher = &self.fetcher;
        let wants = |id| {
            let wants = fetcher.wants_data(id);
            wants.then(|| fetcher.best_read(id, GATHER))
        };
        if let Poll::Ready((id, input)) = self.requests.poll_next(context, wants) {
            return Poll::Ready(WakeReason::Request(id, input));
        }
        let until_ms = until_ms.map(|until_ms| self.clock.at(until_ms));
        match until_ms.map(|until_ms| self.alarm.poll(context, until_ms)) {
            Some(Poll::Ready(())) => Poll::Ready(WakeReason::Time),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    fn stored(&mut self, finished: StoreEvent) {
        if let StoreEvent::Loaded(cid, data) = finished {
            self.fetcher.loaded(&cid, data);
        }
    }
}
