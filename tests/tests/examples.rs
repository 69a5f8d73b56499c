//! The example programs of `core`, as its README starts them.

use interplanar_tests::kubo::Kubo;
use interplanar_tests::{attempt, bytes, checkout, noise, output};
use std::path::PathBuf;
use std::process::Command;

/// An example program. `make test` builds it first.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("target/<profile>");
    let program = folder.join("examples").join(name);
    assert!(
        program.exists(),
        "build the examples first: cargo build --workspace --examples"
    );
    Command::new(program)
}

fn fixture(path: &str) -> PathBuf {
    checkout().join("tests/fixtures").join(path)
}

#[test]
fn list_nar_lists_what_guix_packed() {
    let nar = fixture("guix-1.5.0/nar/none/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree");
    let out = output(example("list_nar").arg(&nar));
    assert!(out.contains("./run\n"), "{out}");

    let folder = tempfile::tempdir().expect("a folder");
    let cut = folder.path().join("cut.nar");
    let whole = std::fs::read(nar).expect("the fixture");
    std::fs::write(&cut, &whole[..whole.len() - 1]).expect("a file");
    let (ok, _, err) = attempt(example("list_nar").arg(&cut));
    assert!(!ok && err.contains("cut.nar"), "{err}");
}

#[test]
fn verify_narinfo_accepts_the_key_and_no_other() {
    let narinfo = fixture("nix-2.34.8/none/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo");
    let key = fixture("nix-2.34.8/nix.pub");
    let out = output(example("verify_narinfo").arg(&narinfo).arg(&key));
    assert!(out.contains("is signed by a trusted key"), "{out}");

    let other = fixture("guix-1.5.0/signing-key.pub");
    let (ok, _, err) = attempt(example("verify_narinfo").arg(&narinfo).arg(&other));
    assert!(!ok && err.contains("test-1"), "{err}");
}

#[test]
fn fetch_cid_fetches_from_kubo() {
    let kubo = Kubo::start();
    let content = noise(1, 3 << 20);
    let file = kubo.repo().file("noise", &content);
    let mut add = kubo.ipfs();
    add.args(["add", "--quieter", "--cid-version=1", "--offline"]);
    let cid = output(add.arg(file));
    let url = format!("ipfs://{}", cid.trim());
    let fetched = bytes(example("fetch_cid").args([&kubo.gateway_url(), &url]));
    assert!(fetched == content, "{} bytes", fetched.len());
}
