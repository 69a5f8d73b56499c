//! A Node script of `tests/web/` as a process, which says its address in its first line.

use crate::web::scripts;
use crate::{checkout, output};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

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
        let mut child = Command::new("node")
            .arg(script)
            .args(arguments)
            .current_dir(scripts())
            .stdin(Stdio::null())
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

/// The folder with both workers, built from this checkout once for a test program.
///
/// # Panics
/// When they can't be built.
#[must_use]
pub fn workers() -> &'static Path {
    static WORKERS: OnceLock<PathBuf> = OnceLock::new();
    WORKERS.get_or_init(|| {
        let checkout = checkout().canonicalize().expect("a checkout");
        let folder = checkout.join("worker/dist");
        output(Command::new(checkout.join("scripts/worker")).arg(&folder));
        folder
    })
}
