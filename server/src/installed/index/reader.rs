//! Reads the index, in the process that writes it or in another one.

use super::super::piece_list::IndexedPiece;
use super::FILE;
use super::tables::{number, pieces_of};
use crate::store::SourceError;
use crate::store::database::Database;
use interplanar_core::hash::Sha256;
use rusqlite::{OptionalExtension as _, params};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Items that are considered for one piece. Some pieces are in thousands of items.
const MAX_HOLDERS: usize = 16;

/// Reads an index. See the module.
#[derive(Debug)]
pub(in super::super) struct IndexReader(Database);

/// An item of the index, with its pieces.
pub(in super::super) struct IndexedItem {
    pub(in super::super) path: String,
    pub(in super::super) nar_hash: Option<Sha256>,
    /// `None` if they are damaged.
    pub(in super::super) pieces: Option<Vec<IndexedPiece>>,
}

/// An item of the index, without its pieces.
pub(in super::super) struct ListedItem {
    pub(in super::super) id: i64,
    pub(in super::super) path: String,
    pub(in super::super) cut: i64,
    pub(in super::super) nar_hash: Option<Sha256>,
}

/// Size of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct IndexSize {
    pub(in super::super) items: u64,
    /// Bytes of the file.
    pub(in super::super) bytes: u64,
}

impl IndexReader {
    /// Opens the index in a folder.
    pub(in super::super) fn open(dir: &Path) -> Result<Self, SourceError> {
        Database::open(&dir.join(FILE), "items").map(Self)
    }

    /// Closes the connection, because the file was replaced.
    pub(super) fn disconnect(&self) {
        self.0.disconnect();
    }

    pub(in super::super) fn size(&self) -> Result<IndexSize, SourceError> {
        self.0.read(|transaction| {
            let number = |query: &str| number(transaction, query);
            let pages = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
            Ok(IndexSize {
                items: number("SELECT count(*) FROM items")?,
                bytes: pages,
            })
        })
    }

    pub(in super::super) fn is_empty(&self) -> Result<bool, SourceError> {
        self.0.read(|transaction| {
            let mut any = transaction.prepare_cached("SELECT EXISTS (SELECT 1 FROM items)")?;
            Ok(!any.query_row([], |row| row.get::<_, bool>(0))?)
        })
    }

    /// Returns the item with this path, cut with these parameters.
    pub(in super::super) fn named(
        &self,
        path: &str,
        cut: i64,
    ) -> Result<Option<IndexedItem>, SourceError> {
        self.0.read(|transaction| {
            let row = transaction.prepare_cached(
                "SELECT path, nar_hash, pieces FROM items WHERE path = ?1 AND cut = ?2",
            );
            Ok(row?.query_row(params![path, cut], read).optional()?)
        })
    }

    pub(in super::super) fn item(&self, id: i64) -> Result<Option<IndexedItem>, SourceError> {
        self.0.read(|transaction| {
            let row = transaction
                .prepare_cached("SELECT path, nar_hash, pieces FROM items WHERE id = ?1");
            Ok(row?.query_row([id], read).optional()?)
        })
    }

    /// Returns up to `limit` items with ids after `after`, sorted by id.
    pub(in super::super) fn page(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<ListedItem>, SourceError> {
        self.0.read(|transaction| {
            let mut rows = transaction.prepare_cached(
                "SELECT id, path, cut, nar_hash FROM items WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = rows.query_map(params![after, limit], |row| {
                Ok(ListedItem {
                    id: row.get(0)?,
                    path: row.get(1)?,
                    cut: row.get(2)?,
                    nar_hash: digest(row, 3),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Returns the item, except those in `not`, that seems to have most bytes of the given pieces.
    /// Each piece is given as digest prefix and length.
    pub(in super::super) fn best_holder(
        &self,
        wanted: &[(i64, u32)],
        not: &HashSet<i64>,
    ) -> Result<Option<i64>, SourceError> {
        let held = self.0.read(|transaction| {
            let mut hooks = transaction.prepare_cached(
                "SELECT item FROM hooks WHERE start = ?1 ORDER BY item DESC LIMIT ?2",
            )?;
            let mut held: HashMap<i64, u64> = HashMap::new();
            for (prefix, length) in wanted {
                let mut rows = hooks.query(params![prefix, MAX_HOLDERS as i64])?;
                while let Some(row) = rows.next()? {
                    *held.entry(row.get(0)?).or_default() += u64::from(*length);
                }
            }
            Ok(held)
        })?;
        let held = held.into_iter().filter(|(id, _)| !not.contains(id));
        // Of equal items, the one that was added last.
        Ok(held
            .max_by_key(|&(id, bytes)| (bytes, id))
            .map(|(id, _)| id))
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<IndexedItem> {
    Ok(IndexedItem {
        path: row.get(0)?,
        nar_hash: digest(row, 1),
        pieces: pieces_of(row, 2)?,
    })
}

fn digest(row: &rusqlite::Row<'_>, column: usize) -> Option<Sha256> {
    row.get(column).ok().map(Sha256::from_bytes)
}
