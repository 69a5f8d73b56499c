//! The state of the snapshots, stored in `snapshot.json`.
//!
//! ```json
//! { "version": 1, "root": "bafy…", "made": 1790000000, "settings": "…",
//!   "old": [ { "root": "bafy…", "until": 1790130000 } ], "imported": [],
//!   "kubo": { "id": "12D3…", "key": "interplanar", "name": "k51…",
//!             "pinned": [ "bafy…" ], "published": "bafy…" } }
//! ```
//! `pinned` lists the roots that we have pinned or were about to. Nothing else is ever unpinned.

use std::io::ErrorKind;
use std::path::Path;

use interplanar_core::cid::{self, Cid};
use serde::{Deserialize, Serialize};

use super::super::BakeError;
use crate::atomic;

/// The version of the file format.
const VERSION: u32 = 1;

/// The snapshots of a cache folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SnapshotsState {
    pub(super) root: Option<Cid>,
    /// When the current snapshot was made, in seconds since 1970.
    pub(super) made: u64,
    /// The settings that its narinfos were made with. If they change, the next snapshot is
    /// built from nothing.
    pub(super) settings: String,
    pub(super) old: Vec<OldSnapshot>,
    pub(super) imported: Vec<Cid>,
    pub(super) kubo: InKubo,
}

/// A root that was the current one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSnapshot {
    /// The root's CID.
    pub root: Cid,
    /// The time until which clients may have its narinfos, in seconds since 1970.
    pub until: u64,
}

/// What is in a Kubo node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InKubo {
    /// The peer ID of the node.
    pub id: String,
    /// The key in Kubo whose IPNS name is used.
    pub key: String,
    /// The IPNS name of that key.
    pub name: String,
    /// Roots that we have pinned or were about to.
    pub pinned: Vec<Cid>,
    /// The root that the name refers to.
    pub published: Option<Cid>,
}

#[derive(Serialize, Deserialize)]
struct StoredState {
    version: u32,
    root: Option<String>,
    made: u64,
    settings: String,
    old: Vec<StoredOldSnapshot>,
    imported: Vec<String>,
    kubo: StoredKubo,
}

#[derive(Serialize, Deserialize)]
struct StoredOldSnapshot {
    root: String,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredKubo {
    id: String,
    key: String,
    name: String,
    pinned: Vec<String>,
    published: Option<String>,
}

impl SnapshotsState {
    pub(super) fn read(path: &Path) -> Self {
        let json = match std::fs::read(path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::error!(
                    path = %path.display(),
                    %error,
                    "can't read the state of the snapshots; the next one is built from nothing"
                );
                return Self::default();
            }
        };
        let stored = serde_json::from_slice(&json).ok();
        stored.and_then(StoredState::read).unwrap_or_else(|| {
            tracing::error!(
                path = %path.display(),
                "the state of the snapshots is malformed; the next one is built from nothing"
            );
            Self::default()
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), BakeError> {
        let json = serde_json::to_vec_pretty(&StoredState::of(self));
        json.map_err(std::io::Error::from)
            .and_then(|json| atomic::write(path, &json))
            .map_err(BakeError::io(path))
    }
}

impl StoredState {
    fn of(state: &SnapshotsState) -> Self {
        let texts = |cids: &[Cid]| cids.iter().map(Cid::to_string).collect();
        let old = state.old.iter().map(|old| StoredOldSnapshot {
            root: old.root.to_string(),
            until: old.until,
        });
        Self {
            version: VERSION,
            root: state.root.map(|root| root.to_string()),
            made: state.made,
            settings: state.settings.clone(),
            old: old.collect(),
            imported: texts(&state.imported),
            kubo: StoredKubo {
                id: state.kubo.id.clone(),
                key: state.kubo.key.clone(),
                name: state.kubo.name.clone(),
                pinned: texts(&state.kubo.pinned),
                published: state.kubo.published.map(|root| root.to_string()),
            },
        }
    }

    fn read(self) -> Option<SnapshotsState> {
        if self.version != VERSION {
            return None;
        }
        let one = |text: Option<String>| text.as_deref().map(cid::parse).transpose().ok();
        let all = |texts: &[String]| {
            let cids = texts.iter().map(|text| cid::parse(text).ok());
            cids.collect::<Option<Vec<Cid>>>()
        };
        let old = self.old.into_iter().map(|old| {
            Some(OldSnapshot {
                root: cid::parse(&old.root).ok()?,
                until: old.until,
            })
        });
        Some(SnapshotsState {
            root: one(self.root)?,
            made: self.made,
            settings: self.settings,
            old: old.collect::<Option<_>>()?,
            imported: all(&self.imported)?,
            kubo: InKubo {
                id: self.kubo.id,
                key: self.kubo.key,
                name: self.kubo.name,
                pinned: all(&self.kubo.pinned)?,
                published: one(self.kubo.published)?,
            },
        })
    }
}
