//! Keeps the snapshot of the cache up to date, and publishes it under an IPNS name in Kubo.
//!
//! ```text
//! changed items ─► narinfos ─► next root, in the block store ─► Kubo: new nodes, a pin, the name
//!     at most once per interval, and at the end              expired snapshots are unpinned
//! ```
//! With Kubo, an item enters the snapshot once its files are pinned there. Then only nodes and
//! narinfos are left to send. If Kubo is unreachable, the snapshot still grows here, and it is
//! published when Kubo is back.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use interplanar_core::cid::Cid;
use interplanar_core::hash::Sha256;
use interplanar_core::ipns::Name;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::narinfo_writer::NarinfoWriter;
use super::upkeep::unpin;
use crate::bake::dag::{CarStream, blocks_of};
use crate::bake::snapshot::{InKubo, SnapshotChanges, SnapshotError, SnapshotItem, new_blocks};
use crate::bake::space::Policy;
use crate::bake::{BakeError, Baker};
use crate::kubo::{Kubo, KuboError};
use crate::net::server::{self, Shutdown};
use crate::task::{self, WorkError};
use crate::unix_time;

/// The folder of NARs in a snapshot.
pub(super) const NAR_FOLDER: &str = "nar";
/// How long to wait for more changes after the first one.
const MORE_CHANGES_WAIT: Duration = Duration::from_secs(3);
/// The longest time between two checks for expired snapshots.
pub(super) const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(3600);
/// The longest pause after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// How long publishing the last snapshot may take at shutdown. The process has 30 seconds in all.
const LAST_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(20);

/// How to keep a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// The shortest time between two snapshots.
    pub interval: Duration,
    /// The key in Kubo whose IPNS name is used; created if it doesn't exist.
    pub key: String,
    /// How long an old snapshot is kept.
    pub keep_for: Duration,
}

/// Counters for `/metrics`.
#[derive(Debug, Default)]
pub(super) struct SnapshotCounters {
    pub(super) made: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) failed: AtomicU64,
    /// When a snapshot was last published, in seconds since 1970.
    pub(super) last: AtomicU64,
}

/// Makes and publishes snapshots until shutdown.
pub(super) struct SnapshotJob {
    pub(super) baker: Baker,
    pub(super) narinfo_writer: Arc<NarinfoWriter>,
    pub(super) kubo: Option<Kubo>,
    pub(super) config: SnapshotConfig,
    /// Files at the snapshot's root, beside the narinfos.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    pub(super) state: Arc<SnapshotCounters>,
    /// Whether changes may be missing in the snapshot, so that all items must be compared.
    pub(super) may_lack_changes: bool,
    /// When to check for expired snapshots, if nothing changes before.
    pub(super) next_check: Duration,
}

/// Why a snapshot could not be made or published. It is tried again later.
#[derive(Debug, thiserror::Error)]
enum SnapshotJobError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Bake(#[from] BakeError),
    #[error(transparent)]
    Kubo(#[from] KuboError),
    #[error("block {0} is lost; run `interplanar fsck`")]
    Lost(Box<Cid>),
    #[error(transparent)]
    Work(#[from] WorkError),
}

impl SnapshotJob {
    /// Works until `shutdown`, and makes a last snapshot then.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        self.baker.watch();
        let mut pause = Duration::from_secs(1);
        let mut next = Instant::now();
        loop {
            let waiting = async {
                sleep_until(next).await;
                if !self.may_lack_changes
                    && timeout(self.next_check, self.baker.next_change())
                        .await
                        .is_ok()
                {
                    sleep(MORE_CHANGES_WAIT.min(self.config.interval)).await;
                }
            };
            if shutdown.run_until_cancelled(waiting).await.is_none() {
                break;
            }
            match shutdown.run_until_cancelled(self.watched_step()).await {
                None => break,
                Some(Ok(is_new)) => {
                    pause = Duration::from_secs(1);
                    if is_new {
                        next = Instant::now() + self.config.interval;
                    }
                }
                Some(Err(error)) => {
                    self.failed(&error);
                    next = Instant::now() + pause;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
        match timeout(LAST_SNAPSHOT_TIMEOUT, self.watched_step()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.failed(&error),
            Err(_) => tracing::warn!(
                "no time left to publish the last snapshot; the next start publishes it"
            ),
        }
    }

    fn failed(&mut self, error: &SnapshotJobError) {
        self.may_lack_changes = true;
        self.state.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "can't make or publish a snapshot; will try again");
    }

    /// Runs a step. A panic in it is an error as any other.
    async fn watched_step(&mut self) -> Result<bool, SnapshotJobError> {
        task::watched("making a snapshot", self.step()).await?
    }

    /// Makes the next snapshot and publishes it. Returns whether there is a new one.
    async fn step(&mut self) -> Result<bool, SnapshotJobError> {
        // `take` has emptied the list of changes: until this call succeeds, they could be
        // lost.
        let may_lack_changes = std::mem::replace(&mut self.may_lack_changes, true);
        let maker = SnapshotMaker {
            baker: self.baker.clone(),
            narinfo_writer: Arc::clone(&self.narinfo_writer),
            keep_for: self.config.keep_for,
            files: self.files.clone(),
            with_kubo: self.kubo.is_some(),
        };
        let made =
            task::blocking("making a snapshot", move || maker.make(may_lack_changes)).await??;
        if let Some(root) = made.new {
            self.state.made.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%root, "made a snapshot");
        }
        let mut is_new = made.new.is_some();
        if let (Some(kubo), Some(root)) = (self.kubo.clone(), made.root) {
            is_new |= self.publish(&kubo, root).await?;
        }
        self.may_lack_changes = false;
        self.expire().await?;
        Ok(is_new)
    }

    /// Sends a root to Kubo, pins it and publishes its name. Returns false if all that was already
    /// done.
    async fn publish(&self, kubo: &Kubo, root: Cid) -> Result<bool, SnapshotJobError> {
        let id = kubo.id().await?.id;
        let mut in_kubo = self.in_kubo().await?;
        if in_kubo.id != id {
            // Another node's pins can't be removed here.
            in_kubo = InKubo {
                id,
                ..InKubo::default()
            };
        }
        if in_kubo.key != self.config.key {
            in_kubo.published = None;
            in_kubo.key.clone_from(&self.config.key);
        }
        if in_kubo.published == Some(root) {
            return Ok(false);
        }
        let name = kubo.key(&in_kubo.key).await?;
        in_kubo.name = name.to_string();
        // If somebody else pinned the root, the pin isn't ours to remove later.
        if in_kubo.pinned.contains(&root) || !kubo.is_pinned(&root).await? {
            if !in_kubo.pinned.contains(&root) {
                in_kubo.pinned.push(root);
                self.record_kubo_state(in_kubo.clone()).await?;
            }
            self.send(kubo, root, in_kubo.published).await?;
        }
        kubo.name_publish(&in_kubo.key, &root, self.config.interval)
            .await?;
        in_kubo.published = Some(root);
        self.record_kubo_state(in_kubo).await?;
        self.state.published.fetch_add(1, Ordering::Relaxed);
        self.state.last.store(unix_time::now(), Ordering::Relaxed);
        report(&name, &root);
        Ok(true)
    }

    /// Sends the blocks of a root that the node lacks, and pins the root.
    async fn send(
        &self,
        kubo: &Kubo,
        root: Cid,
        before: Option<Cid>,
    ) -> Result<(), SnapshotJobError> {
        let before = match before {
            Some(before) if kubo.is_pinned(&before).await? => Some(before),
            _ => None,
        };
        let blocks = self.baker.blocks().clone();
        let new = task::blocking("comparing snapshots", move || {
            new_blocks(&blocks, root, before, NAR_FOLDER)
        })
        .await?;
        let new = new.map_err(|lost| SnapshotJobError::Lost(Box::new(lost)))?;
        self.import(kubo, root, new).await?;
        match kubo.pin_add(&root, before.as_ref()).await {
            Err(KuboError::Api { message, .. }) => {
                tracing::info!(%root, message, "Kubo lacks more blocks of the snapshot");
            }
            done => return Ok(done?),
        }
        let blocks = self.baker.blocks().clone();
        let all = task::blocking("reading a snapshot", move || blocks_of(&blocks, &[root])).await?;
        if let Some(lost) = all.lost {
            return Err(SnapshotJobError::Lost(Box::new(lost)));
        }
        let lacking = kubo.lacking(&all.cids).await?;
        self.import(kubo, root, lacking).await?;
        Ok(kubo.pin_add(&root, None).await?)
    }

    async fn import(&self, kubo: &Kubo, root: Cid, blocks: Vec<Cid>) -> Result<(), KuboError> {
        tracing::debug!(%root, blocks = blocks.len(), "sending blocks to Kubo");
        let car = CarStream::of(self.baker.blocks(), &[root], blocks);
        let body = server::from_blocking(car, None).into_data_stream();
        kubo.dag_import_unpinned(body).await
    }

    async fn in_kubo(&self) -> Result<InKubo, SnapshotJobError> {
        let snapshots = self.baker.snapshots().clone();
        let in_kubo = task::blocking("reading the snapshots", move || {
            snapshots.hold().in_kubo().clone()
        });
        Ok(in_kubo.await?)
    }

    async fn record_kubo_state(&self, in_kubo: InKubo) -> Result<(), SnapshotJobError> {
        let snapshots = self.baker.snapshots().clone();
        let recorded = task::blocking("recording a snapshot", move || {
            snapshots.hold().set_in_kubo(in_kubo)
        });
        Ok(recorded.await??)
    }

    /// Deletes the blocks of expired snapshots.
    async fn expire(&mut self) -> Result<(), SnapshotJobError> {
        let (baker, kubo) = (self.baker.clone(), self.kubo.clone());
        let policy = Policy {
            unused_for: None,
            max_bytes: None,
            keep_for: self.config.keep_for,
        };
        let expired = task::blocking("deleting snapshots", move || {
            if !baker.snapshots().hold().expired().is_empty() {
                let done = baker.collect(&policy, &mut |pins| unpin(kubo.as_ref(), pins))?;
                let (blocks, bytes) = (done.blocks, done.bytes);
                tracing::info!(blocks, bytes, "deleted the blocks of expired snapshots");
            }
            let next = baker.snapshots().hold().next_expiry();
            Ok(next.unwrap_or(MAX_CHECK_INTERVAL))
        });
        self.next_check = match expired.await? {
            // A snapshot that expired stays if Kubo doesn't remove its pin: try again
            // soon.
            Ok(Duration::ZERO) => MAX_PAUSE,
            Ok(next) => (next + Duration::from_secs(1)).min(MAX_CHECK_INTERVAL),
            Err(BakeError::Stopped) => MAX_CHECK_INTERVAL,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }
}

fn report(name: &Name, root: &Cid) {
    tracing::info!(
        %root,
        %name,
                "published the snapshot: any gateway now serves it as a cache, \
         such as http://127.0.0.1:8080/ipns/{name}"
    );
}

/// Makes the next snapshot. Its methods block.
struct SnapshotMaker {
    baker: Baker,
    narinfo_writer: Arc<NarinfoWriter>,
    keep_for: Duration,
    files: Vec<(&'static str, Vec<u8>)>,
    with_kubo: bool,
}

/// The outcome of [`SnapshotMaker::make`].
struct MakeOutcome {
    root: Option<Cid>,
    /// The root, if it differs from the one before.
    new: Option<Cid>,
}

impl SnapshotMaker {
    fn make(self, may_lack_changes: bool) -> Result<MakeOutcome, SnapshotJobError> {
        let mut held = self.baker.snapshots().hold();
        let changed = self.baker.changed();
        let settings = self.settings();
        let rebuild = held.root().is_none() || held.settings() != settings;
        let mut changes = SnapshotChanges {
            rebuild,
            settings,
            keep_for: self.keep_for,
            ..SnapshotChanges::default()
        };
        let mut items = changed;
        if may_lack_changes || rebuild {
            changes.files = self.files.clone();
            let baked: HashSet<String> = self.baker.baked_items()?.into_iter().collect();
            let listed: HashSet<String> = if rebuild {
                HashSet::new()
            } else {
                held.listed()
                    .or_else(|error| forget_if_lost(&mut held, error))?
                    .into_iter()
                    .collect()
            };
            changes.remove = listed.difference(&baked).cloned().collect();
            items.extend(baked.difference(&listed).cloned());
        }
        items.sort();
        items.dedup();
        items.retain(|hash_part| {
            let exists = self.baker.get(hash_part).is_some();
            if !exists {
                changes.remove.push(hash_part.clone());
            }
            exists
        });
        let mut put = items.iter().filter_map(|item| self.entry(item)).peekable();
        let idle = changes.remove.is_empty() && changes.files.is_empty();
        if put.peek().is_none() && (idle || held.root().is_none()) {
            return Ok(MakeOutcome {
                root: held.root(),
                new: None,
            });
        }
        let new = held
            .apply(changes, &mut put)
            .or_else(|error| forget_if_lost(&mut held, error))?;
        Ok(MakeOutcome {
            root: held.root(),
            new,
        })
    }

    fn entry(&self, hash_part: &str) -> Option<SnapshotItem> {
        let baked = self.baker.get(hash_part)?;
        let compressors = self.baker.compressors(&baked.record.item);
        let entry = self
            .narinfo_writer
            .in_snapshot(&baked.record, &compressors)?;
        entry
            .inspect_err(|error| {
                tracing::error!(
                    hash_part,
                    %error,
                    "can't write the narinfo; the item is not in the snapshot"
                );
            })
            .ok()
    }

    /// Returns a hash of all that shapes the text of narinfos, except the items.
    fn settings(&self) -> String {
        let mut text = format!(
            "1 {:?} {} {} {:?}",
            self.narinfo_writer.dialect,
            self.narinfo_writer.host,
            self.with_kubo,
            self.baker.requested()
        );
        for (_, bytes) in &self.files {
            text.push_str(&String::from_utf8_lossy(bytes));
        }
        Sha256::of(text.as_bytes()).to_string()
    }
}

/// Forgets the snapshot if one of its nodes is lost, so that the next one starts from nothing.
fn forget_if_lost<T>(
    held: &mut crate::bake::snapshot::HeldSnapshots<'_>,
    error: SnapshotError,
) -> Result<T, SnapshotError> {
    if let (SnapshotError::Directory(_), Some(root)) = (&error, held.root()) {
        held.forget(&root)?;
    }
    Err(error)
}
