//! The npm package, and scripts of `tests/web` that run in Node to their end.

use crate::{attempt, checkout, output};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The sources of the npm package.
const SOURCES: [&str; 7] = [
    "wasm/src",
    "wasm/npm",
    "wasm/Cargo.toml",
    "core/src",
    "core/Cargo.toml",
    "Cargo.lock",
    "scripts/wasm",
];

/// Returns the folder of the npm package with all features. Builds it if a source is newer.
///
/// # Panics
/// If the build fails.
#[must_use]
pub fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let folder = checkout()
            .canonicalize()
            .expect("a checkout")
            .join("wasm/pkg");
        if is_stale(&folder.join("interplanar_bg.wasm")) {
            let mut build = Command::new(checkout().join("scripts/wasm"));
            output(build.arg(&folder).args(["full"]));
        }
        folder
    })
}

/// Returns whether the package's module is missing, or older than one of its sources.
fn is_stale(module: &Path) -> bool {
    let mut find = Command::new("find");
    find.current_dir(checkout()).args(SOURCES).arg("-newer");
    let (ok, newer, _) = attempt(find.arg(module).args(["-print", "-quit"]));
    !ok || !newer.is_empty()
}

/// Returns the folder of the scripts.
///
/// # Panics
/// If their npm packages are missing.
#[must_use]
pub fn scripts() -> PathBuf {
    let folder = checkout().join("tests/web");
    assert!(
        folder.join("node_modules").exists(),
        "tests/web/node_modules is missing: run scripts/peers"
    );
    folder
}

/// Runs a script with a job on its standard input, and returns its result: the last line of its
/// output.
///
/// # Panics
/// If the script fails. The message has its output.
#[must_use]
pub fn run_script(script: &str, job: &Value) -> Value {
    let mut node = Command::new("node")
        .args(["--expose-gc", script])
        .current_dir(scripts())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut stdin = node.stdin.take().expect("its input");
    stdin
        .write_all(job.to_string().as_bytes())
        .expect("a reader");
    drop(stdin);
    let done = node.wait_with_output().expect("its output");
    let printed = String::from_utf8_lossy(&done.stdout);
    let result = printed.lines().last().unwrap_or_default();
    serde_json::from_str(result).unwrap_or_else(|_| {
        let errors = String::from_utf8_lossy(&done.stderr);
        panic!("{script}: {}\n{printed}{errors}", done.status)
    })
}
