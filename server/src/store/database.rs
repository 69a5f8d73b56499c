//! A database that others write to while it is read here: those of the daemons, and the index of installed items ([`crate::installed`]).
//!
//! All of them are in SQLite's write-ahead mode. It is opened with `mode=ro`: readers never block the daemon, and see each of
//! its transactions whole. That needs the `-wal` and `-shm` files, which exist while a daemon has the database open, or leave to create
//! them. Where neither holds (a read-only folder and no daemon) the file is complete by itself and opened with `immutable=1`; then each
//! reading checks, before and after, that no daemon has come to life meanwhile, and opens it anew if one has.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, Transaction};
use rustix::fs::{Access, access};

use super::SourceError;

/// How long a reading waits for a lock that a daemon holds; in write-ahead mode only a recovery after a crash holds one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements kept prepared; the sources have five.
const STATEMENTS: usize = 16;
/// What a `file:` URI of SQLite may hold as it is.
const URI: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A database file, with one connection that is opened when needed.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// One that it must have.
    table: &'static str,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Of an immutable connection: what the file was like when it was opened.
    frozen: Option<Stamp>,
}

impl Database {
    /// Opens a database and checks that it is one, with this table.
    pub(crate) fn open(path: &Path, table: &'static str) -> Result<Self, SourceError> {
        let database = Self {
            path: path.to_path_buf(),
            table,
            open: Mutex::new(None),
        };
        if !path.is_file() {
            return Err(SourceError::NotAStore {
                path: database.path,
                expected: "a database",
            });
        }
        database.read(|_| Ok(()))?;
        Ok(database)
    }

    /// Reads within one transaction, so that all queries see the same state. A reading that fails or that was overtaken by a
    /// daemon is tried once more on a new connection, so `reading` may run twice.
    pub(crate) fn read<T>(
        &self,
        reading: impl Fn(&Transaction<'_>) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = slot.as_ref().filter(|open| self.is_current(open)) {
            match read_once(open, &reading) {
                Err(SourceError::Database(reason)) => {
                    tracing::debug!(path = %self.path.display(), reason, "opening the store database anew");
                }
                result if self.is_current(open) => return result,
                _ => {}
            }
        }
        *slot = None;
        let open = self.connect()?;
        let result = read_once(&open, &reading);
        if !matches!(result, Err(SourceError::Database(_))) {
            *slot = Some(open);
        }
        result
    }

    /// Ends the connection: the file may be another one now.
    pub(crate) fn disconnect(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_current(&self, open: &Open) -> bool {
        open.frozen.is_none() || open.frozen == Stamp::of(&self.path)
    }

    fn connect(&self) -> Result<Open, SourceError> {
        let live = self.connect_as("mode=ro");
        match live {
            Ok(connection) => Ok(Open {
                connection,
                frozen: None,
            }),
            Err(error) => {
                let stamp = Stamp::of(&self.path);
                if stamp.is_none() || !is_read_only(&self.path) {
                    return Err(error.into());
                }
                Ok(Open {
                    connection: self.connect_as("mode=ro&immutable=1")?,
                    frozen: stamp,
                })
            }
        }
    }

    fn connect_as(&self, parameters: &str) -> Result<Connection, rusqlite::Error> {
        let path = percent_encode(self.path.as_os_str().as_bytes(), URI);
        let uri = format!("file:{path}?{parameters}");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Opening reads nothing yet; this does, and finds whether the file is what it should be and its log can be read.
        let probe = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1)",
            self.table
        );
        connection.query_row(&probe, [], |_| Ok(()))?;
        Ok(connection)
    }
}

fn read_once<T>(
    open: &Open,
    reading: impl Fn(&Transaction<'_>) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let transaction = open.connection.unchecked_transaction()?;
    let result = reading(&transaction)?;
    transaction.finish()?;
    Ok(result)
}

/// Whether SQLite is unable to create files beside the database.
fn is_read_only(path: &Path) -> bool {
    path.parent()
        .is_some_and(|folder| access(folder, Access::WRITE_OK).is_err())
}

/// What a database file without a write-ahead log looks like from outside.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// `None` while there is a write-ahead log: then the file alone isn't the database.
    fn of(path: &Path) -> Option<Self> {
        let mut log = path.as_os_str().to_os_string();
        log.push("-wal");
        if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            return None;
        }
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}
