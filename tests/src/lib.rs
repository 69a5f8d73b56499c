//! The harness of the end-to-end tests.
//!
//! It starts real peers on loopback. Each has a data folder of its own, and ends when its value is
//! dropped.
//!
//! - [`root::Root`]: a machine: Debian sid with Guix and Nix, in its own mount and process
//!   namespaces;
//! - [`guix::Guix`], [`nix::Nix`]: the stock programs inside such a machine;
//! - [`cache::GuixCache`], [`cache::NixCache`]: a machine's items, published by the program under
//!   test;
//! - [`hostile`]: every rule of each grammar broken once, with the verdict on it;
//! - [`dags`]: DAGs of every shape, made by our builder and by Kubo;
//! - [`slow_link::SlowLink`]: a TCP proxy that adds latency and limits the rate;
//! - [`kubo::Kubo`]: an offline Kubo node;
//! - [`node::Node`]: a running script of `tests/web/`, which starts workerd or Chromium, or runs in
//!   Node alone;
//! - [`peer_version`]: the versions of peers whose exact words or bytes a test compares;
//! - [`network`]: a network namespace for a test that needs well-known ports;
//! - [`program::Program`]: the `interplanar` program under test;
//! - [`relay::Relay`]: an HTTP server that forwards to a real one, counts requests, and can damage
//!   responses;
//! - [`block_gateway::BlockGateway`]: a gateway over blocks in memory, which can attack its
//!   clients;
//! - [`versions`]: items that share most of their bytes;
//! - [`inspector`]: the cache inspector in Chromium;
//! - [`web`]: the npm package, and scripts in Node that use it.
//!
//! A test whose peer is missing fails; it is never skipped. `scripts/peers` sets the peers up.

pub mod block_gateway;
pub mod cache;
pub mod dags;
pub mod guix;
pub mod hostile;
pub mod inspector;
pub mod kubo;
pub mod network;
pub mod nix;
pub mod node;
pub mod peer_version;
pub mod program;
pub mod relay;
pub mod root;
pub mod slow_link;
pub mod versions;
pub mod web;

use std::path::{Path, PathBuf};

/// Returns the root folder of the checkout.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns the path of a file that `scripts/peers` made.
///
/// # Panics
/// If the file is missing.
#[must_use]
pub fn peer(name: &str) -> PathBuf {
    let path = checkout().join("target/peers").join(name);
    assert!(
        path.exists(),
        "target/peers/{name} is missing: run scripts/peers"
    );
    path
}

/// Runs a command to its end, and returns its standard output.
///
/// # Panics
/// If the command fails. The message has the command's output.
pub fn output(command: &mut std::process::Command) -> String {
    let (ok, out, err) = attempt(command);
    assert!(ok, "{command:?} failed:\n{out}{err}");
    out
}

/// As [`output`], for output that isn't text.
///
/// # Panics
/// If the command fails. The message has the command's errors.
pub fn bytes(command: &mut std::process::Command) -> Vec<u8> {
    let done = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed:\n{errors}");
    done.stdout
}

/// Returns pseudorandom bytes that no compressor makes shorter. A seed of up to 24 bits always
/// gives the same bytes.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let numbers = (0..length.div_ceil(8) as u64).flat_map(|n| {
        let mixed = (n ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 32).to_le_bytes()
    });
    numbers.take(length).collect()
}

/// Runs a command to its end. Returns whether it succeeded, its standard output, and its standard
/// error.
///
/// # Panics
/// If the command can't be started.
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
