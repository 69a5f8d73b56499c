//! An offline Kubo node with a new repository: [`Repo`] for the command line, [`Kubo`] for the
//! daemon.

use crate::root::wait_until;
use crate::{output, peer};
use bytes::Bytes;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::Cid;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A repository, which is deleted when this is dropped.
pub struct Repo {
    dir: tempfile::TempDir,
}

impl Default for Repo {
    fn default() -> Self {
        Self::new()
    }
}

impl Repo {
    /// Makes a repository for tests: no bootstrap nodes, loopback only, any free ports.
    ///
    /// # Panics
    /// If Kubo is missing.
    #[must_use]
    pub fn new() -> Self {
        let repo = Self {
            dir: tempfile::tempdir().expect("a folder"),
        };
        output(repo.ipfs().args(["init", "--profile=test"]));
        for address in ["Addresses.API", "Addresses.Gateway"] {
            output(
                repo.ipfs()
                    .args(["config", address, "/ip4/127.0.0.1/tcp/0"]),
            );
        }
        output(
            repo.ipfs()
                .args(["config", "--json", "Gateway.NoFetch", "true"]),
        );
        repo
    }

    /// Returns the command `ipfs` for this repository; the caller adds arguments.
    #[must_use]
    pub fn ipfs(&self) -> Command {
        let mut ipfs = Command::new(peer("bin/ipfs"));
        ipfs.env("IPFS_PATH", self.path()).stdin(Stdio::null());
        ipfs
    }

    /// Returns the repository's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into a folder of the repository, for commands that read one, and returns its
    /// path.
    ///
    /// # Panics
    /// If the file can't be written.
    #[must_use]
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let folder = self.path().join("files");
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Returns all blocks of a DAG.
    ///
    /// # Panics
    /// If the repository lacks a block of the DAG.
    #[must_use]
    pub fn blocks(&self, root: &Cid) -> HashMap<Cid, Bytes> {
        let mut export = self.ipfs();
        export.args(["dag", "export", "--progress=false", &root.to_string()]);
        let exported = export.output().expect("ipfs runs");
        assert!(
            exported.status.success(),
            "{}",
            String::from_utf8_lossy(&exported.stderr)
        );
        let (mut reader, mut input) = (Reader::new(), Bytes::from(exported.stdout));
        let mut blocks = HashMap::new();
        while let Some(item) = reader.push(&mut input).expect("a CAR") {
            if let Item::Block { cid, data } = item {
                blocks.insert(cid, data);
            }
        }
        reader.finish().expect("a whole CAR");
        blocks
    }

    /// Imports the blocks of a CAR file. Its DAGs may be incomplete.
    pub fn import(&self, car: &Path) {
        output(
            self.ipfs()
                .args(["dag", "import", "--pin-roots=false"])
                .arg(car),
        );
    }
}

/// A repository with its offline daemon. Both end when this is dropped.
pub struct Kubo {
    repo: Repo,
    daemon: Option<Child>,
    api: String,
    gateway: String,
}

impl Kubo {
    /// Starts a daemon on a new repository.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Repo::new())
    }

    /// Starts a daemon on a repository, and waits until it is ready.
    ///
    /// # Panics
    /// If the daemon ends at once, or isn't ready in time.
    #[must_use]
    pub fn with(repo: Repo) -> Self {
        // A daemon that was killed leaves these files, and the next one has other ports.
        for name in ["api", "gateway"] {
            drop(std::fs::remove_file(repo.path().join(name)));
        }
        let log = std::fs::File::create(repo.path().join("daemon.log")).expect("a log");
        let mut daemon = repo
            .ipfs()
            .args(["daemon", "--offline"])
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("ipfs runs");
        let (mut api, mut gateway) = (String::new(), String::new());
        wait_until("Kubo's daemon", || {
            let log = std::fs::read_to_string(repo.path().join("daemon.log")).unwrap_or_default();
            assert!(
                daemon.try_wait().expect("its state").is_none(),
                "Kubo ended at once:\n{log}"
            );
            let read = |name| std::fs::read_to_string(repo.path().join(name)).unwrap_or_default();
            api = url(&read("api"));
            gateway = url(&read("gateway"));
            log.contains("Daemon is ready") && !api.is_empty() && !gateway.is_empty()
        });
        Self {
            repo,
            daemon: Some(daemon),
            api,
            gateway,
        }
    }

    /// Returns the URL of its RPC API, `http://127.0.0.1:port`.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.clone()
    }

    /// Returns the URL of its gateway, `http://127.0.0.1:port`.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        self.gateway.clone()
    }

    /// Returns the command `ipfs`, which talks to this daemon; the caller adds arguments.
    #[must_use]
    pub fn ipfs(&self) -> Command {
        self.repo.ipfs()
    }

    /// Returns its repository.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Kills the daemon. The repository stays.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }

    /// Kills the daemon, and starts it again on the same ports, as after a power cut.
    #[must_use]
    pub fn restart(mut self) -> Self {
        self.stop();
        let repo = std::mem::replace(
            &mut self.repo,
            Repo {
                dir: tempfile::tempdir().expect("a folder"),
            },
        );
        for (address, url) in [
            ("Addresses.API", &self.api),
            ("Addresses.Gateway", &self.gateway),
        ] {
            let port = url.rsplit(':').next().unwrap_or_default();
            output(
                repo.ipfs()
                    .args(["config", address, &format!("/ip4/127.0.0.1/tcp/{port}")]),
            );
        }
        drop(std::fs::remove_file(repo.path().join("repo.lock")));
        Self::with(repo)
    }
}

impl Drop for Kubo {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.repo.path().join("daemon.log"));
            eprintln!("--- log of Kubo\n{}", log.unwrap_or_default());
        }
    }
}

/// Returns the URL of an address that the daemon wrote: a multiaddr (`/ip4/127.0.0.1/tcp/5001`) or
/// a URL.
fn url(address: &str) -> String {
    let address = address.trim();
    match address
        .strip_prefix("/ip4/")
        .and_then(|rest| rest.split_once("/tcp/"))
    {
        Some((host, port)) => format!("http://{host}:{port}"),
        None => address.to_owned(),
    }
}
