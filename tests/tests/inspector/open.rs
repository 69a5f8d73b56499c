//! Files that the user drops by mouse, and a cache that sends another item than the requested one.

use super::setup::{Cache, KEY, says};
use interplanar_core::narinfo::NarInfo;
use interplanar_core::signature::nix;
use interplanar_tests::kubo::Kubo;
use serde_json::json;

#[test]
fn files_are_dropped_by_mouse_and_another_items_narinfo_is_refused() {
    let kubo = Kubo::start();
    let cache = Cache::new(
        &["tools-1.0", "tools-1.1"],
        &[&format!("--ipfs-api={}", kubo.api_url())],
    );
    let text = cache.narinfo("tools-1.1");
    let other = NarInfo::parse(cache.narinfo("tools-1.0").as_bytes()).expect("a narinfo");
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let entry = |ipfs: bool| {
        let mut entries = info.entries().iter();
        let found = entries.find(|entry| entry.is_ipfs() == ipfs);
        found.expect("an entry").url.clone()
    };
    let cid = entry(true);
    let cid = cid.trim_start_matches("ipfs://");
    let files = tempfile::tempdir().expect("a folder");
    let fetch = |path: &str| {
        let url = format!("{}/{path}", cache.publish.url);
        let answer = reqwest::blocking::get(url).expect("an answer");
        answer.bytes().expect("a body")
    };
    let keep = |name: &str, bytes: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.display().to_string()
    };
    let nar = fetch(&entry(false));
    let key = nix::SecretKey::from_seed(KEY, &[7; 32]).expect("a key");
    let saw = cache.run(
        "drop",
        json!({
            "key": key.public_key().to_string(),
            "files": {
                "narinfo": keep("item.narinfo", text.as_bytes()),
                "compressed": keep("item.nar.zst", &nar),
                "plain": keep("item.nar", &zstd::decode_all(&*nar).expect("zstd")),
                "car": keep("item.car", &fetch(&format!("ipfs/{cid}?format=car"))),
                "nonsense": keep("nonsense.txt", b"neither"),
            },
            "asked": other.store_path().hash_part(),
            "given": text,
        }),
    );
    let views = &saw["views"];
    for (view, expected) in [
        ("narinfo", "Signed by cache.test-1, which you trust"),
        ("compressed", "Read from your file."),
        ("plain", "Read from your file."),
        ("car", "Every block was checked against its CID"),
        ("nonsense", "This isn’t a NAR"),
        ("other item", "The cache sent another item"),
        ("other item", "Don’t trust this answer."),
    ] {
        assert!(says(&views[view], expected), "{view}: {}", views[view]);
    }
    for view in ["compressed", "plain", "car"] {
        assert!(says(&views[view], "6 files, "), "{view}: {}", views[view]);
    }
    // The inspector doesn't accept the wrong narinfo although its signature is valid.
    assert!(!says(&views["other item"], "which you trust"), "{views}");
    assert_eq!(
        saw["stayed"], true,
        "the browser left the page for the file"
    );
}
