//! `interplanar run`: publishes a folder, fetches it back and checks it, in one process, and prints
//! each step.
//!
//! ```text
//! a folder ─► Publisher (own blocks, temporary key) ─► HTTP ─► narinfo: check the signature
//!        ─► `ipfs:` URL ─► gateway: check every block
//!        ─► decompress, check NarHash ─► unpack ─► compare with the folder
//! ```
//! It uses the same code as `publish`, `proxy` and `get`, over a real socket on loopback.

mod fetch;
mod report;

use crate::bake;
use crate::nar_dump;
use crate::net::server::{self, Limits, Shutdown};
use crate::publish::keys::Keys;
use crate::publish::{Config, Publisher};
use crate::store::{self, Item, SourceSpec, trees::Tree};
use crate::task;
use anyhow::{Context as _, bail};
use interplanar_core::narinfo::Dialect;
use interplanar_core::signature::nix;
use interplanar_core::trust::TrustedKeys;
use report::{Report, bytes};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Folders that a Debian machine with git has, the preferred one first.
const DEFAULT_FOLDERS: [&str; 4] = [
    "/usr/lib/git-core",
    "/usr/share/git-core",
    "/usr/share/doc",
    "/etc",
];
const STORE_DIR: &str = "/nix/store";
/// Limit for one bake; any of the folders takes seconds.
const BAKE_TIMEOUT: Duration = Duration::from_secs(600);

/// Options of the demonstration.
#[derive(Debug)]
pub struct Demo {
    /// Folder or file to publish. `None`: the first of the default folders that exists.
    pub path: Option<PathBuf>,
    /// The cache folder.
    pub cache: PathBuf,
    /// Address to listen on.
    pub address: SocketAddr,
    /// Whether to print how to use the server, because it goes on serving after the check.
    pub keep_serving: bool,
}

/// A demonstration that succeeded and still serves.
pub struct Serving {
    server: task::Task<std::io::Result<()>>,
}

impl Serving {
    /// Serves until the shutdown that was passed to [`Demo::run`].
    ///
    /// # Errors
    /// The server failed.
    pub async fn until_shutdown(self) -> anyhow::Result<()> {
        Ok(self.server.await??)
    }
}

impl Demo {
    /// Publishes, fetches back, verifies and compares.
    ///
    /// # Errors
    /// The first step that failed, with its reason.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<Serving> {
        let mut report = Report::new();
        let tree = match self.path {
            Some(tree) => tree,
            None => default_folder()
                .context("no default folder exists here; name one on the command line")?,
        };
        suggest_stores(&mut report);

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
        let source = task::blocking("opening the store", move || store::open(&spec)).await?;
        let source = source.with_context(|| format!("can't publish {}", tree.display()))?;
        let item = source
            .items(None, 1)?
            .pop()
            .context("can't read the folder")?;
        report.step(
            "read",
            &format!(
                "{} becomes {}, a NAR of {}",
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
        let publisher = task::blocking("opening the cache folder", move || {
            Publisher::open(source, config)
        })
        .await??;
        publisher.start(&shutdown);
        publisher.bake_all();
        let listeners = server::bind(&[self.address]).await?;
        let address = listeners.first().context("no listener")?.local_addr()?;
        let url = format!("http://{address}");
        let server = task::spawn(
            "serving",
            server::serve_all(listeners, Arc::new(publisher), shutdown, Limits::default()),
        );

        fetch_and_compare(&mut report, &url, &trusted, &item, &tree).await?;
        report.succeeded();
        if self.keep_serving {
            report.addresses(&url, &item, &trusted);
        }
        Ok(Serving { server })
    }
}

async fn fetch_and_compare(
    report: &mut Report,
    url: &str,
    trusted: &TrustedKeys,
    item: &Item,
    tree: &Path,
) -> anyhow::Result<()> {
    let hash_part = item.store_path.hash_part();
    let (signed, hints) = fetch::narinfo(url, hash_part, trusted, BAKE_TIMEOUT).await?;
    let ipfs = hints
        .entries()
        .iter()
        .find(|entry| entry.is_ipfs())
        .context("the narinfo has no ipfs: entry")?;
    let size = ipfs.file_size.unwrap_or(0);
    let share = size
        .saturating_mul(100)
        .checked_div(item.nar_size)
        .unwrap_or(100);
    report.step(
        "publish",
        &format!("zstd: {} ({share} % of the NAR), {}", bytes(size), ipfs.url),
    );
    report.step(
        "narinfo",
        &format!(
            "{url}/{}.narinfo, signed by {}",
            item.store_path.hash_part(),
            signed.signer()
        ),
    );

    let folder = tempfile::tempdir()?;
    let target = folder.path().join("restored");
    let started = Instant::now();
    let fetched = fetch::nar(url, &signed, ipfs, &target).await?;
    let rate = fetched.bytes as f64 / 1_048_576.0 / started.elapsed().as_secs_f64().max(0.001);
    report.step(
        "fetch",
        &format!(
            "{} blocks, {}, all hashes verified ({rate:.0} MiB/s)",
            fetched.blocks,
            bytes(fetched.bytes)
        ),
    );
    report.step(
        "unpack",
        &format!(
            "a NAR of {}, NarHash {} verified",
            bytes(signed.nar_size()),
            signed.nar_hash()
        ),
    );

    let (one, other) = (tree.to_path_buf(), target.clone());
    let same = task::blocking("comparing files", move || same_content(&one, &other)).await??;
    if !same {
        bail!("the restored folder differs from the published one");
    }
    let files = task::blocking("counting files", move || count(&target)).await?;
    report.step(
        "compare",
        &format!(
            "restored {files} files, folders and links, all equal to {}",
            tree.display()
        ),
    );
    Ok(())
}

/// Compares two trees by the hashes of their NARs.
fn same_content(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let hash = |path: &Path| {
        let mut hasher = HashWriter::default();
        nar_dump::dump(path, &mut hasher).map(|_| hasher.0.finish())
    };
    Ok(hash(one)? == hash(other)?)
}

#[derive(Default)]
struct HashWriter(interplanar_core::hash::Sha256Hasher);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn count(root: &Path) -> u64 {
    let mut pending = vec![root.to_path_buf()];
    let mut files = 0;
    while let Some(path) = pending.pop() {
        files += 1;
        if path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
        {
            pending.extend(
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

fn default_folder() -> Option<PathBuf> {
    DEFAULT_FOLDERS
        .iter()
        .map(PathBuf::from)
        .find(|tree| tree.is_dir())
}

/// Suggests publishing the stores of this machine.
fn suggest_stores(report: &mut Report) {
    for store in store::registered_under("/".as_ref()) {
        let name = match store {
            SourceSpec::Guix { .. } => "guix",
            _ => "nix",
        };
        report.note(&format!(
            "this machine has a {name} store; publish it with: interplanar publish --source {name}"
        ));
    }
}

/// Returns 32 random bytes for a temporary key.
fn seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    let mut random = std::fs::File::open("/dev/urandom").context("can't open /dev/urandom")?;
    std::io::Read::read_exact(&mut random, &mut seed)?;
    Ok(seed)
}
