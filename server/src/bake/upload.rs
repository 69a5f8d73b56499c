//! The way into Kubo: each baked file is added and pinned there, and only then counts as published. Of a deduplicating form only the blocks that
//! the node lacks go in, as a CAR, with those of its chunk index.
//!
//! What is still to be published is what the records say is not, so nothing is forgotten by a restart. While Kubo is away the queue waits,
//! longer from try to try, up to a minute; the log says once that it went and once that it is back. A Kubo of another
//! identity than last time (`<dir>/kubo`) gets everything anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::SIZE_1048576_V1;
use tokio::sync::mpsc::UnboundedReceiver;

use super::content::Content;
use super::{BakeError, Baker, Representation, dag};
use crate::atomic;
use crate::kubo::{Kubo, KuboError};
use crate::net::server::{self, Shutdown};

/// Pauses after a failure: from this one on each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// How the publishing into Kubo stands; read by anyone, written by [`Upload::run`].
#[derive(Debug, Default)]
pub struct UploadState {
    up: AtomicBool,
    published: AtomicU64,
    waiting: AtomicU64,
}

impl UploadState {
    /// Whether Kubo took the last file.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Files published since the start.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Items that wait to be published.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Publishes into one Kubo node.
pub struct Upload {
    baker: Baker,
    kubo: Kubo,
    baked: UnboundedReceiver<String>,
    state: Arc<UploadState>,
    /// Hash parts of items.
    queue: VecDeque<String>,
    pause: Duration,
    /// Whether the log says that Kubo is away.
    said: bool,
}

/// Why an item isn't published.
enum Fault {
    /// Try again later.
    Kubo(KuboError),
    /// It won't work for this item.
    Item(String),
}

impl Upload {
    /// Takes what a baker bakes; `None` if somebody else does already.
    pub fn new(baker: &Baker, kubo: Kubo) -> Option<Self> {
        let mut listener = baker
            .inner
            .listener
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(Self {
            baked: listener.take()?,
            baker: baker.clone(),
            kubo,
            state: Arc::default(),
            queue: VecDeque::new(),
            pause: FIRST_PAUSE,
            said: false,
        })
    }

    /// How it stands.
    pub fn state(&self) -> Arc<UploadState> {
        Arc::clone(&self.state)
    }

    /// Publishes until `shutdown`.
    pub async fn run(mut self, shutdown: Shutdown) {
        tokio::select! {
            () = self.publish() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn publish(&mut self) {
        loop {
            if let Err(error) = self.begin().await {
                self.wait(&error.to_string()).await;
                continue;
            }
            match self.work().await {
                Ok(()) => return,
                Err(error) => self.wait(&error.to_string()).await,
            }
        }
    }

    /// Learns who Kubo is, and queues all that it has not.
    async fn begin(&mut self) -> Result<(), KuboError> {
        let id = self.kubo.id().await?.id;
        let baker = self.baker.clone();
        match blocking(move || unpublished(&baker, &id)).await {
            Ok(unpublished) => self.queue = unpublished.into(),
            Err(error) => tracing::error!(error, "what is to be published can't be told"),
        }
        Ok(())
    }

    /// Publishes what is queued and what is baked, until Kubo fails or nobody bakes any more.
    async fn work(&mut self) -> Result<(), KuboError> {
        loop {
            while let Ok(hash_part) = self.baked.try_recv() {
                self.queue.push_back(hash_part);
            }
            self.count();
            let Some(hash_part) = self.queue.front().cloned() else {
                self.is_up();
                match self.baked.recv().await {
                    Some(hash_part) => self.queue.push_back(hash_part),
                    None => return Ok(()),
                }
                continue;
            };
            match self.item(&hash_part).await {
                Ok(()) => self.is_up(),
                Err(Fault::Item(error)) => {
                    tracing::error!(hash_part, error, "not published in Kubo");
                }
                Err(Fault::Kubo(error)) => return Err(error),
            }
            self.queue.pop_front();
        }
    }

    async fn item(&self, hash_part: &str) -> Result<(), Fault> {
        let (baker, key) = (self.baker.clone(), hash_part.to_owned());
        let baked = blocking(move || Ok(baker.get(&key))).await;
        let Some(baked) = baked.map_err(Fault::Item)? else {
            return Ok(());
        };
        let path = baked.record.item.store_path.as_str();
        for one in &baked.record.representations {
            if !one.published {
                self.file(hash_part, path, one).await?;
            }
        }
        Ok(())
    }

    async fn file(&self, hash_part: &str, path: &str, one: &Representation) -> Result<(), Fault> {
        let roots: Vec<Cid> = one.roots().collect();
        match roots.as_slice() {
            [_] => self.add(hash_part, path, one).await?,
            // No `ipfs add` makes such a DAG.
            _ => self.import(hash_part, path, &roots).await?,
        }
        let (baker, key, pinned) = (self.baker.clone(), hash_part.to_owned(), roots.clone());
        let there = blocking(move || {
            baker
                .published(&key, &pinned)
                .map_err(|error| error.to_string())
        });
        if !there.await.map_err(Fault::Item)? {
            // It went from the cache meanwhile, so nobody would unpin this.
            for root in roots {
                self.kubo.pin_rm(&root).await.map_err(fault)?;
            }
            return Ok(());
        }
        self.state.published.fetch_add(1, Ordering::Relaxed);
        tracing::info!(path, compression = one.compression.as_str(), cid = %one.cid, "published in Kubo");
        Ok(())
    }

    async fn import(&self, hash_part: &str, path: &str, roots: &[Cid]) -> Result<(), Fault> {
        let (baker, key, asked) = (self.baker.clone(), hash_part.to_owned(), roots.to_vec());
        let all = blocking(move || {
            let walked = dag::blocks_of(baker.blocks(), &asked);
            if walked.lost.is_some() {
                baker.damaged(&key);
                return Err("a block is lost".to_owned());
            }
            Ok(walked.cids)
        });
        let all = all.await.map_err(Fault::Item)?;
        let lacking = self.kubo.lacking(&all).await.map_err(fault)?;
        tracing::debug!(
            path,
            blocks = all.len(),
            lacking = lacking.len(),
            "into Kubo"
        );
        let car = dag::Car::new(&self.baker, hash_part, roots, lacking);
        let body = server::from_blocking(car, None).into_data_stream();
        let pinned = self.kubo.dag_import(body).await.map_err(fault)?;
        if roots.iter().all(|root| pinned.contains(root)) {
            Ok(())
        } else {
            Err(Fault::Item(format!(
                "{path}: Kubo has not pinned what it took"
            )))
        }
    }

    async fn add(&self, hash_part: &str, path: &str, one: &Representation) -> Result<(), Fault> {
        let content = Content::new(&self.baker, hash_part, one.cid, 0..one.file_size);
        let body = server::from_blocking(content, Some(one.file_size)).into_data_stream();
        let base = path.rsplit('/').next().unwrap_or_default();
        let name = format!("{base}.nar{}", one.compression.extension());
        let mut told = 0;
        let progress = |bytes: u64| {
            if bytes >= told + (256 << 20) {
                told = bytes;
                tracing::info!(path, bytes, of = one.file_size, "adding to Kubo");
            }
        };
        let added = self.kubo.add(body, &SIZE_1048576_V1, &name, progress).await;
        let added = added.map_err(fault)?;
        if added.cid != one.cid {
            let reason = format!(
                "{path}: Kubo has made {} of it and not {}",
                added.cid, one.cid
            );
            return Err(Fault::Item(reason));
        }
        Ok(())
    }

    fn is_up(&mut self) {
        if std::mem::take(&mut self.said) {
            tracing::info!(url = %self.kubo.url(), waiting = self.queue.len(), "Kubo is back");
        }
        self.pause = FIRST_PAUSE;
        self.state.up.store(true, Ordering::Relaxed);
    }

    async fn wait(&mut self, error: &str) {
        self.state.up.store(false, Ordering::Relaxed);
        if !self.said {
            tracing::warn!(
                error,
                "Kubo is away; items are published when it is back, and plain substitutes are served meanwhile"
            );
            self.said = true;
        }
        self.count();
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    fn count(&self) {
        let waiting = self.queue.len() + self.baked.len();
        self.state.waiting.store(waiting as u64, Ordering::Relaxed);
    }
}

/// What an error of Kubo means for the item at hand.
fn fault(error: KuboError) -> Fault {
    match error {
        KuboError::Source(reason) => Fault::Item(reason),
        error => Fault::Kubo(error),
    }
}

impl Baker {
    /// Notes that Kubo has pinned the roots of a form; says whether the item is still there.
    fn published(&self, hash_part: &str, roots: &[Cid]) -> Result<bool, BakeError> {
        self.inner.records.update(hash_part, |record| {
            for one in &mut record.representations {
                // A short NAR is the same block in two forms, of which one has a tree beside it.
                one.published |= one.roots().eq(roots.iter().copied());
            }
        })
    }
}

/// The items that a node has not; all of them, if it is another node than last time.
fn unpublished(baker: &Baker, id: &str) -> Result<Vec<String>, String> {
    let path = baker.inner.config.dir.join("kubo");
    let same = std::fs::read_to_string(&path).is_ok_and(|known| known.trim() == id);
    let mut unpublished = Vec::new();
    let records = &baker.inner.records;
    for hash_part in records.all().map_err(|error| error.to_string())? {
        let Some(baked) = records.get(&hash_part) else {
            continue;
        };
        let mut published = baked.record.representations.iter().map(|one| one.published);
        if same && published.all(|published| published) {
            continue;
        }
        if !same && published.any(|published| published) {
            records
                .update(&hash_part, super::Record::unpublish)
                .map_err(|error| error.to_string())?;
        }
        unpublished.push(hash_part);
    }
    if !same {
        atomic::write(&path, id.as_bytes()).map_err(|error| error.to_string())?;
    }
    Ok(unpublished)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}
