//! Creates stores for tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::nar_dump;
use crate::store::Item;

pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// The tables of guix-daemon 1.5.0.
const GUIX: &str = "
    create table ValidPaths (id integer primary key autoincrement not null, path text unique not null, hash text not null,
        registrationTime integer not null, deriver text, narSize integer);
    create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference));
    create index IndexReferrer on Refs(referrer);
    create index IndexReference on Refs(reference);
    create table DerivationOutputs (drv integer not null, id text not null, path text not null, primary key (drv, id));
    create index IndexDerivationOutputs on DerivationOutputs(path);
    create table FailedPaths (path text primary key not null, time integer not null);";

/// The columns that Nix 2.34.8 adds.
const NIX: &str = "
    alter table ValidPaths add column ultimate integer;
    alter table ValidPaths add column sigs text;
    alter table ValidPaths add column ca text;";

/// A store with a daemon's database, under a temporary root.
pub(crate) struct Store {
    pub(crate) root: TempDir,
    pub(crate) database: Connection,
    dir: &'static str,
}

impl Store {
    pub(crate) fn guix() -> Self {
        Self::new("var/guix/db", "/gnu/store", GUIX)
    }

    pub(crate) fn nix() -> Self {
        Self::new("nix/var/nix/db", "/nix/store", &format!("{GUIX}{NIX}"))
    }

    fn new(folder: &str, dir: &'static str, schema: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(root.path().join(&dir[1..])).unwrap();
        let database = Connection::open(folder.join("db.sqlite")).unwrap();
        database.pragma_update(None, "journal_mode", "wal").unwrap();
        database.execute_batch(schema).unwrap();
        Self {
            root,
            database,
            dir,
        }
    }

    pub(crate) fn physical(&self, path: &str) -> PathBuf {
        self.root.path().join(&path[1..])
    }

    /// Writes a file into the store and registers it.
    pub(crate) fn add(
        &self,
        base_name: &str,
        content: impl AsRef<[u8]>,
        deriver: Option<&str>,
    ) -> Item {
        let path = format!("{}/{base_name}", self.dir);
        fs::write(self.physical(&path), content).unwrap();
        let mut nar = Vec::new();
        nar_dump::dump(&self.physical(&path), &mut nar).unwrap();
        let hash = Sha256::of(&nar);
        self.register(
            &path,
            &format!("sha256:{}", hash.to_hex()),
            deriver,
            nar.len() as i64,
        );
        Item {
            store_path: StorePath::parse(&path).unwrap(),
            nar_hash: hash,
            nar_size: nar.len() as u64,
            references: Vec::new(),
            deriver: deriver.map(|path| path.rsplit('/').next().unwrap().into()),
            system: None,
            ca: None,
            signatures: Vec::new(),
        }
    }

    pub(crate) fn register(&self, path: &str, hash: &str, deriver: Option<&str>, size: i64) {
        self.database
            .execute(
                "insert into ValidPaths (path, hash, registrationTime, deriver, narSize) values (?1, ?2, 1, ?3, ?4)",
                params![path, hash, deriver, size],
            )
            .unwrap();
    }

    pub(crate) fn refer(&self, from: &Item, to: &Item) {
        self.database
            .execute(
                "insert into Refs select f.id, t.id from ValidPaths f, ValidPaths t where f.path = ?1 and t.path = ?2",
                params![from.store_path.as_str(), to.store_path.as_str()],
            )
            .unwrap();
    }
}

/// Creates a tree whose store paths are known from Nix 2.34.8 (`nix-store --add`).
pub(crate) fn known_tree(dir: &Path) -> PathBuf {
    let tree = dir.join("tree");
    fs::create_dir_all(tree.join("sub/deep")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(tree.join("hello.txt"), "hello").unwrap();
    fs::write(tree.join("empty-file"), "").unwrap();
    fs::write(tree.join("sub/deep/z"), "x").unwrap();
    fs::write(tree.join("run"), "#!/bin/sh\necho hi\n").unwrap();
    fs::set_permissions(tree.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../hello.txt", tree.join("sub/link")).unwrap();
    tree
}
