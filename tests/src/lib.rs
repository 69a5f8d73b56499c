//! The harness of the end-to-end tests: real peers, each with a fresh data folder, on loopback, ending with its test.
//!
//! - [`root::Root`]: a machine of its own (overlay over Debian sid with Guix and Nix, mount and process namespaces);
//! - [`guix::Guix`], [`nix::Nix`]: the stock programs inside such a root;
//! - [`cache::GuixCache`]: items of such a Guix, published by the program under test;
//! - [`dags`]: DAGs of every shape, ours and Kubo's;
//! - [`far::Far`]: any of them, later and slower;
//! - [`kubo::Kubo`]: an offline Kubo node;
//! - [`node::Node`]: a script of `tests/web/`, for workerd, Chromium and Node itself;
//! - [`peer_version`]: the versions of peers whose exact words or bytes a test compares;
//! - [`program::Program`]: the `interplanar` program under test;
//! - [`relay::Relay`]: a counting, optionally hostile, HTTP relay in front of any of them;
//! - [`liar::Liar`]: a gateway whose answers no relay could make;
//! - [`network`]: a network namespace for a test that needs well-known ports;
//! - [`versions`]: items that share most of their bytes;
//! - [`web`]: the npm package, and scripts in Node that use it.
//!
//! A missing peer is a failure, never a skip: `scripts/peers` sets them up.

pub mod cache;
pub mod dags;
pub mod far;
pub mod guix;
pub mod inspector;
pub mod kubo;
pub mod liar;
pub mod network;
pub mod nix;
pub mod node;
pub mod peer_version;
pub mod program;
pub mod relay;
pub mod root;
pub mod versions;
pub mod web;

use std::path::{Path, PathBuf};

/// The root of the checkout.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A file that `scripts/peers` made.
///
/// # Panics
/// When it is not there: no test runs without its peer.
#[must_use]
pub fn peer(name: &str) -> PathBuf {
    let path = checkout().join("target/peers").join(name);
    assert!(
        path.exists(),
        "target/peers/{name} is missing: run scripts/peers"
    );
    path
}

/// Runs a command to its end and gives its standard output.
///
/// # Panics
/// With the command's own words when it fails.
pub fn output(command: &mut std::process::Command) -> String {
    let (ok, out, err) = attempt(command);
    assert!(ok, "{command:?} failed:\n{out}{err}");
    out
}

/// As [`output`], as bytes.
///
/// # Panics
/// With the command's own words when it fails.
pub fn bytes(command: &mut std::process::Command) -> Vec<u8> {
    let done = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed:\n{words}");
    done.stdout
}

/// Bytes that repeat nowhere, and that no compressor makes shorter: always the same ones for a seed (up to 24 bits).
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let numbers = (0..length.div_ceil(8) as u64).flat_map(|n| {
        let mixed = (n ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 32).to_le_bytes()
    });
    numbers.take(length).collect()
}

/// Runs a command to its end: whether it succeeded, its standard output, its standard error.
///
/// # Panics
/// When it can't be started.
pub fn attempt(command: &mut std::process::Command) -> (bool, String, String) {
    let done = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    (
        done.status.success(),
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    )
}
