//! The closure of an item.

use super::setup::says;
use interplanar_tests::cache::NixCache;
use interplanar_tests::inspector::run;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::Program;
use serde_json::json;

#[test]
fn a_closure_is_drawn_summed_and_judged() {
    let kubo = Kubo::start();
    let nix = NixCache::new(&kubo);
    let hash = |item: &str| item.rsplit('/').next().expect("a name")[..32].to_owned();
    let saw = run(
        &nix.publish.url,
        "references",
        json!({ "hash": hash(&nix.items.user), "key": nix.key }),
    );
    // The item `user`, the item `tree`, and the item that built them.
    assert!(says(&saw["stranger"], "3 items, "), "{saw}");
    assert!(
        says(&saw["stranger"], "Signed by no key that you trust: 3."),
        "{saw}"
    );
    assert_eq!(
        (&saw["links"], saw["rows"].as_array().map(Vec::len)),
        (&json!(3), Some(4))
    );
    let rows = saw["rows"].to_string();
    assert_eq!(rows.matches("which you trust").count(), 3, "{rows}");
    assert!(!says(&saw["friend"], "no key that you trust: "), "{saw}");
    assert!(says(&saw["friend"], "Over IPFS: 3 of them"), "{saw}");
    assert!(
        says(&saw["friend"], " if each block is counted once."),
        "{saw}"
    );
    // A cache in a folder without one of the items.
    let folder = nix.machine.root.path("/root/lost");
    let copy = format!("nix copy --to file:///root/lost {}", nix.items.user);
    nix.machine.root.sh(&copy);
    std::fs::remove_file(folder.join(format!("{}.narinfo", hash(&nix.items.tree))))
        .expect("it was there");
    let lost = Program::inside(
        &nix.machine.root,
        &[
            "publish",
            "--source=/root/lost",
            "--port=0",
            "--listen=127.0.0.1",
            "--cache=/var/cache/lost",
        ],
    );
    let missing = run(&lost.url, "lost", json!({ "hash": hash(&nix.items.user) }));
    for part in [
        "Missing or badly signed: 1.",
        "The cache does not have this item",
    ] {
        assert!(says(&missing["main"], part), "{missing}");
    }
    assert!(
        saw["followed"]
            .as_str()
            .is_some_and(|name| !name.is_empty())
    );
}
