//! A script of `tests/web/` that runs in Node until it is dropped. Its first line of output has its
//! URL.

use crate::web::scripts;
use crate::{checkout, output};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

/// A running script. It ends, with all processes that it started, when this is dropped.
pub struct Node {
    child: Child,
    log: Arc<Mutex<String>>,
    /// The first line of its output, which is JSON.
    pub said: Value,
}

impl Node {
    /// Starts a script, and waits for its first line of output.
    ///
    /// # Panics
    /// If the script ends without that line.
    #[must_use]
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("node")
            .arg(script)
            .args(arguments)
            .current_dir(scripts())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // In a process group of its own, so that its children can be killed with it.
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
        // The script would stop if nothing read its output.
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

    /// Returns its URL.
    ///
    /// # Panics
    /// If its first line had none.
    #[must_use]
    pub fn url(&self) -> &str {
        self.said["url"].as_str().expect("an address")
    }

    /// Returns its log up to now.
    ///
    /// # Panics
    /// If the thread that reads the log panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let kill = rustix::process::Signal::KILL;
            // The group may have ended already.
            let _ = rustix::process::kill_process_group(group, kill);
        }
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- log of node\n{}", self.log());
        }
    }
}

/// Builds both workers from this checkout, once per process, and returns their folder.
///
/// # Panics
/// If the build fails.
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
