//! A store with a database of valid paths, of guix-daemon or nix-daemon. The two differ only in
//! their `Layout`.
//!
//! `ValidPaths(id, path, hash, registrationTime, deriver, narSize)`: `hash` is `sha256:<hex>`.
//! `Refs(referrer, reference)` contains IDs. `DerivationOutputs(drv, id, path)` lists the outputs
//! of valid derivations. Nix adds `ultimate, sigs, ca`.

use std::io::Write;
use std::path::{Path, PathBuf};

use interplanar_core::hash::Sha256;
use interplanar_core::store_path::{HASH_PART, StorePath};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::database::Database;
use super::physical::{Root, is_hash_part};
use super::{
    Brief, Item, Log, MAX_NAMED, MAX_PAGE, Source, SourceError, Stamp, build_log, derivation,
};
use crate::nar_dump;

/// The paths of a store under the root, and its database schema.
#[derive(Debug)]
pub(super) struct Layout {
    /// The database.
    pub(super) database: &'static str,
    /// The folder with the build logs: it contains `drvs/`.
    pub(super) logs: &'static str,
    /// The store directory, if the database is empty; else that of an item is used.
    pub(super) store_dir: &'static str,
    /// Whether `ValidPaths` has the columns `sigs` and `ca`.
    pub(super) has_signatures: bool,
}

impl Layout {
    /// Returns whether the database exists under a root.
    pub(super) fn is_under(&self, root: &Path) -> bool {
        root.join(self.database.trim_start_matches('/')).exists()
    }
}

/// An open store.
#[derive(Debug)]
pub struct RegisteredStore {
    layout: &'static Layout,
    root: Root,
    database: Database,
    store_dir: String,
}

/// One row of `ValidPaths` with its references.
struct Registered {
    path: String,
    hash: String,
    deriver: Option<String>,
    nar_size: Option<u64>,
    signatures: Option<String>,
    ca: Option<String>,
    references: Vec<String>,
}

impl RegisteredStore {
    pub(super) fn open(root: &Path, layout: &'static Layout) -> Result<Self, SourceError> {
        let root = Root::new(root);
        let database = Database::open(&root.path(layout.database), "ValidPaths")?;
        let any: Option<String> = database.read(|transaction| {
            Ok(transaction
                .query_row("SELECT path FROM ValidPaths LIMIT 1", [], |row| row.get(0))
                .optional()?)
        })?;
        let store_dir = any
            .and_then(|path| StorePath::parse(&path).ok())
            .map_or_else(|| layout.store_dir.into(), |path| path.directory().into());
        Ok(Self {
            layout,
            root,
            database,
            store_dir,
        })
    }

    /// The query for rows between two paths; it uses the unique index on `path`.
    pub(super) fn query(&self) -> String {
        let more = if self.layout.has_signatures {
            "sigs, ca"
        } else {
            "NULL, NULL"
        };
        format!(
            "SELECT id, path, hash, deriver, narSize, {more} FROM ValidPaths \
             WHERE path > ?1 AND path < ?2 ORDER BY path LIMIT ?3"
        )
    }

    /// Returns up to `limit` rows with `from < path < to`, in the order of paths.
    fn rows(&self, from: &str, to: &str, limit: usize) -> Result<Vec<Registered>, SourceError> {
        let query = self.query();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|transaction| {
            let mut statement = transaction.prepare_cached(&query)?;
            let rows = statement
                .query_map(params![from, to, limit], registered)?
                .collect::<Result<Vec<_>, _>>()?;
            rows.into_iter()
                .map(|(id, mut row)| {
                    row.references = references(transaction, id)?;
                    Ok(row)
                })
                .collect()
        })
    }

    fn item(&self, row: Registered) -> Result<Item, SourceError> {
        let malformed = |expected| SourceError::malformed(&row.path, expected);
        let store_path =
            StorePath::parse(&row.path).map_err(|_| malformed("a store path in the database"))?;
        let nar_hash =
            Sha256::parse(&row.hash).map_err(|_| malformed("sha256:<hex> in the database"))?;
        // Paths registered by very old daemons have no size.
        let nar_size = match row.nar_size.filter(|&size| size > 0) {
            Some(size) => size,
            None => nar_dump::dump(&self.root.path(&row.path), &mut std::io::sink())?,
        };
        let deriver = row.deriver.filter(|deriver| !deriver.is_empty());
        let system = match &deriver {
            Some(deriver) => derivation::system(&self.root.path(deriver))?,
            None => None,
        };
        let words = row.signatures.unwrap_or_default();
        Ok(Item {
            store_path,
            nar_hash,
            nar_size,
            references: row.references.iter().map(|path| base_name(path)).collect(),
            deriver: deriver.as_deref().map(base_name),
            system,
            ca: row.ca.filter(|ca| !ca.is_empty()),
            signatures: words.split_ascii_whitespace().map(Into::into).collect(),
        })
    }

    /// Returns the derivations that may have built an item: the registered deriver, then valid
    /// derivations with that output.
    fn derivers(&self, path: &str) -> Result<Vec<String>, SourceError> {
        self.database.read(|transaction| {
            let registered: Option<Option<String>> = transaction
                .prepare_cached("SELECT deriver FROM ValidPaths WHERE path = ?1")?
                .query_row([path], |row| row.get(0))
                .optional()?;
            let mut derivers: Vec<String> = registered.flatten().into_iter().collect();
            let mut valid = transaction.prepare_cached(
                "SELECT v.path FROM DerivationOutputs d JOIN ValidPaths v ON v.id = d.drv WHERE d.path = ?1 ORDER BY v.path",
            )?;
            for deriver in valid.query_map([path], |row| row.get(0))? {
                derivers.push(deriver?);
            }
            Ok(derivers)
        })
    }

    fn logs(&self) -> PathBuf {
        self.root.path(self.layout.logs)
    }
}

impl Source for RegisteredStore {
    fn store_dir(&self) -> &str {
        &self.store_dir
    }

    fn find(&self, hash_part: &str) -> Result<Option<Item>, SourceError> {
        if !is_hash_part(hash_part) {
            return Ok(None);
        }
        // After the hash part come `-` and at least one character; `.` is the character after `-`.
        let from = format!("{}/{hash_part}-", self.store_dir);
        let to = format!("{}/{hash_part}.", self.store_dir);
        let row = self.rows(&from, &to, 1)?.into_iter().next();
        row.map(|row| self.item(row)).transpose()
    }

    fn dump(&self, item: &Item, out: &mut dyn Write) -> Result<(), SourceError> {
        let size = nar_dump::dump(&self.root.path(item.store_path.as_str()), out)?;
        if size != item.nar_size {
            return Err(SourceError::Changed(item.store_path.as_str().into()));
        }
        Ok(())
    }

    fn log(&self, base_name: &str) -> Result<Option<Log>, SourceError> {
        let Ok(path) = StorePath::in_directory(&self.store_dir, base_name) else {
            return Ok(None);
        };
        if base_name.ends_with(".drv") {
            return build_log::find(&self.logs(), base_name);
        }
        for deriver in self.derivers(path.as_str())? {
            let Ok(deriver) = StorePath::parse(&deriver) else {
                continue;
            };
            if let Some(log) = build_log::find(&self.logs(), deriver.base_name())? {
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    fn named(&self, package: &str) -> Result<Vec<Item>, SourceError> {
        let mut from = self.store_dir.clone();
        from.push('/');
        // Skips the hash part and a dash. `substr` compares the name, so it can't contain
        // wildcards.
        let start = from.len() + HASH_PART + 2;
        let paths: Vec<String> = self.database.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT path FROM ValidPaths WHERE substr(path, ?1, ?2) = ?3 AND path LIKE ?4 || '%' \
                 AND path NOT LIKE '%.drv' ORDER BY registrationTime DESC, id DESC LIMIT ?5",
            )?;
            let length = i64::try_from(package.chars().count()).unwrap_or(i64::MAX);
            let start = i64::try_from(start).unwrap_or(i64::MAX);
            let limit = i64::try_from(MAX_NAMED).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![start, length, package, from, limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        let mut items = Vec::new();
        for path in paths {
            if let Ok(path) = StorePath::parse(&path)
                && let Some(item) = self.find_path(&path)?
            {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn briefs(
        &self,
        least: u64,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Brief>, SourceError> {
        let least = i64::try_from(least).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit.min(MAX_PAGE)).unwrap_or(i64::MAX);
        let before = before.unwrap_or(i64::MAX);
        self.database.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, path, hash, narSize, registrationTime FROM ValidPaths \
                 WHERE id < ?1 AND narSize >= ?2 AND path NOT LIKE '%.drv' ORDER BY id DESC LIMIT ?3",
            )?;
            let mut rows = statement.query(params![before, least, limit])?;
            let mut briefs = Vec::new();
            while let Some(row) = rows.next()? {
                // Skip malformed rows here; `find` reports them.
                briefs.extend(brief(row));
            }
            Ok(briefs)
        })
    }

    fn stamp(&self) -> Result<Stamp, SourceError> {
        self.database.read(|transaction| {
            let query = "SELECT ifnull(max(id), 0), count(*) FROM ValidPaths";
            let mut statement = transaction.prepare_cached(query)?;
            Ok(statement.query_row([], |row| Ok(Stamp(row.get(0)?, row.get(1)?)))?)
        })
    }

    fn items(&self, after: Option<&str>, limit: usize) -> Result<Vec<Item>, SourceError> {
        // All store paths sort between `<dir>/` and `<dir>0`: `0` is the character after `/`.
        let to = format!("{}0", self.store_dir);
        let mut from = after.map_or_else(|| format!("{}/", self.store_dir), Into::into);
        let limit = limit.min(MAX_PAGE);
        let mut items = Vec::new();
        while items.len() < limit {
            let rows = self.rows(&from, &to, limit - items.len())?;
            let Some(last) = rows.last() else { break };
            from.clone_from(&last.path);
            for row in rows {
                match self.item(row) {
                    Ok(item) => items.push(item),
                    Err(error) => tracing::warn!(%error, "skipping an item that can't be read"),
                }
            }
        }
        Ok(items)
    }
}

fn registered(row: &Row<'_>) -> rusqlite::Result<(i64, Registered)> {
    let nar_size: Option<i64> = row.get(4)?;
    let registered = Registered {
        path: row.get(1)?,
        hash: row.get(2)?,
        deriver: row.get(3)?,
        nar_size: nar_size.and_then(|size| u64::try_from(size).ok()),
        signatures: row.get(5)?,
        ca: row.get(6)?,
        references: Vec::new(),
    };
    Ok((row.get(0)?, registered))
}

fn brief(row: &Row<'_>) -> Option<Brief> {
    let text = |column: usize| row.get::<_, String>(column).ok();
    let number = |column: usize| u64::try_from(row.get::<_, i64>(column).ok()?).ok();
    Some(Brief {
        order: row.get(0).ok()?,
        store_path: StorePath::parse(&text(1)?).ok()?,
        nar_hash: Sha256::parse(&text(2)?).ok()?,
        nar_size: number(3)?,
        registered: number(4).unwrap_or_default(),
    })
}

fn references(transaction: &Transaction<'_>, id: i64) -> Result<Vec<String>, SourceError> {
    let mut statement = transaction.prepare_cached(
        "SELECT path FROM Refs JOIN ValidPaths ON id = reference WHERE referrer = ?1 ORDER BY path",
    )?;
    let paths = statement.query_map([id], |row| row.get(0))?;
    Ok(paths.collect::<Result<_, _>>()?)
}

fn base_name(path: &str) -> String {
    path.rsplit_once('/').map_or(path, |(_, base)| base).into()
}
