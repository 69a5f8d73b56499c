//! The npm package, and Node to run scripts of tests/web in.

use crate::{checkout, output};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The npm package with everything, built from this checkout once for a test program.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let folder = checkout()
            .canonicalize()
            .expect("a checkout")
            .join("wasm/pkg");
        let mut build = Command::new(checkout().join("scripts/wasm"));
        output(build.arg(&folder).args(["full"]));
        folder
    })
}

/// The folder of the scripts.
#[must_use]
pub fn scripts() -> PathBuf {
    let folder = checkout().join("tests/web");
    assert!(
        folder.join("node_modules").exists(),
        "tests/web/node_modules is missing: run scripts/peers"
    );
    folder
}

/// Gives a script its job and takes its result.
///
/// # Panics
/// When it fails, with what it said.
#[must_use]
pub fn node(script: &str, job: &Value) -> Value {
    let mut node = Command::new("node")
        .args(["--expose-gc", script])
        .current_dir(scripts())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut stdin = node.stdin.take().expect("its input");
    stdin.write_all(job.to_string().as_bytes()).expect("taken");
    drop(stdin);
    let done = node.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&done.stdout);
    let result = said.lines().last().unwrap_or_default();
    serde_json::from_str(result).unwrap_or_else(|_| {
        let errors = String::from_utf8_lossy(&done.stderr);
        panic!("{script}: {}\n{said}{errors}", done.status)
    })
}
