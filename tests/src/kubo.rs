//! An offline Kubo node with a fresh repository: [`Repo`] for its command line alone, [`Kubo`] with its daemon.

use crate::root::wait_until;
use crate::{output, peer};
use bytes::Bytes;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::Cid;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A repository of its own; it goes with this.
pub struct Repo {
    dir: tempfile::TempDir,
}

impl Default for Repo {
    fn default() -> Self {
        Self::new()
    }
}

impl Repo {
    /// Makes one for tests: no bootstrap, loopback only, free ports.
    ///
    /// # Panics
    /// When Kubo isn't set up.
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

    /// The program, about to run on this repository.
    #[must_use]
    pub fn ipfs(&self) -> Command {
        let mut ipfs = Command::new(peer("bin/ipfs"));
        ipfs.env("IPFS_PATH", self.path()).stdin(Stdio::null());
        ipfs
    }

    /// Where the repository is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file beside the repository, for commands that take one.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let folder = self.path().join("files");
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// All blocks of a DAG.
    ///
    /// # Panics
    /// When the repository hasn't got all of them.
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

    /// Takes in the blocks of a CAR file, whole DAGs or not.
    pub fn import(&self, car: &Path) {
        output(
            self.ipfs()
                .args(["dag", "import", "--pin-roots=false"])
                .arg(car),
        );
    }
}

/// A repository with its daemon, offline; both end with this.
pub struct Kubo {
    repo: Repo,
    daemon: Option<Child>,
    api: String,
    gateway: String,
}

impl Kubo {
    /// Starts a daemon on a fresh repository.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Repo::new())
    }

    /// Starts a daemon on a repository and waits until it answers.
    ///
    /// # Panics
    /// When it ends at once, or doesn't answer within a minute.
    #[must_use]
    pub fn with(repo: Repo) -> Self {
        // A stop leaves these; the next daemon has other ports.
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
            let said = |name| std::fs::read_to_string(repo.path().join(name)).unwrap_or_default();
            api = url(&said("api"));
            gateway = url(&said("gateway"));
            log.contains("Daemon is ready") && !api.is_empty() && !gateway.is_empty()
        });
        Self {
            repo,
            daemon: Some(daemon),
            api,
            gateway,
        }
    }

    /// Its RPC API, `http://127.0.0.1:port`.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.clone()
    }

    /// Its gateway, `http://127.0.0.1:port`.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        self.gateway.clone()
    }

    /// The program, about to talk to this daemon.
    #[must_use]
    pub fn ipfs(&self) -> Command {
        self.repo.ipfs()
    }

    /// Its repository.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Ends the daemon; the repository stays.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }

    /// Starts the daemon again, on the ports it had, as after a reboot.
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

/// A URL for what the daemon wrote: a multiaddr (`/ip4/127.0.0.1/tcp/5001`) or a URL.
fn url(said: &str) -> String {
    let said = said.trim();
    match said
        .strip_prefix("/ip4/")
        .and_then(|rest| rest.split_once("/tcp/"))
    {
        Some((host, port)) => format!("http://{host}:{port}"),
        None => said.to_owned(),
    }
}
