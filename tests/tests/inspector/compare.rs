//! Comparing two items, from one cache and from two; and the health of a cache.

use super::setup::{Cache, says};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::get;
use serde_json::json;

#[test]
fn two_versions_are_compared_by_files_and_blocks_and_across_two_caches() {
    let kubo = Kubo::start();
    let cache = Cache::new(
        &["tools-1.0", "tools-1.1"],
        &[&format!("--ipfs-api={}", kubo.api_url())],
    );
    let narinfos = [cache.narinfo("tools-1.0"), cache.narinfo("tools-1.1")];
    let old = NarInfo::parse(narinfos[0].as_bytes()).expect("a narinfo");
    // Another cache with its own copy of the newer item.
    let other = Cache::new(&["tools-1.1"], &[&format!("--ipfs-api={}", kubo.api_url())]);
    let same = NarInfo::parse(narinfos[1].as_bytes()).expect("a narinfo");
    let saw = cache.run(
        "compare",
        json!({
            "old": old.store_path().hash_part(),
            "new": same.store_path().hash_part(),
            "other": other.publish.url,
        }),
    );
    // The lists contain only sizes: readme.txt has another line of the same length.
    assert!(
        says(&saw["listed"], "1 added, 1 removed, 0 changed"),
        "{}",
        saw["listed"]
    );
    assert!(
        says(&saw["compared"], "1 added, 1 removed, 1 changed"),
        "{}",
        saw["compared"]
    );
    assert!(
        says(&saw["compared"], "share/readme.txt"),
        "{}",
        saw["compared"]
    );
    // All small files are in the same block, one of many.
    let text = saw["compared"].as_str().expect("text");
    let sentence = text
        .split_once(" blocks are shared.")
        .expect("a sentence")
        .0;
    let mut words = sentence.rsplit(' ');
    let (all, shared) = (words.next(), words.nth(1));
    let number = |word: Option<&str>| {
        word.and_then(|word| word.parse::<u32>().ok())
            .expect("a number")
    };
    assert_eq!(number(shared) + 1, number(all), "{text}");
    let across = &saw["across"];
    for part in [
        "1 added, 1 removed, 0 changed",
        " blocks are shared.",
        "The item in the other cache: Signed by cache.test-1, a key that you don’t trust",
        &other.publish.url,
    ] {
        assert!(says(&across["text"], part), "{part}: {across}");
    }
    // The address alone opens the same view.
    assert_eq!(across["text"], across["reloaded"]);
    assert!(
        says(
            &across["same"],
            "Both caches have the same NAR for this store path."
        ),
        "{across}"
    );
    assert!(
        says(&across["none"], "The cache does not have this item"),
        "{across}"
    );
    drop(other);
}

#[test]
fn the_health_view_shows_the_metrics_and_what_sharing_saves() {
    let kubo = Kubo::start();
    let cache = Cache::new(
        &["tools-1.0", "tools-1.1"],
        &[&format!("--ipfs-api={}", kubo.api_url())],
    );
    let files: u64 = ["tools-1.0", "tools-1.1"]
        .map(|name| {
            let text = cache.narinfo(name);
            let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
            info.entries()[0].file_size.expect("a size")
        })
        .iter()
        .sum();
    let saw = cache.run("health", json!({}));
    let (text, tiles) = (&saw["text"], &saw["tiles"]);
    for part in ["No bake failed.", "Kubo answers; 2 published, 0 waiting."] {
        assert!(says(text, part), "{part}: {text}");
    }
    assert!(says(&tiles["Items"], "2\n"), "{tiles}");
    assert!(says(&tiles["Baked"], "2\n"), "{tiles}");
    // The two items share nearly all of their blocks.
    let metrics = get(&format!("{}/metrics", cache.publish.url)).1;
    let number = |name: &str| {
        let prefix = format!("interplanar_{name} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&*prefix));
        line.and_then(|value| value.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{name}: {metrics}"))
    };
    assert_eq!(number("offered_bytes"), files);
    let saved = 100 * (files - number("disk_bytes")) / files;
    assert!((45..55).contains(&saved), "{saved} %");
    assert!(
        says(&tiles["Saved by sharing"], " % of the bytes offered"),
        "{tiles}"
    );
    // The plot and its table show the requests of the scenario.
    let plots = &saw["plots"];
    for (plot, part) in [
        ("Requests a second", "missed "),
        ("Bytes", "on disk "),
        ("Bakes", "running 0"),
        ("Kubo", "published 2"),
    ] {
        assert!(says(&plots[plot], " over "), "{plot}: {plots}");
        assert!(says(&plots[plot], part), "{plot}: {plots}");
    }
    assert!(saw["rows"].as_u64().is_some_and(|rows| rows >= 3), "{saw}");
    let missed = saw["missed"].as_array().expect("numbers");
    assert!(missed.iter().any(|one| one != "0"), "{missed:?}");
    assert_eq!(
        saw["lines"], saw["paused"],
        "the plot changed although it was paused"
    );
    assert!(says(&saw["gone"], "Can’t reach "), "{saw}");
}
