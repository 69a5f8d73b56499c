//! A Node script of `tests/web/` as a process, which says its address in its first line.

use crate::checkout;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A running script; it and all that it started end with this.
pub struct Node {
    child: Child,
    log: Arc<Mutex<String>>,
    /// What it said first: a line of JSON.
    pub said: Value,
}

impl Node {
    /// Starts a script and waits for its first line.
    ///
    /// # Panics
    /// When it ends without one.
    #[must_use]
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let mut child = node(script, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that no child of it outlives the test.
            .process_group(0)
            .spawn()
            .expect("node");
        let log = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&log);
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                sink.lock().expect("the log").push_str(&(line + "\n"));
            }
        });
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its first line");
        // It must not stop because nobody reads.
        std::thread::spawn(move || drop(output.read_to_end(&mut Vec::new())));
        let mut node = Self {
            child,
            log,
            said: Value::Null,
        };
        node.said = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{script}: {error}: {line:?}\n{}", node.log()));
        node
    }

    /// Its address.
    ///
    /// # Panics
    /// When it said none.
    #[must_use]
    pub fn url(&self) -> &str {
        self.said["url"].as_str().expect("an address")
    }

    /// What it logged until now.
    ///
    /// # Panics
    /// When the reader of the log panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let kill = rustix::process::Signal::KILL;
            // A group that has ended already is fine.
            let _ = rustix::process::kill_process_group(group, kill);
        }
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- log of node\n{}", self.log());
        }
    }
}

/// Node, about to run a script of `tests/web/`.
#[must_use]
pub fn node(script: &str, arguments: &[&str]) -> Command {
    let folder = checkout().join("tests/web");
    let packages = folder.join("node_modules");
    assert!(
        packages.exists(),
        "tests/web/node_modules is missing: run scripts/peers"
    );
    let mut node = Command::new("node");
    node.arg(script)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    node
}

/// The folder where `scripts/worker` put the workers.
///
/// # Panics
/// When they were not built: `make test` builds them first.
#[must_use]
pub fn workers() -> std::path::PathBuf {
    let folder = checkout().join("worker/dist");
    assert!(folder.exists(), "build the workers first: scripts/worker");
    folder
}
