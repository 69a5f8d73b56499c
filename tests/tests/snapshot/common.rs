//! Snapshots, what they hold, and caches that make them.

use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, binary, get};
use interplanar_tests::root::wait_until;
use interplanar_tests::{attempt, output};
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

pub(crate) const SNAPSHOT: [&str; 2] = ["--snapshot", "--snapshot-interval=1s"];

/// The name that a log says.
pub(crate) fn name(log: &str) -> Option<String> {
    let start = log.rfind("k51")?;
    let name = log[start..].chars().take_while(char::is_ascii_alphanumeric);
    Some(name.collect())
}

/// Waits until all of `items` are under the name, and gives it.
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

pub(crate) fn hash_part(item: &str) -> &str {
    &item.rsplit('/').next().expect("a base name")[..32]
}

pub(crate) fn has(base: &str, item: &str) -> bool {
    get(&format!("{base}/{}.narinfo", hash_part(item))).0 == 200
}

pub(crate) fn interplanar(arguments: &[&str]) -> (bool, String, String) {
    attempt(Command::new(binary()).args(arguments))
}

/// A cache folder on the host that publishes trees.
pub(crate) struct Trees {
    pub(crate) dir: tempfile::TempDir,
    api: String,
}

impl Trees {
    pub(crate) fn new(kubo: &Kubo) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            api: format!("--ipfs-api={}", kubo.api_url()),
        }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// A small tree, and its path.
    pub(crate) fn tree(&self, number: u32) -> String {
        let tree = self.dir.path().join(format!("tree-{number}"));
        std::fs::create_dir_all(&tree).expect("a folder");
        std::fs::write(tree.join("file"), format!("{number}\n").repeat(1000)).expect("a file");
        tree.to_str().expect("UTF-8").to_owned()
    }

    /// Publishes the trees of these numbers, with more options.
    pub(crate) fn publish(&self, numbers: std::ops::Range<u32>, options: &[&str]) -> Program {
        let cache = format!("--cache={}", self.cache().display());
        let trees: Vec<String> = numbers.map(|number| self.tree(number)).collect();
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

    /// Waits until the snapshot that is published has so many items, and gives its root.
    pub(crate) fn root(&self, items: usize) -> String {
        let mut root = String::new();
        wait_until("the snapshot", || {
            let cache = format!("--cache={}", self.cache().display());
            let (ok, said, _) = interplanar(&["snapshot", "show", "--json", &cache]);
            let shown: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            root = shown["root"].as_str().unwrap_or_default().to_owned();
            ok && shown["items"] == items && shown["name"].is_string()
        });
        root
    }
}

pub(crate) fn refs(kubo: &Kubo, root: &str) -> HashSet<String> {
    let said = output(kubo.ipfs().args(["refs", "-r", "-u", root]));
    let all = said.lines().map(str::to_owned);
    all.chain([root.to_owned()]).collect()
}

pub(crate) fn pins(kubo: &Kubo) -> HashSet<String> {
    let said = output(kubo.ipfs().args(["pin", "ls", "--type=recursive", "-q"]));
    said.lines().map(str::to_owned).collect()
}
