//! An item of 300 MB and 5,000 files.

use super::setup::says;
use interplanar_tests::inspector::Large;

#[test]
fn an_item_of_300_mb_and_5000_files_is_scrolled_verified_and_freed() {
    let large = Large::new();
    let saw = large.run();
    assert!(
        says(&saw["counted"], "5,000 files, 286 MiB"),
        "{}",
        saw["counted"]
    );
    assert!(
        says(&saw["verified"], "The whole NAR has the NarHash"),
        "{}",
        saw["verified"]
    );
    assert!(says(&saw["last"], "file-4999"), "{}", saw["last"]);
    // Only the visible rows are elements.
    assert!(
        saw["elements"].as_u64().is_some_and(|count| count < 60),
        "{}",
        saw["elements"]
    );
    let bytes = |key: &str| saw[key].as_u64().expect("bytes");
    assert!(
        bytes("held") < 60 << 20,
        "the NAR is not in the heap: {}",
        saw["held"]
    );
    assert!(
        bytes("after") < bytes("before") + (8 << 20),
        "{} {}",
        saw["before"],
        saw["after"]
    );
    // The browser holds 300 MB of blobs while the item is open, and none afterwards.
    let blobs = |when: &str| saw["blobs"][when]["bytes"].as_u64();
    assert_eq!(blobs("before"), Some(0), "{}", saw["blobs"]);
    assert!(
        blobs("held").is_some_and(|held| held > 300_000_000),
        "{}",
        saw["blobs"]
    );
    assert_eq!(blobs("after"), Some(0), "{}", saw["blobs"]);
}
