//! The keys that a user trusts, with a real Guix cache.

use super::setup::says;
use interplanar_tests::cache::GuixCache;
use interplanar_tests::inspector::run;
use interplanar_tests::kubo::Kubo;
use serde_json::json;

#[test]
fn guixs_own_keys_and_lists_of_keys_decide_what_is_valid() {
    let kubo = Kubo::start();
    let guix = GuixCache::new(&kubo, &[]);
    // The ACL of this machine, as the user would paste it.
    guix.machine.authorize(&guix.key);
    let acl = guix.machine.root.read("/etc/guix/acl");
    let hash = guix.items.tree.rsplit('/').next().expect("a name")[..32].to_owned();
    let saw = run(
        &guix.publish.url,
        "keys",
        json!({ "hash": hash, "key": guix.key, "acl": acl }),
    );
    let views = &saw["views"];
    assert!(
        says(&views["stranger"], "a key that you don’t trust"),
        "{views}"
    );
    // The page only offers the key; the user decides whether to trust it.
    assert_eq!(
        saw["offered"].as_str().map(str::trim),
        Some(guix.key.trim())
    );
    assert!(
        says(
            &saw["warned"],
            "compare the key with a copy from another source"
        ),
        "{saw}"
    );
    assert!(
        says(&views["only offered"], "a key that you don’t trust"),
        "{views}"
    );
    for view in ["key", "acl"] {
        assert!(
            says(&views[view], "Signed by the Guix key "),
            "{view}: {views}"
        );
        assert!(says(&views[view], ", which you trust"), "{view}: {views}");
        assert!(
            says(&views[view], "guix build /gnu/store/"),
            "{view}: {views}"
        );
    }
    assert!(
        says(&views["removed"], "a key that you don’t trust"),
        "{views}"
    );
    assert!(
        says(
            &views["tampered"],
            "Bad signature in the name of the Guix key "
        ),
        "{views}"
    );
    assert!(says(&saw["kept"], "Guix key "), "{saw}");
    assert!(says(&saw["keptAcl"], "Guix ACL with "), "{saw}");
    assert!(says(&saw["broken"], "This isn’t a key"), "{saw}");
}
