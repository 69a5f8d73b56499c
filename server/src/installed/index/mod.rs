//! The index: which pieces installed items have, in one SQLite file that any process may read while its owner writes.
//!
//! ```text
//! items  id, path, cut, nar_hash, rank, pieces     an item, and all its pieces (`pieces.rs`); 44 bytes a piece
//! hooks  start, item                               the first 8 bytes of each piece's SHA-256, and where it is; about 23 bytes a piece
//! ```
//! An item and its hooks come and go in one transaction, so a kill leaves whole items, and the next run goes on with the others. It is a cache: after a
//! power cut the last items may be missing, and a file that is damaged is made anew.
//!
//! **What goes first** when all would take more than `max_bytes`: the item of the lowest rank. The rank is the time when an item was registered in its
//! store, or was last of use, whichever is later: what was installed last is most like what will be installed next. An item that ranks lower
//! than all that is there is not taken in, so a full index isn't written over and over.

mod look;
mod tables;

pub(super) use look::{Listed, Look, Row};

use super::IndexError;
use super::pieces::Piece;
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tables::{ITEM_ROOM, ROOM, begin, connect, forget, insert, is_damaged, lowest, remove, used};

/// The name of its file.
pub(super) const FILE: &str = "index.sqlite";
/// A use is noted when the last one is longer ago, in seconds.
const USE_AGAIN: i64 = 3600;

/// What is noted of an item.
pub(super) struct Entry<'a> {
    pub(super) path: &'a StorePath,
    pub(super) nar_hash: &'a Sha256,
    pub(super) cut: i64,
    /// Seconds since 1970; see the module.
    pub(super) rank: i64,
}

/// An index that this process writes.
pub(super) struct Index {
    dir: PathBuf,
    // Closed before the connection that can tidy up.
    look: Look,
    connection: Mutex<Connection>,
    max_bytes: u64,
    /// Whether something was forgotten that is to be cut anew.
    dropped: AtomicBool,
}

impl Index {
    /// Opens the one in a folder; made if it is missing or of no use. Blocks.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Self, IndexError> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(FILE);
        let opened = connect(&path);
        let connection = match opened {
            Err(error) if is_damaged(&error) => {
                tracing::warn!(%error, "the index of installed items is of no use; it is made anew");
                remove(&path)?;
                connect(&path)?
            }
            opened => opened?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            look: Look::open(dir)?,
            connection: Mutex::new(connection),
            max_bytes,
            dropped: AtomicBool::new(false),
        })
    }

    /// Its reading half.
    pub(super) fn look(&self) -> &Look {
        &self.look
    }

    /// Whether something was forgotten, since this was asked for last, that is to be cut anew.
    pub(super) fn take_dropped(&self) -> bool {
        self.dropped.swap(false, Ordering::Relaxed)
    }

    /// Reads all of it, and makes it anew where it is damaged. Then what is too much goes. Blocks.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        // On a connection of its own: nobody waits for it.
        let path = self.dir.join(FILE);
        let other = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let sound = other.and_then(|other| {
            other.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        });
        let mut connection = self.hold();
        if sound.as_deref() != Ok("ok") {
            tracing::warn!("the index of installed items is damaged; it is made anew");
            self.remake(&mut connection)?;
        }
        let transaction = begin(&mut connection)?;
        while used(&transaction)? > self.max_bytes {
            let Some((lowest, _)) = lowest(&transaction)? else {
                break;
            };
            forget(&transaction, lowest)?;
        }
        transaction.commit()?;
        // A row for each page that is given back.
        let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// Whether an item of this size and rank would be taken in.
    pub(super) fn has_room(&self, nar_size: u64, rank: i64) -> Result<bool, IndexError> {
        // As small as pieces are on average in what has many references.
        let room = nar_size / (128 << 10) * ROOM + ITEM_ROOM;
        let connection = self.hold();
        let is_room = used(&connection)?.saturating_add(room) <= self.max_bytes;
        Ok(is_room || lowest(&connection)?.is_some_and(|(_, lowest)| lowest < rank))
    }

    /// Notes an item, in the place of what ranks lower; false if there is no such room.
    pub(super) fn put(&self, entry: &Entry<'_>, pieces: &[Piece]) -> Result<bool, IndexError> {
        self.write(|transaction| {
            let old: Option<i64> = transaction
                .prepare_cached("SELECT id FROM items WHERE path = ?1 AND cut = ?2")?
                .query_row(params![entry.path.as_str(), entry.cut], |row| row.get(0))
                .optional()?;
            if let Some(old) = old {
                forget(transaction, old)?;
            }
            let room = pieces.len() as u64 * ROOM + ITEM_ROOM;
            while used(transaction)?.saturating_add(room) > self.max_bytes {
                match lowest(transaction)? {
                    Some((id, rank)) if rank < entry.rank => forget(transaction, id)?,
                    // What went comes back with the transaction.
                    _ => return Ok(None),
                }
            }
            insert(transaction, entry, pieces)?;
            Ok(Some(()))
        })
        .map(|done| done.is_some())
    }

    /// Forgets an item that is not what was noted, so that it is cut anew.
    pub(super) fn distrust(&self, path: &str) -> Result<(), IndexError> {
        self.drop_item(path)?;
        self.dropped.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets an item.
    pub(super) fn drop_item(&self, path: &str) -> Result<(), IndexError> {
        let done = self.write(|transaction| {
            let mut items = transaction.prepare_cached("SELECT id FROM items WHERE path = ?1")?;
            let ids = items.query_map([path], |row| row.get(0))?;
            for id in ids.collect::<Result<Vec<i64>, _>>()? {
                forget(transaction, id)?;
            }
            Ok(Some(()))
        });
        done.map(drop)
    }

    /// Notes that items were of use now.
    pub(super) fn used(&self, ids: &[i64], now: i64) -> Result<(), IndexError> {
        let done = self.write(|transaction| {
            let mut update = transaction
                .prepare_cached("UPDATE items SET rank = ?2 WHERE id = ?1 AND rank < ?2 - ?3")?;
            for id in ids {
                update.execute(params![id, now, USE_AGAIN])?;
            }
            Ok(Some(()))
        });
        done.map(drop)
    }

    /// One transaction, undone where `writing` fails or gives nothing; where the file turns out to be damaged, it is made anew and that was all.
    fn write<T>(
        &self,
        writing: impl Fn(&Transaction<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Option<T>, IndexError> {
        let mut connection = self.hold();
        let done = begin(&mut connection).and_then(|transaction| {
            let done = writing(&transaction)?;
            match done {
                Some(_) => transaction.commit()?,
                None => transaction.rollback()?,
            }
            Ok(done)
        });
        match done {
            Err(error) if is_damaged(&error) => {
                tracing::warn!(%error, "the index of installed items is damaged; it is made anew");
                self.remake(&mut connection)?;
                Ok(None)
            }
            done => Ok(done?),
        }
    }

    fn remake(&self, connection: &mut Connection) -> Result<(), IndexError> {
        let path = self.dir.join(FILE);
        // The old one is held until then; its file has no name any more.
        remove(&path)?;
        *connection = connect(&path)?;
        self.look.disconnect();
        self.dropped.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn hold(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What items are cut by, in short.
pub(super) fn cut_by(parameters: &Parameters) -> i64 {
    start(&Sha256::of(format!("{parameters:?}").as_bytes()))
}

/// The first 8 bytes of a digest.
pub(super) fn start(digest: &Sha256) -> i64 {
    let first = digest.as_bytes().first_chunk();
    i64::from_be_bytes(first.copied().unwrap_or_default())
}
