//! `interplanar run`: the main job on real input, in one process, told step by step.
//!
//! ```text
//! a tree ─► Publisher (embedded blocks, throw-away key) ─► HTTP ─► narinfo: signature ─► `ipfs:` URL ─► gateway: every block verified
//!        ─► decode, NarHash ─► unpack ─► compare with the tree
//! ```
//! It uses the parts that `publish`, `proxy` and `get` are made of, over a real socket on loopback.

mod fetch;
mod said;

use crate::bake;
use crate::nar_dump;
use crate::net::server::{self, Limits, Shutdown};
use crate::publish::keys::Keys;
use crate::publish::{Config, Publisher};
use crate::store::{self, Item, SourceSpec, trees::Tree};
use anyhow::{Context as _, bail};
use interplanar_core::narinfo::Dialect;
use interplanar_core::signature::nix;
use interplanar_core::trust::TrustedKeys;
use said::{Said, bytes};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Real trees that a Debian machine with git has, the preferred one first.
const TREES: [&str; 4] = [
    "/usr/lib/git-core",
    "/usr/share/git-core",
    "/usr/share/doc",
    "/etc",
];
const STORE_DIR: &str = "/nix/store";
/// A bake of any of the trees takes seconds.
const PATIENCE: Duration = Duration::from_secs(600);

/// What to show.
#[derive(Debug)]
pub struct Demo {
    /// The tree to publish; if none, one that this machine has.
    pub tree: Option<PathBuf>,
    /// The cache folder.
    pub cache: PathBuf,
    /// Where to serve.
    pub address: SocketAddr,
}

/// A demo that succeeded and still serves.
pub struct Serving {
    server: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    /// Serves until the shutdown that the demo was given.
    ///
    /// # Errors
    /// The server's.
    pub async fn until_shutdown(self) -> anyhow::Result<()> {
        Ok(self.server.await??)
    }
}

impl Demo {
    /// Publishes, fetches back, verifies and compares.
    ///
    /// # Errors
    /// The first step that fails, with its reason.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<Serving> {
        let mut said = Said::new();
        let tree = match self.tree {
            Some(tree) => tree,
            None => default_tree().context("none of the usual trees is here: name one")?,
        };
        offer_stores(&mut said);

        let key = nix::SecretKey::from_seed("interplanar-run-1", &seed()?)?;
        let trusted = TrustedKeys {
            guix: Vec::new(),
            nix: vec![key.public_key()],
        };
        let spec = SourceSpec::Trees {
            trees: vec![Tree {
                path: tree.clone(),
                name: None,
            }],
            store_dir: STORE_DIR.to_owned(),
        };
        let source = tokio::task::spawn_blocking(move || store::open(&spec)).await??;
        let item = source
            .items(None, 1)?
            .pop()
            .context("the tree can't be read")?;
        said.step(
            "read",
            &format!(
                "{} is {}, a NAR of {}",
                tree.display(),
                item.store_path,
                bytes(item.nar_size)
            ),
        );

        let mut bake = bake::Config::new(&self.cache);
        bake.compressors = Vec::from_iter("zstd:9".parse());
        let config = Config {
            dialect: Some(Dialect::Nix),
            keys: Keys {
                guix: None,
                nix: vec![key],
            },
            ..Config::new(bake)
        };
        let publisher =
            tokio::task::spawn_blocking(move || Publisher::open(source, config)).await??;
        publisher.start(&shutdown);
        publisher.bake_all();
        let listeners = server::bind(&[self.address]).await?;
        let address = listeners.first().context("no listener")?.local_addr()?;
        let url = format!("http://{address}");
        let server = tokio::spawn(server::serve_all(
            listeners,
            Arc::new(publisher),
            shutdown,
            Limits::default(),
        ));

        check(&mut said, &url, &trusted, &item, &tree).await?;
        said.done(&url, &item, &trusted);
        Ok(Serving { server })
    }
}

async fn check(
    said: &mut Said,
    url: &str,
    trusted: &TrustedKeys,
    item: &Item,
    tree: &Path,
) -> anyhow::Result<()> {
    let narinfo = fetch::narinfo(url, item.store_path.hash_part(), trusted, PATIENCE).await?;
    let ipfs = narinfo
        .entries()
        .iter()
        .find(|entry| entry.is_ipfs())
        .context("the narinfo has no ipfs: entry")?;
    let size = ipfs.file_size.unwrap_or(0);
    let share = size
        .saturating_mul(100)
        .checked_div(item.nar_size)
        .unwrap_or(100);
    said.step(
        "publish",
        &format!("zstd: {} ({share} % of the NAR), {}", bytes(size), ipfs.url),
    );
    said.step(
        "narinfo",
        &format!(
            "{url}/{}.narinfo, signed by {}",
            item.store_path.hash_part(),
            signer(trusted)
        ),
    );

    let folder = tempfile::tempdir()?;
    let target = folder.path().join("restored");
    let begun = Instant::now();
    let fetched = fetch::nar(url, &narinfo, ipfs, &target).await?;
    let rate = fetched.bytes as f64 / 1_048_576.0 / begun.elapsed().as_secs_f64().max(0.001);
    said.step(
        "fetch",
        &format!(
            "{} blocks, {}, every hash right ({rate:.0} MiB/s)",
            fetched.blocks,
            bytes(fetched.bytes)
        ),
    );
    said.step(
        "decode",
        &format!(
            "{} of NAR, NarHash {} right",
            bytes(narinfo.nar_size()),
            narinfo.nar_hash()
        ),
    );

    let (one, other) = (tree.to_path_buf(), target.clone());
    let same = tokio::task::spawn_blocking(move || same_trees(&one, &other)).await??;
    if !same {
        bail!("the tree that was restored is not the one that was published");
    }
    let files = tokio::task::spawn_blocking(move || count(&target)).await?;
    said.step(
        "compare",
        &format!(
            "{files} files, folders and links restored, all equal to {}",
            tree.display()
        ),
    );
    Ok(())
}

fn signer(trusted: &TrustedKeys) -> String {
    trusted
        .nix
        .iter()
        .map(|key| key.name().to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Two trees are the same when their NARs are.
fn same_trees(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let hash = |path: &Path| {
        let mut hasher = Hashing::default();
        nar_dump::dump(path, &mut hasher).map(|_| hasher.0.finish())
    };
    Ok(hash(one)? == hash(other)?)
}

#[derive(Default)]
struct Hashing(interplanar_core::hash::Sha256Hasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn count(root: &Path) -> u64 {
    let mut open = vec![root.to_path_buf()];
    let mut files = 0;
    while let Some(path) = open.pop() {
        files += 1;
        if path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
        {
            open.extend(
                path.read_dir()
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
    }
    files
}

fn default_tree() -> Option<PathBuf> {
    TREES.iter().map(PathBuf::from).find(|tree| tree.is_dir())
}

/// A machine with a store would rather publish that.
fn offer_stores(said: &mut Said) {
    for store in store::registered_under("/".as_ref()) {
        let name = match store {
            SourceSpec::Guix { .. } => "guix",
            _ => "nix",
        };
        said.note(&format!(
            "this machine has a {name} store: interplanar publish --source {name} publishes it"
        ));
    }
}

/// 32 random bytes for a key that ends with this run.
fn seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut random = std::fs::File::open("/dev/urandom").context("no source of randomness")?;
    std::io::Read::read_exact(&mut random, &mut seed)?;
    Ok(seed)
}
