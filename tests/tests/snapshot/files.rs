//! Snapshots as CAR files.

use super::common::{SNAPSHOT, interplanar, pins, published};
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_tests::cache::{NIX_KEY, NixCache};
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, binary};
use interplanar_tests::{bytes, output};
use std::process::Command;

#[test]
fn an_exported_snapshot_installs_from_another_kubo_and_from_the_embedded_store() {
    let kubo = Kubo::start();
    let cache = NixCache::with(&kubo, &SNAPSHOT);
    published(&cache.publish, &kubo, &cache.all());
    // Exports while `publish` runs. Two exports are equal.
    let export = |file: &str| {
        let mut export = cache.machine.root.command("interplanar");
        export.args(["snapshot", "export", "--cache=/var/cache/publish", "--json"]);
        let report = output(export.arg(file));
        serde_json::from_str::<serde_json::Value>(&report).expect("JSON")
    };
    let root = export("/root/cache.car")["root"].clone();
    let root = root.as_str().expect("a root").to_owned();
    export("/root");
    let inside = |name: &str| {
        let path = cache.machine.root.path(&format!("/root/{name}.car"));
        std::fs::read(path).expect("an exported file")
    };
    assert!(inside(&root) == inside("cache"));
    // Exports into a pipe; messages go to standard error.
    let mut piped = cache.machine.root.command("interplanar");
    piped.args(["snapshot", "export", "--cache=/var/cache/publish", "-"]);
    assert!(bytes(&mut piped) == inside("cache"));
    let dir = tempfile::tempdir().expect("a folder");
    let car = dir.path().join("cache.car");
    std::fs::write(&car, inside("cache")).expect("a copy");
    let car = car.to_str().expect("UTF-8");
    let NixCache {
        machine,
        items,
        key,
        publish,
    } = cache;
    drop(publish.stop());

    let (elsewhere, own) = (Kubo::start(), dir.path().join("own"));
    let own = format!("--cache={}", own.display());
    let api = format!("--ipfs-api={}", elsewhere.api_url());
    let (ok, said, err) = interplanar(&["snapshot", "import", car, &own, &api]);
    assert!(ok, "{said}{err}");
    assert!(pins(&elsewhere).contains(&root));
    let embedded = Program::outside(&[
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        &own,
        &format!("--store-root={}", dir.path().display()),
    ]);
    for server in [elsewhere.gateway_url(), embedded.url.clone()] {
        let client = Nix::new();
        let (ok, said) = client.install(&items.user, &format!("{server}/ipfs/{root}"), &key);
        assert!(ok, "{said}");
        assert_eq!(client.hash(&items.user), machine.hash(&items.user));
    }
    // A proxy that knows the root installs from it too.
    let client = Nix::new();
    let trusted = format!("--trusted-key={key}");
    let upstream = format!("ipfs://{root}");
    let proxy = Program::proxy(
        &client.root,
        "proxy",
        &upstream,
        &[&embedded.url],
        &[&trusted],
    );
    let (ok, said) = client.install(&items.user, &proxy.url, &key);
    assert!(ok, "{said}\n{}", proxy.log());
    assert!(key.starts_with(NIX_KEY));
}

#[test]
fn a_car_that_is_no_complete_snapshot_is_refused_and_leaves_no_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let repo = Repo::new();
    let folder = repo.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    for name in ["nix-cache-info", "a", "b"] {
        std::fs::write(folder.join(name), name).expect("a file");
    }
    let root = output(
        repo.ipfs()
            .args(["add", "-rQ", "--cid-version=1"])
            .arg(&folder),
    );
    let root = interplanar_core::cid::parse(root.trim()).expect("a CID");
    let mut blocks: Vec<Block> = repo
        .blocks(&root)
        .into_iter()
        .map(|(cid, data)| Block::verify(cid, data).expect("its hash"))
        .collect();
    blocks.sort_by_key(|block| *block.cid() != root);
    let write = |blocks: &[Block], flip: bool| {
        let mut bytes = car::header(&[root]);
        for block in blocks {
            bytes.extend(car::block_prefix(block.cid(), block.data().len()));
            bytes.extend_from_slice(block.data());
        }
        if flip {
            *bytes.last_mut().expect("bytes") ^= 1;
        }
        let path = dir.path().join("some.car");
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let stray = [blocks.as_slice(), &[Block::raw("stray".into())]].concat();
    let cases = [
        (write(&blocks[..blocks.len() - 1], false), "missing"),
        (write(&stray, false), "doesn't belong to it"),
        (write(&blocks, true), "hash"),
        (write(&blocks[1..], false), "missing"),
    ];
    // All cases have the same path, so each is written again before it is imported.
    let contents = [
        (blocks[..blocks.len() - 1].to_vec(), false),
        (stray, false),
        (blocks.clone(), true),
        (blocks[1..].to_vec(), false),
    ];
    let own = dir.path().join("own");
    let cache = format!("--cache={}", own.display());
    for ((path, reason), (blocks, flip)) in cases.iter().zip(&contents) {
        write(blocks, *flip);
        let done = Command::new(binary())
            .args(["snapshot", "import", path, &cache])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(3), "{reason}: {said}");
        assert!(said.contains(reason), "{reason}: {said}");
        assert!(!own.exists(), "{reason}");
    }
    let path = write(&blocks, false);
    let (ok, said, err) = interplanar(&["snapshot", "import", &path, &cache]);
    assert!(ok, "{said}{err}");
    let none = dir.path().join("none");
    for (arguments, code) in [
        (vec!["snapshot", "import", "/nonexistent.car", &cache], 4),
        (vec!["snapshot", "import", &path], 2),
        (
            vec!["snapshot", "show", "--cache", none.to_str().expect("UTF-8")],
            4,
        ),
    ] {
        let done = Command::new(binary())
            .args(&arguments)
            .output()
            .expect("it runs");
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
    }
}
