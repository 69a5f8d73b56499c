//! From the first page to a narinfo and its verdict.

use super::setup::{Cache, NOBODY, assert_asked_only, says};
use interplanar_tests::kubo::Kubo;
use serde_json::json;

#[test]
fn a_cache_is_opened_searched_and_its_narinfos_are_judged_by_the_users_keys() {
    let kubo = Kubo::start();
    let cache = Cache::new(
        &["tools-1.0", "tools-1.1"],
        &[&format!("--ipfs-api={}", kubo.api_url())],
    );
    let text = cache.narinfo("tools-1.1");
    let size = text
        .lines()
        .find(|line| line.starts_with("NarSize"))
        .expect("a size");
    let unsigned: String = text
        .lines()
        .filter(|line| !line.starts_with("Sig:"))
        .map(|line| format!("{line}\n"))
        .collect();
    // The kernel accepts connections, but nobody reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let hanging = format!("http://{}", silent.local_addr().expect("its address"));
    let saw = cache.run(
        "look",
        json!({
            "items": ["tools-1.0", "tools-1.1"],
            "pasted": {
                "tampered": text.replace(size, "NarSize: 4711"),
                "unsigned": unsigned,
                "other key": text.replace("Sig: cache.test-1:", "Sig: evil\u{202e}.test-1:"),
                "nonsense": "Not a narinfo",
            },
            "addresses": {
                "absent": format!("#/item/{}?cache={}/", "0".repeat(32), cache.publish.url),
                "hangs": format!("#/cache?cache={hanging}/"),
                "nobody": format!("#/cache?cache={NOBODY}/"),
            },
        }),
    );
    assert_eq!(saw["title"], "Cache inspector");
    // A header row, and a row for each item.
    assert_eq!((&saw["listed"], &saw["found"]), (&json!(3), &json!(2)));
    assert!(says(&saw["noKey"], "This isn’t a key"), "{saw}");
    assert!(says(&saw["offered"], "cache.test-1:"), "{saw}");
    for field in [
        "StorePath",
        "NarHash",
        "NarSize",
        "References",
        "Sig",
        "URL",
        "Compression",
        "FileSize",
    ] {
        assert!(says(&saw["narinfo"], field), "{field}");
    }
    assert!(says(&saw["copied"], "interplanar get /nix/store/"), "{saw}");
    let views = &saw["views"];
    for (view, expected) in [
        ("tampered", "Bad signature in the name of cache.test-1"),
        ("unsigned", "Not signed"),
        ("other key", "a key that you don’t trust"),
        ("nonsense", "This isn’t a narinfo"),
        ("absent", "The cache does not have this item"),
        ("hangs", "doesn’t answer"),
        ("nobody", "Can’t reach "),
    ] {
        assert!(says(&views[view], expected), "{view}: {}", views[view]);
    }
    assert!(says(&views["other key"], "evil\\u{202e}.test-1"), "{views}");
    for view in ["open", "item"] {
        let shifted = saw["shifted"][view].as_f64();
        assert!(
            shifted.is_some_and(|moved| moved < 0.02),
            "{}",
            saw["shifted"]
        );
    }
    assert_eq!(saw["overflow"], 0, "nothing is wider than a phone");
    assert_asked_only(&saw, &[&cache.publish.url, &hanging, NOBODY]);
    drop(cache.folder);
}
