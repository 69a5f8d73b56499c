//! The tables of the index, and the statements that change them.

use super::super::piece_list::{self, IndexedPiece, PIECE};
use super::{IndexEntry, digest_prefix};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Version of the tables. A file with another version is recreated.
const VERSION: i64 = 1;
/// Longest wait for a reader in another process that cleans up when it closes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes of a piece in both tables, including unused space in pages.
pub(super) const PIECE_SPACE: u64 = PIECE as u64 + 32;
/// Bytes of an item without its pieces.
pub(super) const ITEM_SPACE: u64 = 512;

const TABLES: &str = "
    CREATE TABLE items (id INTEGER PRIMARY KEY, path TEXT NOT NULL, cut INTEGER NOT NULL, nar_hash BLOB NOT NULL,
        rank INTEGER NOT NULL, pieces BLOB NOT NULL, UNIQUE (path, cut));
    CREATE INDEX items_by_rank ON items (rank);
    CREATE TABLE hooks (start INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (start, item)) WITHOUT ROWID;";

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == VERSION {
        connection.query_row("SELECT count(*) FROM items", [], |_| Ok(()))?;
    }
    // Must be set before the tables are created.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if version != VERSION {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch("DROP TABLE IF EXISTS items; DROP TABLE IF EXISTS hooks")?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}

pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    entry: &IndexEntry<'_>,
    pieces: &[IndexedPiece],
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO items (path, cut, nar_hash, rank, pieces) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            entry.path.as_str(),
            entry.cut,
            entry.nar_hash.as_bytes(),
            entry.rank,
            piece_list::encode(pieces)
        ])?;
    let id = transaction.last_insert_rowid();
    let mut hook =
        transaction.prepare_cached("INSERT OR IGNORE INTO hooks (start, item) VALUES (?1, ?2)")?;
    // Sorted in the order of the table.
    let mut prefixes: Vec<i64> = pieces.iter().map(|one| digest_prefix(&one.plain)).collect();
    prefixes.sort_unstable();
    for prefix in prefixes {
        hook.execute([prefix, id])?;
    }
    Ok(())
}

pub(super) fn delete_item(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    let mut blob = transaction.prepare_cached("SELECT pieces FROM items WHERE id = ?1")?;
    match blob.query_row([id], |row| pieces_of(row, 0))? {
        Some(pieces) => {
            let mut hook =
                transaction.prepare_cached("DELETE FROM hooks WHERE start = ?1 AND item = ?2")?;
            for piece in pieces {
                hook.execute([digest_prefix(&piece.plain), id])?;
            }
        }
        None => {
            transaction.execute("DELETE FROM hooks WHERE item = ?1", [id])?;
        }
    }
    transaction
        .prepare_cached("DELETE FROM items WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Returns the item to evict next, and its rank.
pub(super) fn lowest(connection: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    connection
        .prepare_cached("SELECT id, rank FROM items ORDER BY rank, id LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Decodes the pieces in a column. Returns `None` if they are damaged.
pub(super) fn pieces_of(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<Vec<IndexedPiece>>> {
    let bytes = row.get_ref(column)?.as_bytes();
    Ok(bytes.ok().and_then(piece_list::decode))
}

/// Returns the number that a query selects.
pub(super) fn number(connection: &Connection, query: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection.query_row(query, [], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// Returns the bytes in use.
pub(super) fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| number(connection, pragma);
    let pages = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?);
    Ok(pages.saturating_mul(number("PRAGMA page_size")?))
}

pub(super) fn is_damaged(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}

/// Deletes the file, and SQLite's files beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_os_string();
        name.push(end);
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
