//! Caches that publish snapshots, and functions that inspect them.

use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, binary, get};
use interplanar_tests::root::wait_until;
use interplanar_tests::{attempt, output};
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

/// The options of `publish` for a snapshot after each change.
pub(crate) const SNAPSHOT: [&str; 2] = ["--snapshot", "--snapshot-interval=1s"];

/// Returns the last IPNS name in a log.
pub(crate) fn name(log: &str) -> Option<String> {
    let start = log.rfind("k51")?;
    let name = log[start..].chars().take_while(char::is_ascii_alphanumeric);
    Some(name.collect())
}

/// Waits until the snapshot under the IPNS name has all of `items`, and returns the name.
pub(crate) fn published(publish: &Program, kubo: &Kubo, items: &[&str]) -> String {
    let mut found = String::new();
    wait_until("the snapshot", || {
        let Some(name) = name(&publish.log()) else {
            return false;
        };
        let base = format!("{}/ipns/{name}", kubo.gateway_url());
        found = name;
        items.iter().all(|item| has(&base, item))
    });
    found
}

/// Returns the hash part of a store path.
pub(crate) fn hash_part(item: &str) -> &str {
    &item.rsplit('/').next().expect("a base name")[..32]
}

/// Returns whether the cache at a URL has the narinfo of an item.
pub(crate) fn has(base: &str, item: &str) -> bool {
    get(&format!("{base}/{}.narinfo", hash_part(item))).0 == 200
}

/// Runs the program. Returns whether it succeeded, its standard output, and its standard error.
pub(crate) fn interplanar(arguments: &[&str]) -> (bool, String, String) {
    attempt(Command::new(binary()).args(arguments))
}

/// A cache folder on the host that publishes folders as items.
pub(crate) struct FolderCache {
    pub(crate) dir: tempfile::TempDir,
    api: String,
}

impl FolderCache {
    pub(crate) fn new(kubo: &Kubo) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            api: format!("--ipfs-api={}", kubo.api_url()),
        }
    }

    /// Returns the cache folder.
    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// Makes a small folder, and returns its path.
    pub(crate) fn folder(&self, number: u32) -> String {
        let tree = self.dir.path().join(format!("tree-{number}"));
        std::fs::create_dir_all(&tree).expect("a folder");
        std::fs::write(tree.join("file"), format!("{number}\n").repeat(1000)).expect("a file");
        tree.to_str().expect("UTF-8").to_owned()
    }

    /// Publishes the folders of these numbers, with more options.
    pub(crate) fn publish(&self, numbers: std::ops::Range<u32>, options: &[&str]) -> Program {
        let cache = format!("--cache={}", self.cache().display());
        let trees: Vec<String> = numbers.map(|number| self.folder(number)).collect();
        let mut arguments = vec![
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--compression=zstd:3",
            "--store-dir=/nix/store",
            &cache,
            &self.api,
        ];
        arguments.extend(SNAPSHOT);
        arguments.extend(options);
        arguments.extend(trees.iter().map(String::as_str));
        Program::outside(&arguments)
    }

    /// Waits until the published snapshot has so many items, and returns its root.
    pub(crate) fn root(&self, items: usize) -> String {
        let mut root = String::new();
        wait_until("the snapshot", || {
            let cache = format!("--cache={}", self.cache().display());
            let (ok, report, _) = interplanar(&["snapshot", "show", "--json", &cache]);
            let shown: serde_json::Value = serde_json::from_str(&report).unwrap_or_default();
            root = shown["root"].as_str().unwrap_or_default().to_owned();
            ok && shown["items"] == items && shown["name"].is_string()
        });
        root
    }
}

/// Returns the CIDs of all blocks of a DAG.
pub(crate) fn refs(kubo: &Kubo, root: &str) -> HashSet<String> {
    let listed = output(kubo.ipfs().args(["refs", "-r", "-u", root]));
    let all = listed.lines().map(str::to_owned);
    all.chain([root.to_owned()]).collect()
}

/// Returns the CIDs that Kubo has pinned.
pub(crate) fn pins(kubo: &Kubo) -> HashSet<String> {
    let listed = output(kubo.ipfs().args(["pin", "ls", "--type=recursive", "-q"]));
    listed.lines().map(str::to_owned).collect()
}
