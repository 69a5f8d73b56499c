//! Publishes baked items in Kubo: adds and pins each baked file, and marks it as published
//! afterwards. For a file with a chunk index, it sends a CAR with only those blocks that the node
//! lacks.
//!
//! The records say what is not published yet, so a restart forgets nothing. If Kubo is unreachable,
//! the queue waits, longer after each try, up to a minute. The log says once that Kubo is
//! unreachable, and once that it is back. If Kubo's identity differs from the last one
//! (`<dir>/kubo`), everything is published again.

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
use crate::task;

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// The state of the publishing into Kubo. Anyone may read it; [`Upload::run`] writes it.
#[derive(Debug, Default)]
pub struct UploadState {
    up: AtomicBool,
    published: AtomicU64,
    waiting: AtomicU64,
}

impl UploadState {
    /// Whether Kubo accepted the last file.
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

/// Publishes baked items in one Kubo node.
pub struct Upload {
    baker: Baker,
    kubo: Kubo,
    baked: UnboundedReceiver<String>,
    state: Arc<UploadState>,
    /// Hash parts of the items to publish.
    queue: VecDeque<String>,
    pause: Duration,
    /// Whether the log already says that Kubo is unreachable.
    outage_logged: bool,
}

/// Why an item could not be published.
enum UploadError {
    /// Kubo failed; try again later.
    Kubo(KuboError),
    /// This item can't be published, whatever Kubo does.
    Item(String),
}

impl Upload {
    /// Publishes the items of a baker; returns `None` if another [`Upload`] does already.
    pub fn new(baker: &Baker, kubo: Kubo) -> Option<Self> {
        let mut baked_receiver = baker
            .inner
            .baked_receiver
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(Self {
            baked: baked_receiver.take()?,
            baker: baker.clone(),
            kubo,
            state: Arc::default(),
            queue: VecDeque::new(),
            pause: FIRST_PAUSE,
            outage_logged: false,
        })
    }

    /// Returns the shared state.
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

    /// Asks Kubo for its identity, and queues all items that it lacks.
    async fn begin(&mut self) -> Result<(), KuboError> {
        let id = self.kubo.id().await?.id;
        let baker = self.baker.clone();
        match blocking(move || unpublished(&baker, &id)).await {
            Ok(unpublished) => self.queue = unpublished.into(),
            Err(error) => tracing::error!(error, "can't list the items to publish"),
        }
        Ok(())
    }

    /// Publishes queued and newly baked items. Returns when Kubo fails, or when the baker is
    /// dropped.
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
            let item = task::watched(("publishing in Kubo", &hash_part), self.item(&hash_part));
            let published = item.await;
            match published.unwrap_or_else(|error| Err(UploadError::Item(error.to_string()))) {
                Ok(()) => self.is_up(),
                Err(UploadError::Item(error)) => {
                    tracing::error!(hash_part, error, "can't publish an item in Kubo");
                }
                Err(UploadError::Kubo(error)) => return Err(error),
            }
            self.queue.pop_front();
        }
    }

    async fn item(&self, hash_part: &str) -> Result<(), UploadError> {
        let (baker, key) = (self.baker.clone(), hash_part.to_owned());
        let baked = blocking(move || Ok(baker.get(&key))).await;
        let Some(baked) = baked.map_err(UploadError::Item)? else {
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

    async fn file(
        &self,
        hash_part: &str,
        path: &str,
        one: &Representation,
    ) -> Result<(), UploadError> {
        let roots: Vec<Cid> = one.roots().collect();
        match roots.as_slice() {
            [_] => self.add(hash_part, path, one).await?,
            // `ipfs add` can't build this DAG, so send it as a CAR.
            _ => self.import(hash_part, path, &roots).await?,
        }
        let (baker, key, pinned) = (self.baker.clone(), hash_part.to_owned(), roots.clone());
        let exists = blocking(move || {
            baker
                .published(&key, &pinned)
                .map_err(|error| error.to_string())
        });
        if !exists.await.map_err(UploadError::Item)? {
            // The item was deleted meanwhile, so nobody else would unpin this.
            for root in roots {
                self.kubo.pin_rm(&root).await.map_err(upload_error)?;
            }
            return Ok(());
        }
        self.state.published.fetch_add(1, Ordering::Relaxed);
        tracing::info!(path, compression = one.compression.as_str(), cid = %one.cid, "published in Kubo");
        Ok(())
    }

    async fn import(&self, hash_part: &str, path: &str, roots: &[Cid]) -> Result<(), UploadError> {
        let (baker, key, wanted) = (self.baker.clone(), hash_part.to_owned(), roots.to_vec());
        let all = blocking(move || {
            let walked = dag::blocks_of(baker.blocks(), &wanted);
            if walked.lost.is_some() {
                baker.forget_damaged(&key);
                return Err("a block is lost; the item will be baked again".to_owned());
            }
            Ok(walked.cids)
        });
        let all = all.await.map_err(UploadError::Item)?;
        let lacking = self.kubo.lacking(&all).await.map_err(upload_error)?;
        tracing::debug!(
            path,
            blocks = all.len(),
            lacking = lacking.len(),
            "sending blocks to Kubo"
        );
        let car = dag::CarStream::new(&self.baker, hash_part, roots, lacking);
        let body = server::from_blocking(car, None).into_data_stream();
        let pinned = self.kubo.dag_import(body).await.map_err(upload_error)?;
        if roots.iter().all(|root| pinned.contains(root)) {
            Ok(())
        } else {
            Err(UploadError::Item(format!(
                "Kubo did not pin all roots of {path}"
            )))
        }
    }

    async fn add(
        &self,
        hash_part: &str,
        path: &str,
        one: &Representation,
    ) -> Result<(), UploadError> {
        let content = Content::new(&self.baker, hash_part, one.cid, 0..one.file_size);
        let body = server::from_blocking(content, Some(one.file_size)).into_data_stream();
        let base = path.rsplit('/').next().unwrap_or_default();
        let name = format!("{base}.nar{}", one.compression.extension());
        let mut logged = 0;
        let progress = |bytes: u64| {
            if bytes >= logged + (256 << 20) {
                logged = bytes;
                tracing::info!(path, bytes, of = one.file_size, "adding to Kubo");
            }
        };
        let added = self.kubo.add(body, &SIZE_1048576_V1, &name, progress).await;
        let added = added.map_err(upload_error)?;
        if added.cid != one.cid {
            let reason = format!("Kubo added {path} as {} instead of {}", added.cid, one.cid);
            return Err(UploadError::Item(reason));
        }
        Ok(())
    }

    fn is_up(&mut self) {
        if std::mem::take(&mut self.outage_logged) {
            tracing::info!(url = %self.kubo.url(), waiting = self.queue.len(), "Kubo is back");
        }
        self.pause = FIRST_PAUSE;
        self.state.up.store(true, Ordering::Relaxed);
    }

    async fn wait(&mut self, error: &str) {
        self.state.up.store(false, Ordering::Relaxed);
        if !self.outage_logged {
            tracing::warn!(
                error,
                "Kubo is unreachable; items are published in it when it is back, \
                 and served over HTTP meanwhile"
            );
            self.outage_logged = true;
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

/// Separates errors of the item from errors of Kubo.
fn upload_error(error: KuboError) -> UploadError {
    match error {
        KuboError::Source(reason) => UploadError::Item(reason),
        error => UploadError::Kubo(error),
    }
}

impl Baker {
    /// Marks the form with these roots as pinned in Kubo. Returns whether the item still
    /// exists.
    fn published(&self, hash_part: &str, roots: &[Cid]) -> Result<bool, BakeError> {
        self.inner.records.update(hash_part, |record| {
            for one in &mut record.representations {
                // A short NAR is the same block in two forms, of which one also has
                // a tree.
                one.published |= one.roots().eq(roots.iter().copied());
            }
        })
    }
}

/// Returns the items that a node lacks; all of them, if its identity has changed.
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
    let done = task::blocking("publishing in Kubo", work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}
