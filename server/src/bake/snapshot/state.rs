//! The state of the snapshots: `snapshot.json`.
//!
//! ```json
//! { "version": 1, "root": "bafy…", "made": 1790000000, "settings": "…", "old": [ { "root": "bafy…", "until": 1790130000 } ], "imported": [],
//!   "kubo": { "id": "12D3…", "key": "interplanar", "name": "k51…", "pinned": [ "bafy…" ], "published": "bafy…" } }
//! ```
//! `pinned` are the roots that we have pinned or were about to; nothing else is ever unpinned.

use std::io::ErrorKind;
use std::path::Path;

use interplanar_core::cid::{self, Cid};
use serde::{Deserialize, Serialize};

use super::super::BakeError;
use crate::atomic;

/// The version of the file format.
const VERSION: u32 = 1;

/// What is known of a cache's snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    pub(super) root: Option<Cid>,
    /// When it was made, in seconds since 1970.
    pub(super) made: u64,
    /// What its narinfos were made with: if that is another now, all are made anew.
    pub(super) settings: String,
    pub(super) old: Vec<Old>,
    pub(super) imported: Vec<Cid>,
    pub(super) kubo: InKubo,
}

/// A root that was the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Its CID.
    pub root: Cid,
    /// Until when clients may have its narinfos, in seconds since 1970.
    pub until: u64,
}

/// What a Kubo node was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InKubo {
    /// Its peer ID.
    pub id: String,
    /// The key that is published under.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Roots that we have pinned, or were about to.
    pub pinned: Vec<Cid>,
    /// What the name leads to.
    pub published: Option<Cid>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    root: Option<String>,
    made: u64,
    settings: String,
    old: Vec<StoredOld>,
    imported: Vec<String>,
    kubo: StoredKubo,
}

#[derive(Serialize, Deserialize)]
struct StoredOld {
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

impl State {
    pub(super) fn read(path: &Path) -> Self {
        let json = match std::fs::read(path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the state of the snapshot can't be read; it is made anew");
                return Self::default();
            }
        };
        let stored = serde_json::from_slice(&json).ok();
        stored.and_then(Stored::read).unwrap_or_else(|| {
            tracing::error!(path = %path.display(), "not the state of a snapshot; it is made anew");
            Self::default()
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), BakeError> {
        let json = serde_json::to_vec_pretty(&Stored::of(self));
        json.map_err(std::io::Error::from)
            .and_then(|json| atomic::write(path, &json))
            .map_err(BakeError::io(path))
    }
}

impl Stored {
    fn of(state: &State) -> Self {
        let texts = |cids: &[Cid]| cids.iter().map(Cid::to_string).collect();
        let old = state.old.iter().map(|old| StoredOld {
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

    fn read(self) -> Option<State> {
        if self.version != VERSION {
            return None;
        }
        let one = |text: Option<String>| text.as_deref().map(cid::parse).transpose().ok();
        let all = |texts: &[String]| {
            let cids = texts.iter().map(|text| cid::parse(text).ok());
            cids.collect::<Option<Vec<Cid>>>()
        };
        let old = self.old.into_iter().map(|old| {
            Some(Old {
                root: cid::parse(&old.root).ok()?,
                until: old.until,
            })
        });
        Some(State {
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
