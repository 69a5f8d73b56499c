//! The index: finds the pack of a multihash, and knows up to where each pack is indexed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::pack::Location;
use super::{BlocksError, Stats};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS blocks (
  multihash BLOB PRIMARY KEY,
  pack      INTEGER NOT NULL,
  offset    INTEGER NOT NULL,
  length    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS packs (
  pack   INTEGER PRIMARY KEY,
  length INTEGER NOT NULL
);";

/// The version of the folder's format. A program that knows only older versions refuses the store.
const VERSION: i64 = 1;

/// The SQLite index, with one connection to write and a pool of connections to read.
pub(super) struct Index {
    path: PathBuf,
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

/// The changes of one commit.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// New locations of multihashes.
    pub(super) entries: Vec<(Vec<u8>, Location)>,
    /// The indexed length of each changed pack after this commit.
    pub(super) ends: Vec<(u32, u64)>,
}

impl Index {
    pub(super) fn open(dir: &Path) -> Result<Self, BlocksError> {
        let path = dir.join("index.sqlite");
        let connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A lost commit is rebuilt from the packs.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > VERSION {
            return Err(BlocksError::Failed(format!(
                "the store has format {version}, this program supports up to {VERSION}; \
                 use a newer program"
            )));
        }
        connection.pragma_update(None, "user_version", VERSION)?;
        Ok(Self {
            path,
            writer: Some(Mutex::new(connection)),
            readers: Mutex::default(),
        })
    }

    pub(super) fn open_read_only(dir: &Path) -> Result<Self, BlocksError> {
        let path = dir.join("index.sqlite");
        if !path.exists() {
            return Err(BlocksError::Missing(dir.to_owned()));
        }
        Ok(Self {
            path,
            writer: None,
            readers: Mutex::default(),
        })
    }

    /// Runs a query on a connection of the pool.
    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BlocksError> {
        let pooled = lock(&self.readers).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                connection.busy_timeout(Duration::from_secs(30))?;
                connection
            }
        };
        let result = query(&connection);
        lock(&self.readers).push(connection);
        Ok(result?)
    }

    /// Changes the index in one transaction.
    fn write<T>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BlocksError> {
        let writer = self.writer.as_ref().ok_or(BlocksError::ReadOnly)?;
        let mut connection = lock(writer);
        let transaction = connection.transaction()?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Location>, BlocksError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT pack, offset, length FROM blocks WHERE multihash = ?1")?
                .query_row([key], location)
                .optional()
        })
    }

    pub(super) fn commit(&self, batch: &Batch) -> Result<(), BlocksError> {
        self.write(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO blocks (multihash, pack, offset, length) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (key, at) in &batch.entries {
                insert.execute(params![key, at.pack, at.offset.cast_signed(), at.length])?;
            }
            let mut end = connection
                .prepare_cached("INSERT OR REPLACE INTO packs (pack, length) VALUES (?1, ?2)")?;
            for (pack, length) in &batch.ends {
                end.execute(params![pack, length.cast_signed()])?;
            }
            Ok(())
        })
    }

    /// Removes multihashes, and returns how many there were.
    pub(super) fn remove(&self, keys: impl Iterator<Item = Vec<u8>>) -> Result<u64, BlocksError> {
        self.write(|connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM blocks WHERE multihash = ?1")?;
            let mut removed = 0;
            for key in keys {
                removed += delete.execute([key])? as u64;
            }
            Ok(removed)
        })
    }

    /// Removes a multihash if it still has this location.
    pub(super) fn forget(&self, key: &[u8], at: Location) -> Result<(), BlocksError> {
        self.write(|connection| {
            connection.execute(
                "DELETE FROM blocks WHERE multihash = ?1 AND pack = ?2 AND offset = ?3",
                params![key, at.pack, at.offset.cast_signed()],
            )
        })?;
        Ok(())
    }

    /// Removes all blocks of a pack that end behind an offset, and the indexed length of the
    /// pack.
    pub(super) fn forget_from(&self, pack: u32, offset: u64) -> Result<(), BlocksError> {
        self.write(|connection| {
            connection.execute(
                "DELETE FROM blocks WHERE pack = ?1 AND offset + length > ?2",
                params![pack, offset.cast_signed()],
            )?;
            connection.execute("DELETE FROM packs WHERE pack = ?1", [pack])
        })?;
        Ok(())
    }

    /// Returns the known packs with their indexed lengths.
    pub(super) fn packs(&self) -> Result<Vec<(u32, u64)>, BlocksError> {
        self.read(|connection| {
            connection
                .prepare("SELECT pack, length FROM packs ORDER BY pack")?
                .query_map([], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
                })?
                .collect()
        })
    }

    /// Returns the bytes of the blocks in each pack that has any.
    pub(super) fn live(&self) -> Result<Vec<(u32, u64)>, BlocksError> {
        self.read(|connection| {
            connection
                .prepare("SELECT pack, SUM(length) FROM blocks GROUP BY pack")?
                .query_map([], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
                })?
                .collect()
        })
    }

    /// Returns at most `limit` blocks of a pack with multihashes behind `after`, in order.
    pub(super) fn in_pack(
        &self,
        pack: u32,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Location)>, BlocksError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT pack, offset, length, multihash FROM blocks
                     WHERE pack = ?1 AND multihash > ?2 ORDER BY multihash LIMIT ?3",
                )?
                .query_map(params![pack, after, limit as u64 as i64], |row| {
                    Ok((row.get(3)?, location(row)?))
                })?
                .collect()
        })
    }

    pub(super) fn stats(&self) -> Result<Stats, BlocksError> {
        self.read(|connection| {
            connection.query_row(
                "SELECT COUNT(*), COALESCE(SUM(length), 0) FROM blocks",
                [],
                |row| {
                    Ok(Stats {
                        blocks: row.get::<_, i64>(0)?.cast_unsigned(),
                        bytes: row.get::<_, i64>(1)?.cast_unsigned(),
                        ..Stats::default()
                    })
                },
            )
        })
    }
}

fn location(row: &rusqlite::Row<'_>) -> rusqlite::Result<Location> {
    Ok(Location {
        pack: row.get(0)?,
        offset: row.get::<_, i64>(1)?.cast_unsigned(),
        length: row.get(2)?,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
