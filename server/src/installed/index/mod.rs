//! The index of the pieces of installed items: one SQLite file that other processes may read while
//! its owner writes.
//!
//! ```text
//! items  id, path, cut, nar_hash, rank, pieces   an item with its pieces (`piece_list.rs`);
//!                                                44 bytes for each piece
//! hooks  start, item                             the first 8 bytes of a piece's SHA-256, and its
//!                                                item; about 23 bytes for each piece
//! ```
//! Each item is written with its hooks in one transaction, so after a crash the index has only
//! whole items. It is a cache: a power failure may lose the last items, and a damaged file is
//! created anew.
//!
//! **Eviction:** when the index is larger than `max_bytes`, the item with the lowest rank is
//! removed. The rank is the time when an item was registered in its store or last used, whichever
//! is later. Recently installed items are most similar to the next ones. An item with a lower rank
//! than all others is not added, so a full index isn't rewritten again and again.

mod reader;
mod tables;

pub(super) use reader::{IndexReader, IndexedItem, ListedItem};

use super::IndexError;
use super::piece_list::IndexedPiece;
use interplanar_core::dedup::Parameters;
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tables::{
    ITEM_SPACE, PIECE_SPACE, begin, connect, delete_item, insert, is_damaged, lowest, remove,
    used_bytes,
};

/// The file name.
pub(super) const FILE: &str = "index.sqlite";
/// Seconds after which the next use of an item is recorded again.
const USE_AGAIN: i64 = 3600;

/// The key and the rank of an indexed item.
pub(super) struct IndexEntry<'a> {
    pub(super) path: &'a StorePath,
    pub(super) nar_hash: &'a Sha256,
    pub(super) cut: i64,
    /// Seconds since 1970; see the module.
    pub(super) rank: i64,
}

/// An index that this process writes.
pub(super) struct Index {
    dir: PathBuf,
    // Declared before the writing connection, so that it is closed first and that one can clean up.
    reader: IndexReader,
    connection: Mutex<Connection>,
    max_bytes: u64,
    /// Whether an item was removed that must be indexed again.
    needs_reindex: AtomicBool,
}

impl Index {
    /// Opens the index in a folder. Creates it if it is missing or unusable. Blocking.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Self, IndexError> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(FILE);
        let opened = connect(&path);
        let connection = match opened {
            Err(error) if is_damaged(&error) => {
                tracing::warn!(%error, "can't use the index of installed items; creating a new one");
                remove(&path)?;
                connect(&path)?
            }
            opened => opened?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            reader: IndexReader::open(dir)?,
            connection: Mutex::new(connection),
            max_bytes,
            needs_reindex: AtomicBool::new(false),
        })
    }

    /// Returns the reader of this index.
    pub(super) fn reader(&self) -> &IndexReader {
        &self.reader
    }

    /// Returns whether an item was removed that must be indexed again, and resets that.
    pub(super) fn take_needs_reindex(&self) -> bool {
        self.needs_reindex.swap(false, Ordering::Relaxed)
    }

    /// Checks the whole file and recreates it if it is damaged. Then evicts items above the size
    /// limit. Blocking.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        // Uses its own connection, so that others don't wait.
        let path = self.dir.join(FILE);
        let other = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let check = other.and_then(|other| {
            other.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        });
        let mut connection = self.lock();
        if check.as_deref() != Ok("ok") {
            tracing::warn!("the index of installed items is damaged; creating a new one");
            self.recreate(&mut connection)?;
        }
        let transaction = begin(&mut connection)?;
        while used_bytes(&transaction)? > self.max_bytes {
            let Some((lowest, _)) = lowest(&transaction)? else {
                break;
            };
            delete_item(&transaction, lowest)?;
        }
        transaction.commit()?;
        // The statement returns a row for each freed page.
        let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// Returns whether an item of this size and rank would be added.
    pub(super) fn has_room(&self, nar_size: u64, rank: i64) -> Result<bool, IndexError> {
        // Assumes the average size of pieces in an item with many references.
        let space = nar_size / (128 << 10) * PIECE_SPACE + ITEM_SPACE;
        let connection = self.lock();
        let fits = used_bytes(&connection)?.saturating_add(space) <= self.max_bytes;
        Ok(fits || lowest(&connection)?.is_some_and(|(_, lowest)| lowest < rank))
    }

    /// Adds an item, and evicts lower-ranked items if needed. Returns `false` if it doesn't fit.
    pub(super) fn put(
        &self,
        entry: &IndexEntry<'_>,
        pieces: &[IndexedPiece],
    ) -> Result<bool, IndexError> {
        self.write(|transaction| {
            let old: Option<i64> = transaction
                .prepare_cached("SELECT id FROM items WHERE path = ?1 AND cut = ?2")?
                .query_row(params![entry.path.as_str(), entry.cut], |row| row.get(0))
                .optional()?;
            if let Some(old) = old {
                delete_item(transaction, old)?;
            }
            let space = pieces.len() as u64 * PIECE_SPACE + ITEM_SPACE;
            while used_bytes(transaction)?.saturating_add(space) > self.max_bytes {
                match lowest(transaction)? {
                    Some((id, rank)) if rank < entry.rank => delete_item(transaction, id)?,
                    // The rollback restores what was evicted.
                    _ => return Ok(None),
                }
            }
            insert(transaction, entry, pieces)?;
            Ok(Some(()))
        })
        .map(|result| result.is_some())
    }

    /// Removes an item that differs from its index entry, so that it is indexed again.
    pub(super) fn invalidate(&self, path: &str) -> Result<(), IndexError> {
        self.drop_item(path)?;
        self.needs_reindex.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Removes an item.
    pub(super) fn drop_item(&self, path: &str) -> Result<(), IndexError> {
        let result = self.write(|transaction| {
            let mut items = transaction.prepare_cached("SELECT id FROM items WHERE path = ?1")?;
            let ids = items.query_map([path], |row| row.get(0))?;
            for id in ids.collect::<Result<Vec<i64>, _>>()? {
                delete_item(transaction, id)?;
            }
            Ok(Some(()))
        });
        result.map(drop)
    }

    /// Records that items were used now.
    pub(super) fn record_use(&self, ids: &[i64], now: i64) -> Result<(), IndexError> {
        let result = self.write(|transaction| {
            let mut update = transaction
                .prepare_cached("UPDATE items SET rank = ?2 WHERE id = ?1 AND rank < ?2 - ?3")?;
            for id in ids {
                update.execute(params![id, now, USE_AGAIN])?;
            }
            Ok(Some(()))
        });
        result.map(drop)
    }

    /// Runs one transaction. Rolls it back if `writing` fails or returns `None`. If the file is
    /// damaged, recreates it and returns `None`.
    fn write<T>(
        &self,
        writing: impl Fn(&Transaction<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Option<T>, IndexError> {
        let mut connection = self.lock();
        let result = begin(&mut connection).and_then(|transaction| {
            let result = writing(&transaction)?;
            match result {
                Some(_) => transaction.commit()?,
                None => transaction.rollback()?,
            }
            Ok(result)
        });
        match result {
            Err(error) if is_damaged(&error) => {
                tracing::warn!(%error, "the index of installed items is damaged; creating a new one");
                self.recreate(&mut connection)?;
                Ok(None)
            }
            result => Ok(result?),
        }
    }

    fn recreate(&self, connection: &mut Connection) -> Result<(), IndexError> {
        let path = self.dir.join(FILE);
        // The old file stays open until then, without a name.
        remove(&path)?;
        *connection = connect(&path)?;
        self.reader.disconnect();
        self.needs_reindex.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a short identifier of cutting parameters.
pub(super) fn parameters_id(parameters: &Parameters) -> i64 {
    digest_prefix(&Sha256::of(format!("{parameters:?}").as_bytes()))
}

/// Returns the first 8 bytes of a digest.
pub(super) fn digest_prefix(digest: &Sha256) -> i64 {
    let first = digest.as_bytes().first_chunk();
    i64::from_be_bytes(first.copied().unwrap_or_default())
}
