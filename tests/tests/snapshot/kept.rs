//! What becomes of snapshots as items come, Kubo goes and processes are killed.

use super::common::{Trees, hash_part, interplanar, name, pins, refs};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, get};
use interplanar_tests::root::wait_until;
use interplanar_tests::{attempt, output};

#[test]
fn one_more_item_shares_all_but_a_few_blocks_and_old_snapshots_are_unpinned_and_nothing_else() {
    let kubo = Kubo::start();
    let foreign = kubo.repo().file("foreign", b"of somebody else");
    let foreign = output(
        kubo.ipfs()
            .args(["add", "-Q", "--cid-version=1"])
            .arg(foreign),
    );
    let trees = Trees::new(&kubo);
    let publish = trees.publish(0..60, &["--ttl=3600s"]);
    let before = trees.root(60);
    drop(publish.stop());
    let publish = trees.publish(0..61, &["--ttl=3600s"]);
    let after = trees.root(61);
    let (old, new) = (refs(&kubo, &before), refs(&kubo, &after));
    let added = new.difference(&old).count();
    // Root, folder of NARs, that of the method, a narinfo, and the root and a piece or two of the NAR.
    assert!((4..=10).contains(&added), "{added} of {}", new.len());
    let pinned = pins(&kubo);
    assert!(pinned.contains(&before) && pinned.contains(&after));
    let log = publish.stop();

    // Once their time is over they are unpinned.
    let publish = trees.publish(0..62, &["--ttl=1s"]);
    let last = trees.root(62);
    let state = trees.cache().join("snapshot.json");
    let state = std::fs::read_to_string(state).expect("the state");
    assert!(state.contains(&last), "{state}");
    drop(publish.stop());
    let publish = trees.publish(0..63, &["--ttl=1s"]);
    let newest = trees.root(63);
    wait_until("the last but one is unpinned", || {
        !pins(&kubo).contains(&last)
    });
    let pinned = pins(&kubo);
    assert!(pinned.contains(&newest), "{log}");
    // Those of before are promised for an hour, and others are not ours.
    assert!(
        pinned.contains(&before) && pinned.contains(foreign.trim()),
        "{}",
        publish.log()
    );
    // What is left here is whole.
    let cache = format!("--cache={}", trees.cache().display());
    drop(publish.stop());
    let (ok, said, err) = interplanar(&["fsck", &cache]);
    assert!(ok, "{said}{err}");
    assert!(refs(&kubo, &newest).len() > 63 * 3);
}

#[test]
fn a_kubo_that_lost_everything_gets_everything_anew() {
    let kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    let publish = trees.publish(0..5, &[]);
    let before = trees.root(5);
    drop(publish.stop());
    for pin in pins(&kubo) {
        output(kubo.ipfs().args(["pin", "rm", &pin]));
    }
    output(kubo.ipfs().args(["repo", "gc", "-q"]));
    let (there, ..) = attempt(kubo.ipfs().args(["block", "stat", &before]));
    assert!(!there, "Kubo has forgotten it");
    // All but the sixth count as published there.
    let publish = trees.publish(0..6, &[]);
    let after = trees.root(6);
    assert!(pins(&kubo).contains(&after));
    assert!(refs(&kubo, &after).len() > 6 * 3, "{}", publish.log());
}

#[test]
fn without_kubo_the_cache_folder_keeps_it_and_serves_it() {
    let kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    let cache = format!("--cache={}", trees.cache().display());
    let tree = trees.tree(1);
    let publish = Program::outside(&[
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--compression=zstd:3",
        "--compression=gzip:1",
        "--snapshot",
        &cache,
        &tree,
    ]);
    let item = publish.item();
    let mut root = String::new();
    wait_until("a snapshot with the item", || {
        let (ok, said, _) = interplanar(&["snapshot", "show", "--json", &cache]);
        let shown: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        root = shown["root"].as_str().unwrap_or_default().to_owned();
        ok && shown["items"] == 1
    });
    wait_until("the CID in the log", || publish.log().contains(&root));
    let base = format!("{}/ipfs/{root}", publish.url);
    let text = get(&format!("{base}/{}.narinfo", hash_part(&item))).1;
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    assert_eq!(
        (info.store_path().as_str(), info.entries().len()),
        (item.as_str(), 2)
    );
    let bytes = |url: String| {
        let answer = reqwest::blocking::get(&url).expect("an answer");
        assert_eq!(answer.status(), 200, "{url}");
        answer.bytes().expect("a body")
    };
    for entry in info.entries() {
        let there = bytes(format!("{base}/{}", entry.url));
        assert!(there == bytes(format!("{}/{}", publish.url, entry.url)));
        assert_eq!(entry.file_size, Some(there.len() as u64));
    }
    drop(publish.stop());
    let (ok, said, err) = interplanar(&["du", "--json", &cache]);
    assert!(ok, "{err}");
    let usage: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(
        usage["snapshots"].as_u64() > Some(500) && usage["other"] == 0,
        "{usage}"
    );
    // What goes from the cache goes from the snapshot.
    let (ok, said, err) = interplanar(&["gc", &cache, "--max-size=0", "--keep-for=0s"]);
    assert!(ok && said.contains(&item), "{said}{err}");
    let (ok, said, _) = interplanar(&["snapshot", "show", "--json", &cache]);
    assert!(ok && said.contains("\"items\":0"), "{said}");
}

#[test]
fn killed_in_the_middle_it_goes_on_with_a_whole_snapshot() {
    let kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    for round in 1..8_u32 {
        let publish = trees.publish(0..round * 4, &[]);
        // At another moment of the work in each round.
        let sign = [
            "listening",
            "baked",
            "published in Kubo",
            "snapshot",
            "published the snapshot",
        ];
        let sign = sign[round as usize % sign.len()];
        wait_until(sign, || publish.log().contains(sign));
        publish.kill();
        let cache = format!("--cache={}", trees.cache().display());
        // What is said to be there is whole, here and in Kubo.
        let (ok, said, err) = interplanar(&["snapshot", "show", "--json", &cache]);
        if ok {
            let shown: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            let root = shown["root"].as_str().expect("a root").to_owned();
            let car = trees.dir.path().join("killed.car");
            let (ok, said, err) =
                interplanar(&["snapshot", "export", &cache, car.to_str().expect("UTF-8")]);
            assert!(ok, "{said}{err}");
            if shown["name"].is_string() {
                assert!(pins(&kubo).contains(&root));
                refs(&kubo, &root);
            }
        } else {
            assert!(
                err.contains("has no snapshot") || err.contains("not a cache folder"),
                "{err}"
            );
        }
    }
    let publish = trees.publish(0..32, &[]);
    let root = trees.root(32);
    refs(&kubo, &root);
    let log = publish.stop();
    // Every item is in it, each once.
    let listed = output(kubo.ipfs().args(["ls", "--size=false", &root]));
    assert_eq!(listed.matches(".narinfo").count(), 32, "{listed}\n{log}");
}

#[test]
fn while_kubo_is_down_the_snapshot_waits_and_it_is_published_when_it_is_back() {
    let mut kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    let publish = trees.publish(0..2, &[]);
    let before = trees.root(2);
    drop(publish.stop());
    kubo.stop();
    let publish = trees.publish(0..4, &[]);
    wait_until("that Kubo is away is said", || {
        publish.log().contains("Kubo is unreachable")
    });
    let kubo = kubo.restart();
    let after = trees.root(4);
    assert_ne!(before, after);
    let name = name(&publish.log()).expect("a name");
    let resolved = get(&format!(
        "{}/ipns/{name}/nix-cache-info",
        kubo.gateway_url()
    ));
    assert_eq!(resolved.0, 200);
    let metrics = get(&format!("{}/metrics", publish.url)).1;
    assert!(
        metrics.contains("interplanar_snapshots_published_total 1"),
        "{metrics}"
    );
}
