//! A machine for a test: an overlay over the sid root in mount and process namespaces of its own.
//!
//! One process, the keeper, holds the namespaces; when it ends, the kernel ends every process in them and drops the mounts.

use crate::{output, peer, program};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits in total for a daemon in a root.
const START: Duration = Duration::from_secs(60);

/// A running root.
pub struct Root {
    keeper: Child,
    /// The first process inside the process namespace.
    inside: u32,
    merged: PathBuf,
    _folder: tempfile::TempDir,
}

impl Root {
    /// A fresh root, with the `interplanar` program under test in /usr/local/bin.
    ///
    /// # Panics
    /// When namespaces or overlays are refused (both need root).
    #[must_use]
    pub fn new() -> Self {
        let sid = peer("sid-root");
        let folder = tempfile::tempdir_in("/tmp").expect("a folder in /tmp");
        let at = |name: &str| folder.path().join(name);
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(at(name)).expect("a fresh folder");
        }
        let merged = at("merged");
        let script = format!(
            "mount -t overlay overlay -o lowerdir={sid},upperdir={upper},workdir={work} {merged} \
             && mount -t proc proc {merged}/proc && mount --rbind /dev {merged}/dev && echo ready && exec sleep infinity",
            sid = sid.display(),
            upper = at("upper").display(),
            work = at("work").display(),
            merged = merged.display(),
        );
        let mut keeper = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                &script,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare of util-linux");
        let mut ready = [0; 6];
        let pipe = keeper.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(pipe, &mut ready).expect("a root: this needs to run as root");
        let children = format!("/proc/{0}/task/{0}/children", keeper.id());
        let inside = std::fs::read_to_string(children)
            .expect("the keeper's child")
            .trim()
            .parse()
            .expect("one process id");
        let root = Self {
            keeper,
            inside,
            merged,
            _folder: folder,
        };
        let binary = root.path("/usr/local/bin/interplanar");
        std::fs::copy(program::binary(), binary).expect("the program under test");
        root
    }

    /// Where a path of the root lies for a process outside of it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let merged = self.merged.to_str().expect("UTF-8");
        PathBuf::from(format!("/proc/{}/root{merged}{path}", self.inside))
    }

    /// A command inside; it ends with the root at the latest.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.enter(&["-m", "-p"], program)
    }

    /// A command inside that stays in the caller's process namespace, so that a signal to the child reaches the program itself.
    #[must_use]
    pub fn direct(&self, program: &str) -> Command {
        self.enter(&["-m"], program)
    }

    fn enter(&self, namespaces: &[&str], program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.inside.to_string()])
            .args(namespaces)
            .arg("chroot")
            .arg(&self.merged)
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a shell script inside and gives its standard output.
    ///
    /// # Panics
    /// When it fails.
    pub fn sh(&self, script: &str) -> String {
        output(self.command("sh").args(["-euc", script]))
    }

    /// Writes a file inside.
    ///
    /// # Panics
    /// When it can't.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        std::fs::write(path, text).expect("a file in the root");
    }

    /// Reads a text file inside.
    ///
    /// # Panics
    /// When it isn't there.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect("a file in the root")
    }

    /// Waits until a path exists inside.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait_for(&self, path: &str) {
        let path = self.path(path);
        wait_until("a file of a daemon", || path.exists());
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // `--kill-child` ends the namespace's first process, and with it all others.
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

/// Waits until `ready`, in short steps.
///
/// # Panics
/// After a minute, naming what was waited for.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < START, "waited a minute for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
