//! Reads SQLite databases that others write to: those of the daemons, and the index of installed
//! items ([`crate::installed`]).
//!
//! All of them use write-ahead logging. They are opened with `mode=ro`: readers never block the
//! daemon, and see each of its transactions whole. SQLite then needs the `-wal` and `-shm` files,
//! or permission to create them. A running daemon has them open. In a read-only folder without a
//! daemon, the database file is complete by itself, and is opened with `immutable=1`. Then each
//! read checks, before and after, whether a daemon has started meanwhile, and opens the file again
//! if so.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, Transaction};
use rustix::fs::{Access, access};

use super::SourceError;

/// How long a read waits for a lock of the daemon. With write-ahead logging, only a recovery after
/// a crash locks.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most prepared statements that are kept; the sources have five.
const STATEMENTS: usize = 16;
/// The characters that a `file:` URI of SQLite may contain unescaped.
const URI: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A database file, with a connection that is opened when needed.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// A table that it must have.
    table: &'static str,
    connection: Mutex<Option<OpenDatabase>>,
}

#[derive(Debug)]
struct OpenDatabase {
    connection: Connection,
    /// For an immutable connection, the state of the file when it was opened.
    frozen: Option<FileStamp>,
}

impl Database {
    /// Opens a database and checks that it has this table.
    pub(crate) fn open(path: &Path, table: &'static str) -> Result<Self, SourceError> {
        let database = Self {
            path: path.to_path_buf(),
            table,
            connection: Mutex::new(None),
        };
        if !path.is_file() {
            return Err(SourceError::NotAStore {
                path: database.path,
                advice: "name the root of the system that has the store with --store-root",
            });
        }
        database.read(|_| Ok(()))?;
        Ok(database)
    }

    /// Reads within one transaction, so that all queries see the same state. If the read fails or a
    /// daemon starts meanwhile, it is repeated once on a new connection; so `reading` may run
    /// twice.
    pub(crate) fn read<T>(
        &self,
        reading: impl Fn(&Transaction<'_>) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let mut slot = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = slot.as_ref().filter(|open| self.is_current(open)) {
            match read_once(open, &reading) {
                Err(SourceError::Database(reason)) => {
                    let path = self.path.display();
                    tracing::debug!(%path, reason, "opening the store's database again");
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

    /// Closes the connection, because the file may have been replaced.
    pub(crate) fn disconnect(&self) {
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_current(&self, open: &OpenDatabase) -> bool {
        open.frozen.is_none() || open.frozen == FileStamp::of(&self.path)
    }

    fn connect(&self) -> Result<OpenDatabase, SourceError> {
        let live = self.connect_as("mode=ro");
        match live {
            Ok(connection) => Ok(OpenDatabase {
                connection,
                frozen: None,
            }),
            Err(error) => {
                let stamp = FileStamp::of(&self.path);
                if stamp.is_none() || !is_read_only(&self.path) {
                    return Err(error.into());
                }
                Ok(OpenDatabase {
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
        // Opening reads nothing yet. This query does, so it finds out whether file and log can be
        // read.
        let probe = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1)",
            self.table
        );
        connection.query_row(&probe, [], |_| Ok(()))?;
        Ok(connection)
    }
}

fn read_once<T>(
    open: &OpenDatabase,
    reading: impl Fn(&Transaction<'_>) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let transaction = open.connection.unchecked_transaction()?;
    let result = reading(&transaction)?;
    transaction.finish()?;
    Ok(result)
}

/// Returns whether SQLite can't create files beside the database.
fn is_read_only(path: &Path) -> bool {
    path.parent()
        .is_some_and(|folder| access(folder, Access::WRITE_OK).is_err())
}

/// Size and time of a database file without a write-ahead log.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    size: u64,
    modified: Option<SystemTime>,
}

impl FileStamp {
    /// Returns `None` if there is a write-ahead log: then the file alone isn't the database.
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
