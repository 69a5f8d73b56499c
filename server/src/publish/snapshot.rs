//! Keeps the snapshot of the cache: makes the next one as items are baked and go, and publishes it under a name in Kubo.
//!
//! ```text
//! items that changed ─► narinfos ─► the next root, in the block store ─► Kubo: the new nodes, a pin, the name
//!                    at most once per interval, and at the end          and what nobody can have any more is unpinned
//! ```
//! With Kubo an item is in the snapshot once its files are pinned there, so only nodes and narinfos are left to send. While Kubo is away the snapshot goes on
//! growing here, and is published when it is back.

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
use crate::bake::dag::{Car, blocks_of};
use crate::bake::snapshot::{Changes, Entry, InKubo, SnapshotError, fresh};
use crate::bake::space::Policy;
use crate::bake::{BakeError, Baker};
use crate::kubo::{Kubo, KuboError};
use crate::net::server::{self, Shutdown};
use crate::unix_time;

/// The folder of NARs in a snapshot.
pub(super) const NARS: &str = "nar";
/// How long the first change waits for others.
const SETTLE: Duration = Duration::from_secs(3);
/// How often it is looked at least, and at most, whether an old snapshot has had its time, where nothing changes.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Longest pause after a failure.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// How long the last snapshot may take at the end; the process is given 30 seconds.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// How to keep a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// Least time between two.
    pub interval: Duration,
    /// The key in Kubo that it is published under; made if it isn't there.
    pub key: String,
    /// For how long an old one is kept.
    pub keep_for: Duration,
}

/// What was done so far, for `/metrics`.
#[derive(Debug, Default)]
pub(super) struct SnapshotState {
    pub(super) made: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Seconds since 1970.
    pub(super) last: AtomicU64,
}

/// See the module.
pub(super) struct Job {
    pub(super) baker: Baker,
    pub(super) narinfo_writer: Arc<NarinfoWriter>,
    pub(super) kubo: Option<Kubo>,
    pub(super) config: SnapshotConfig,
    /// Files at the root.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    pub(super) state: Arc<SnapshotState>,
    /// Whether the snapshot may lack changes from before.
    pub(super) unsure: bool,
    /// When to look for old snapshots again, where nothing changes.
    pub(super) look_in: Duration,
}

/// Why a step isn't done; it is tried again.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Bake(#[from] BakeError),
    #[error(transparent)]
    Kubo(#[from] KuboError),
    #[error("block {0} is lost; run `interplanar fsck`")]
    Lost(Box<Cid>),
    #[error("{0}")]
    Panic(#[from] tokio::task::JoinError),
}

impl Job {
    /// Works until `shutdown`, and then once more.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        self.baker.watch();
        let mut pause = Duration::from_secs(1);
        let mut next = Instant::now();
        loop {
            let waiting = async {
                sleep_until(next).await;
                if !self.unsure
                    && timeout(self.look_in, self.baker.next_change())
                        .await
                        .is_ok()
                {
                    sleep(SETTLE.min(self.config.interval)).await;
                }
            };
            if shutdown.run_until_cancelled(waiting).await.is_none() {
                break;
            }
            match shutdown.run_until_cancelled(self.step()).await {
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
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
        match timeout(LAST_WORDS, self.step()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.failed(&error),
            Err(_) => tracing::warn!("the last snapshot is published at the next start"),
        }
    }

    fn failed(&mut self, error: &Fault) {
        self.unsure = true;
        self.state.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "no snapshot; it is tried again");
    }

    /// Makes the next snapshot and publishes it; says whether there is a new one.
    async fn step(&mut self) -> Result<bool, Fault> {
        // Until this has succeeded: what was taken from the list of changes must not be lost.
        let unsure = std::mem::replace(&mut self.unsure, true);
        let maker = Maker {
            baker: self.baker.clone(),
            narinfo_writer: Arc::clone(&self.narinfo_writer),
            keep_for: self.config.keep_for,
            files: self.files.clone(),
            with_kubo: self.kubo.is_some(),
        };
        let made = tokio::task::spawn_blocking(move || maker.make(unsure)).await??;
        if let Some(root) = made.new {
            self.state.made.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%root, "snapshot");
        }
        let mut is_new = made.new.is_some();
        if let (Some(kubo), Some(root)) = (self.kubo.clone(), made.root) {
            is_new |= self.publish(&kubo, root).await?;
        }
        self.unsure = false;
        self.expire().await?;
        Ok(is_new)
    }

    /// Has Kubo hold, pin and name a root; false if it does already.
    async fn publish(&self, kubo: &Kubo, root: Cid) -> Result<bool, Fault> {
        let id = kubo.id().await?.id;
        let mut known = self.in_kubo().await?;
        if known.id != id {
            // What another node pinned is there, and not ours to unpin here.
            known = InKubo {
                id,
                ..InKubo::default()
            };
        }
        if known.key != self.config.key {
            known.published = None;
            known.key.clone_from(&self.config.key);
        }
        if known.published == Some(root) {
            return Ok(false);
        }
        let name = kubo.key(&known.key).await?;
        known.name = name.to_string();
        // A pin that somebody else made is theirs.
        if known.pinned.contains(&root) || !kubo.is_pinned(&root).await? {
            if !known.pinned.contains(&root) {
                known.pinned.push(root);
                self.note(known.clone()).await?;
            }
            self.send(kubo, root, known.published).await?;
        }
        kubo.name_publish(&known.key, &root, self.config.interval)
            .await?;
        known.published = Some(root);
        self.note(known).await?;
        self.state.published.fetch_add(1, Ordering::Relaxed);
        self.state.last.store(unix_time::now(), Ordering::Relaxed);
        report(&name, &root);
        Ok(true)
    }

    /// Sends what the node lacks of a root, and pins it.
    async fn send(&self, kubo: &Kubo, root: Cid, before: Option<Cid>) -> Result<(), Fault> {
        let before = match before {
            Some(before) if kubo.is_pinned(&before).await? => Some(before),
            _ => None,
        };
        let blocks = self.baker.blocks().clone();
        let new = tokio::task::spawn_blocking(move || fresh(&blocks, root, before, NARS)).await?;
        let new = new.map_err(|lost| Fault::Lost(Box::new(lost)))?;
        self.import(kubo, root, new).await?;
        match kubo.pin_add(&root, before.as_ref()).await {
            Err(KuboError::Api { message, .. }) => {
                tracing::info!(%root, message, "Kubo lacks more of the snapshot");
            }
            done => return Ok(done?),
        }
        let blocks = self.baker.blocks().clone();
        let all = tokio::task::spawn_blocking(move || blocks_of(&blocks, &[root])).await?;
        if let Some(lost) = all.lost {
            return Err(Fault::Lost(Box::new(lost)));
        }
        let lacking = kubo.lacking(&all.cids).await?;
        self.import(kubo, root, lacking).await?;
        Ok(kubo.pin_add(&root, None).await?)
    }

    async fn import(&self, kubo: &Kubo, root: Cid, blocks: Vec<Cid>) -> Result<(), KuboError> {
        tracing::debug!(%root, blocks = blocks.len(), "into Kubo");
        let car = Car::of(self.baker.blocks(), &[root], blocks);
        let body = server::from_blocking(car, None).into_data_stream();
        kubo.dag_import_unpinned(body).await
    }

    async fn in_kubo(&self) -> Result<InKubo, Fault> {
        let snapshots = self.baker.snapshots().clone();
        let known = tokio::task::spawn_blocking(move || snapshots.hold().in_kubo().clone());
        Ok(known.await?)
    }

    async fn note(&self, known: InKubo) -> Result<(), Fault> {
        let snapshots = self.baker.snapshots().clone();
        let noted = tokio::task::spawn_blocking(move || snapshots.hold().set_in_kubo(known));
        Ok(noted.await??)
    }

    /// Has the space of snapshots given back whose time is over.
    async fn expire(&mut self) -> Result<(), Fault> {
        let (baker, kubo) = (self.baker.clone(), self.kubo.clone());
        let policy = Policy {
            unused_for: None,
            max_bytes: None,
            keep_for: self.config.keep_for,
        };
        let expired = tokio::task::spawn_blocking(move || {
            if !baker.snapshots().hold().expired().is_empty() {
                let done = baker.collect(&policy, &mut |pins| unpin(kubo.as_ref(), pins))?;
                let (blocks, bytes) = (done.blocks, done.bytes);
                tracing::info!(blocks, bytes, "old snapshots are gone");
            }
            let next = baker.snapshots().hold().next_expiry();
            Ok(next.unwrap_or(LOOK_EVERY))
        });
        self.look_in = match expired.await? {
            // One whose pin Kubo doesn't remove is due for long.
            Ok(Duration::ZERO) => LAST_PAUSE,
            Ok(next) => (next + Duration::from_secs(1)).min(LOOK_EVERY),
            Err(BakeError::Stopped) => LOOK_EVERY,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }
}

fn report(name: &Name, root: &Cid) {
    tracing::info!(
        %root,
        %name,
        "snapshot published: any gateway is a substitute server now, http://127.0.0.1:8080/ipns/{name}"
    );
}

/// Makes the next snapshot; blocks.
struct Maker {
    baker: Baker,
    narinfo_writer: Arc<NarinfoWriter>,
    keep_for: Duration,
    files: Vec<(&'static str, Vec<u8>)>,
    with_kubo: bool,
}

/// What there is then.
struct Made {
    root: Option<Cid>,
    /// The root, if it is another than before.
    new: Option<Cid>,
}

impl Maker {
    fn make(self, unsure: bool) -> Result<Made, Fault> {
        let mut held = self.baker.snapshots().hold();
        let changed = self.baker.changed();
        let settings = self.settings();
        let anew = held.root().is_none() || held.settings() != settings;
        let mut changes = Changes {
            anew,
            settings,
            keep_for: self.keep_for,
            ..Changes::default()
        };
        let mut items = changed;
        if unsure || anew {
            changes.files = self.files.clone();
            let baked: HashSet<String> = self.baker.baked_items()?.into_iter().collect();
            let listed: HashSet<String> = if anew {
                HashSet::new()
            } else {
                held.listed()
                    .or_else(|error| lost(&mut held, error))?
                    .into_iter()
                    .collect()
            };
            changes.remove = listed.difference(&baked).cloned().collect();
            items.extend(baked.difference(&listed).cloned());
        }
        items.sort();
        items.dedup();
        items.retain(|hash_part| {
            let there = self.baker.get(hash_part).is_some();
            if !there {
                changes.remove.push(hash_part.clone());
            }
            there
        });
        let mut put = items.iter().filter_map(|item| self.entry(item)).peekable();
        let idle = changes.remove.is_empty() && changes.files.is_empty();
        if put.peek().is_none() && (idle || held.root().is_none()) {
            return Ok(Made {
                root: held.root(),
                new: None,
            });
        }
        let new = held
            .apply(changes, &mut put)
            .or_else(|error| lost(&mut held, error))?;
        Ok(Made {
            root: held.root(),
            new,
        })
    }

    fn entry(&self, hash_part: &str) -> Option<Entry> {
        let baked = self.baker.get(hash_part)?;
        let compressors = self.baker.compressors(&baked.record.item);
        let entry = self
            .narinfo_writer
            .in_snapshot(&baked.record, &compressors)?;
        entry
            .inspect_err(|error| tracing::error!(hash_part, %error, "not in the snapshot"))
            .ok()
    }

    /// What decides on the text of narinfos, beside the items.
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

/// Where a node of the snapshot is lost, the next one is made anew.
fn lost<T>(
    held: &mut crate::bake::snapshot::Held<'_>,
    error: SnapshotError,
) -> Result<T, SnapshotError> {
    if let (SnapshotError::Directory(_), Some(root)) = (&error, held.root()) {
        held.forget(&root)?;
    }
    Err(error)
}
