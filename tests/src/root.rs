//! A machine for a test: an overlay over a Debian sid root, in its own mount and process
//! namespaces.
//!
//! One process, the keeper, holds the namespaces. When it ends, the kernel kills every process in
//! them and removes the mounts.

use crate::{output, peer, program};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long [`wait_until`] waits. It is long because several suites share the processors, and no
/// test claims that something happens within this time.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running machine. All its processes end when this is dropped.
pub struct Root {
    keeper: Child,
    /// The id of the first process inside the process namespace.
    inside: u32,
    /// Where the overlay is mounted, in the machine's mount namespace.
    merged: PathBuf,
    _folder: tempfile::TempDir,
}

impl Root {
    /// Makes a machine that has the program under test in `/usr/local/bin`.
    ///
    /// # Panics
    /// If the kernel refuses namespaces or overlays. Both need root.
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

    /// Returns the path by which a process outside reads a file of the machine.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let merged = self.merged.to_str().expect("UTF-8");
        PathBuf::from(format!("/proc/{}/root{merged}{path}", self.inside))
    }

    /// Returns a command that runs inside. It ends with the machine at the latest.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.enter(&["-m", "-p"], program)
    }

    /// Returns a command that sees the machine's files, but stays in the caller's process
    /// namespace.
    ///
    /// So a signal to the child process reaches the program itself.
    #[must_use]
    pub fn direct(&self, program: &str) -> Command {
        self.enter(&["-m"], program)
    }

    /// Returns a command that enters some of the machine's namespaces, and its file tree.
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

    /// Runs a shell script inside, and returns its standard output.
    ///
    /// # Panics
    /// If the script fails.
    pub fn sh(&self, script: &str) -> String {
        output(self.command("sh").args(["-euc", script]))
    }

    /// Writes a file inside, and makes its folder.
    ///
    /// # Panics
    /// If the file can't be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        std::fs::write(path, text).expect("a file in the root");
    }

    /// Reads a text file inside.
    ///
    /// # Panics
    /// If the file can't be read.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect("a file in the root")
    }

    /// Waits until a path exists inside.
    ///
    /// # Panics
    /// If it doesn't exist after three minutes.
    pub fn wait_for(&self, path: &str) {
        let path = self.path(path);
        wait_until(&path.display().to_string(), || path.exists());
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // `--kill-child` kills the namespace's first process, and the kernel all others.
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

/// Calls `ready` every 20 ms until it returns true.
///
/// # Panics
/// If it doesn't return true within three minutes. The message has `what`.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(
            start.elapsed() < PATIENCE,
            "waited {} s for {what}",
            PATIENCE.as_secs()
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
