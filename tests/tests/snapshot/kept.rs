//! Snapshots while items are added, Kubo is down or loses data, and processes are killed.

use super::common::{FolderCache, hash_part, interplanar, name, pins, refs};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, get};
use interplanar_tests::root::wait_until;
use interplanar_tests::{attempt, output};

#[test]
fn one_more_item_adds_a_few_blocks_and_only_old_snapshots_are_unpinned() {
    let kubo = Kubo::start();
    let foreign = kubo.repo().file("foreign", b"pinned by somebody else");
    let foreign = output(
        kubo.ipfs()
            .args(["add", "-Q", "--cid-version=1"])
            .arg(foreign),
    );
    let folders = FolderCache::new(&kubo);
    let publish = folders.publish(0..60, &["--ttl=3600s"]);
    let before = folders.root(60);
    drop(publish.stop());
    let publish = folders.publish(0..61, &["--ttl=3600s"]);
    let after = folders.root(61);
    let (old, new) = (refs(&kubo, &before), refs(&kubo, &after));
    let added = new.difference(&old).count();
    // The root, the folder of NARs, the folder of the method, a narinfo, and the root and few
    // pieces of the NAR.
    assert!((4..=10).contains(&added), "{added} of {}", new.len());
    let pinned = pins(&kubo);
    assert!(pinned.contains(&before) && pinned.contains(&after));
    let log = publish.stop();

    // Expired snapshots are unpinned.
    let publish = folders.publish(0..62, &["--ttl=1s"]);
    let last = folders.root(62);
    let state = folders.cache().join("snapshot.json");
    let state = std::fs::read_to_string(state).expect("the record of snapshots");
    assert!(state.contains(&last), "{state}");
    drop(publish.stop());
    let publish = folders.publish(0..63, &["--ttl=1s"]);
    let newest = folders.root(63);
    wait_until("the last snapshot but one is unpinned", || {
        !pins(&kubo).contains(&last)
    });
    let pinned = pins(&kubo);
    assert!(pinned.contains(&newest), "{log}");
    // The older snapshots stay for an hour, and `publish` never unpins other pins.
    assert!(
        pinned.contains(&before) && pinned.contains(foreign.trim()),
        "{}",
        publish.log()
    );
    // The cache folder is sound.
    let cache = format!("--cache={}", folders.cache().display());
    drop(publish.stop());
    let (ok, said, err) = interplanar(&["fsck", &cache]);
    assert!(ok, "{said}{err}");
    assert!(refs(&kubo, &newest).len() > 63 * 3);
}

#[test]
fn a_kubo_that_lost_all_blocks_gets_them_again() {
    let kubo = Kubo::start();
    let folders = FolderCache::new(&kubo);
    let publish = folders.publish(0..5, &[]);
    let before = folders.root(5);
    drop(publish.stop());
    for pin in pins(&kubo) {
        output(kubo.ipfs().args(["pin", "rm", &pin]));
    }
    output(kubo.ipfs().args(["repo", "gc", "-q"]));
    let (there, ..) = attempt(kubo.ipfs().args(["block", "stat", &before]));
    assert!(!there, "Kubo still has the snapshot");
    // Our records say that Kubo has all items but the sixth.
    let publish = folders.publish(0..6, &[]);
    let after = folders.root(6);
    assert!(pins(&kubo).contains(&after));
    assert!(refs(&kubo, &after).len() > 6 * 3, "{}", publish.log());
}

#[test]
fn without_kubo_the_cache_folder_keeps_and_serves_the_snapshot() {
    let kubo = Kubo::start();
    let folders = FolderCache::new(&kubo);
    let cache = format!("--cache={}", folders.cache().display());
    let tree = folders.folder(1);
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
    // An item that is deleted from the cache leaves the snapshot.
    let (ok, said, err) = interplanar(&["gc", &cache, "--max-size=0", "--keep-for=0s"]);
    assert!(ok && said.contains(&item), "{said}{err}");
    let (ok, said, _) = interplanar(&["snapshot", "show", "--json", &cache]);
    assert!(ok && said.contains("\"items\":0"), "{said}");
}

#[test]
fn a_killed_publish_resumes_with_a_complete_snapshot() {
    let kubo = Kubo::start();
    let folders = FolderCache::new(&kubo);
    for round in 1..8_u32 {
        let publish = folders.publish(0..round * 4, &[]);
        // Each round kills at another moment of the work.
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
        let cache = format!("--cache={}", folders.cache().display());
        // The snapshot that `show` reports is complete, in the cache folder and in Kubo.
        let (ok, said, err) = interplanar(&["snapshot", "show", "--json", &cache]);
        if ok {
            let shown: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            let root = shown["root"].as_str().expect("a root").to_owned();
            let car = folders.dir.path().join("killed.car");
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
    let publish = folders.publish(0..32, &[]);
    let root = folders.root(32);
    refs(&kubo, &root);
    let log = publish.stop();
    // The snapshot has every item once.
    let listed = output(kubo.ipfs().args(["ls", "--size=false", &root]));
    assert_eq!(listed.matches(".narinfo").count(), 32, "{listed}\n{log}");
}

#[test]
fn a_snapshot_that_was_made_while_kubo_was_down_is_published_later() {
    let mut kubo = Kubo::start();
    let folders = FolderCache::new(&kubo);
    let publish = folders.publish(0..2, &[]);
    let before = folders.root(2);
    drop(publish.stop());
    kubo.stop();
    let publish = folders.publish(0..4, &[]);
    wait_until("a log line about Kubo", || {
        publish.log().contains("Kubo is unreachable")
    });
    let kubo = kubo.restart();
    let after = folders.root(4);
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
