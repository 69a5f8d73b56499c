//! The service worker in a real Chromium: it fetches for pages from Kubo's gateway and from a
//! cache.

use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::cache::NixCache;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::node::workers;
use interplanar_tests::program::{get, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::web::run_script;
use interplanar_tests::{noise, output};
use serde_json::{Value, json};
use std::path::Path;

/// Bytes of the large file.
const LARGE: usize = 20_000_000;
/// The URL of a gateway where no server listens.
const ABSENT: &str = "http://127.0.0.1:9";

/// Adds a file or a folder to Kubo, and returns its CID.
fn add(kubo: &Kubo, path: &Path, options: &[&str]) -> String {
    let mut add = kubo.ipfs();
    add.args(["add", "-Qr", "--cid-version=1"])
        .args(options)
        .arg(path);
    output(&mut add).trim().to_owned()
}

/// Returns the SHA-256 of bytes in base 16.
fn hex(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_hex()
}

/// Runs a scenario in Chromium, and returns what the pages got.
fn run(mut job: Value) -> Value {
    job["workers"] = json!(workers());
    run_script("service.mjs", &job)
}

/// Returns the status and the SHA-256 of a response.
fn status_and_hash(saw: &Value, name: &str) -> (u64, String) {
    let answer = &saw[name];
    let status = answer["status"]
        .as_u64()
        .unwrap_or_else(|| panic!("{name}: {answer}"));
    (
        status,
        answer["sha256"].as_str().unwrap_or_default().to_owned(),
    )
}

/// Returns the links of a page.
fn links(saw: &Value, name: &str) -> Vec<String> {
    let links = saw[name]["links"]
        .as_array()
        .unwrap_or_else(|| panic!("{name}: {}", saw[name]));
    links
        .iter()
        .map(|link| link.as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn pages_get_verified_files_ranges_and_directories_also_offline() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let large = noise(0, LARGE);
    std::fs::write(at("large.bin"), &large).expect("a file");
    std::fs::write(at("small.txt"), "a small text\n").expect("a file");
    std::fs::create_dir_all(at("site/sub")).expect("folders");
    std::fs::write(at("site/sub/ü <1>.txt"), "odd name\n").expect("a file");
    std::fs::write(
        at("site/page.html"),
        "<!DOCTYPE html><title>A page</title><script>document.title = 'ran'</script>",
    )
    .expect("a file");
    std::fs::create_dir(at("many")).expect("a folder");
    for index in 0..400 {
        std::fs::write(
            at("many").join(format!("file {index}")),
            format!("{index}\n"),
        )
        .expect("a file");
    }
    let kubo = Kubo::start();
    let small = add(&kubo, &at("small.txt"), &[]);
    let big = add(&kubo, &at("large.bin"), &["--chunker=size-1048576"]);
    let site = add(&kubo, &at("site"), &[]);
    output(
        kubo.ipfs()
            .args(["config", "Import.UnixFSHAMTDirectorySizeThreshold", "1B"]),
    );
    let many = add(&kubo, &at("many"), &[]);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);

    let ask =
        |path: String, headers: Value| json!({ "path": path, "headers": headers, "method": "GET" });
    let saw = run(json!({
        "settings": { "GATEWAYS": gateway.url, "LOCAL_GATEWAY": "none" },
        "ask": {
            "small": ask(format!("/ipfs/{small}"), json!({})),
            "not modified": ask(format!("/ipfs/{small}"), json!({ "If-None-Match": format!("\"{small}\"") })),
            "head": { "path": format!("/ipfs/{big}"), "headers": {}, "method": "HEAD" },
            "range": ask(format!("/ipfs/{big}?filename=large.bin"), json!({ "Range": "bytes=10000000-10000999" })),
            "large": ask(format!("/ipfs/{big}"), json!({})),
            "raw": ask(format!("/ipfs/{small}"), json!({ "Accept": "application/vnd.ipld.raw" })),
            "in shards": ask(format!("/ipfs/{many}/file 77"), json!({})),
            "nowhere": ask(format!("/ipfs/{site}/nothing"), json!({})),
        },
        "open": {
            "directory": format!("/ipfs/{site}/"),
            "without slash": format!("/ipfs/{site}/sub"),
            "shards": format!("/ipfs/{many}/"),
            "page": format!("/ipfs/{site}/page.html"),
            "link": format!("/ipfs/?uri=web%2Bipfs%3A%2F%2F{site}%2Fpage.html"),
        },
        "twoTabs": [format!("/ipfs/{big}"), format!("/ipfs/{small}")],
        "badSettings": { "GATEWAYS": "nonsense" },
        "offline": {
            "settings": { "GATEWAYS": ABSENT },
            "ask": { "offline small": format!("/ipfs/{small}"), "offline large": format!("/ipfs/{big}") },
            "open": { "offline directory": format!("/ipfs/{site}/") },
        },
        "update": format!("/ipfs/{small}"),
        "kill": true,
    }));

    assert_eq!(
        status_and_hash(&saw, "small"),
        (200, hex(b"a small text\n")),
        "{saw}"
    );
    assert_eq!(
        saw["small"]["headers"]["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(saw["small"]["headers"]["etag"], format!("\"{small}\""));
    assert_eq!(status_and_hash(&saw, "not modified").0, 304);
    assert_eq!(
        (
            status_and_hash(&saw, "head").0,
            &saw["head"]["headers"]["content-length"]
        ),
        (200, &json!(LARGE.to_string()))
    );
    assert_eq!(
        status_and_hash(&saw, "range"),
        (206, hex(&large[10_000_000..10_001_000]))
    );
    let range = format!("bytes 10000000-10000999/{LARGE}");
    assert_eq!(saw["range"]["headers"]["content-range"], range);
    assert_eq!(status_and_hash(&saw, "large"), (200, hex(&large)));
    assert_eq!(status_and_hash(&saw, "raw"), (200, hex(b"a small text\n")));
    assert_eq!(
        saw["raw"]["headers"]["content-type"],
        "application/vnd.ipld.raw"
    );
    assert_eq!(status_and_hash(&saw, "in shards"), (200, hex(b"77\n")));
    assert_eq!(status_and_hash(&saw, "nowhere").0, 404);

    let directory = links(&saw, "directory");
    assert!(
        directory.contains(&"./page.html".to_owned()) && directory.contains(&"./sub".to_owned()),
        "{directory:?}"
    );
    assert_eq!(saw["directory"]["fromWorker"], true);
    assert_eq!(saw["without slash"]["url"], format!("/ipfs/{site}/sub/"));
    assert!(
        saw["without slash"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("ü <1>.txt")),
        "{saw}"
    );
    let shards = links(&saw, "shards")
        .iter()
        .filter(|link| link.starts_with("./file"))
        .count();
    assert_eq!(shards, 400);
    // A page from IPFS runs its script, but in an origin of its own: it can't read this origin's
    // storage.
    assert_eq!(
        (&saw["page"]["title"], &saw["page"]["storage"]),
        (&json!("ran"), &json!("SecurityError"))
    );
    assert_eq!(
        (&saw["link"]["title"], &saw["link"]["url"]),
        (&json!("ran"), &json!(format!("/ipfs/{site}/page.html")))
    );

    assert_eq!(status_and_hash(&saw, "firstTab"), (200, hex(&large)));
    assert_eq!(
        status_and_hash(&saw, "secondTab"),
        (200, hex(b"a small text\n"))
    );
    assert_eq!(saw["secondSettings"]["GATEWAYS"], gateway.url);
    assert!(
        saw["badSettings"]
            .as_str()
            .is_some_and(|error| error.contains("GATEWAYS")),
        "{saw}"
    );

    assert_eq!(
        status_and_hash(&saw, "offline small"),
        (200, hex(b"a small text\n"))
    );
    assert_eq!(status_and_hash(&saw, "offline large"), (200, hex(&large)));
    assert!(links(&saw, "offline directory").contains(&"./page.html".to_owned()));

    assert_eq!(saw["beforeUpdate"], saw["version"]);
    assert_eq!(saw["afterUpdate"]["build"], "next-build");
    assert_eq!(
        status_and_hash(&saw, "afterUpdateAsked"),
        (200, hex(b"a small text\n"))
    );
    assert_eq!(saw["programs"], json!(["?next-build"]));
    assert_eq!(
        saw["afterKill"],
        json!({ "registrations": 0, "caches": [] })
    );
    assert_eq!(status_and_hash(&saw, "networkAfterKill").0, 404);
}

#[test]
fn a_range_takes_little_more_than_its_own_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.bin");
    let large = noise(0, LARGE);
    std::fs::write(&path, &large).expect("a file");
    let kubo = Kubo::start();
    let big = add(&kubo, &path, &["--chunker=size-262144"]);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let saw = run(json!({
        "settings": { "GATEWAYS": gateway.url, "LOCAL_GATEWAY": "none" },
        "ask": { "range": { "path": format!("/ipfs/{big}?filename=large.bin"), "headers": { "Range": "bytes=15000000-15000099" }, "method": "GET" } },
    }));
    assert_eq!(
        status_and_hash(&saw, "range"),
        (206, hex(&large[15_000_000..15_000_100]))
    );
    assert!(gateway.bytes() < 2_000_000, "{:?}", gateway.seen());
}

#[test]
fn a_corrupt_block_gives_an_error_page_or_comes_from_the_next_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let content = noise(0, 3_000_000);
    std::fs::write(&path, &content).expect("a file");
    let kubo = Kubo::start();
    let cid = add(&kubo, &path, &[]);
    let corrupt = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let honest = Relay::new(&kubo.gateway_url(), Fault::None);
    let saw = run(json!({
        "settings": { "GATEWAYS": corrupt.url, "LOCAL_GATEWAY": "none" },
        "open": { "page": format!("/ipfs/{cid}") },
        "ask": { "program": { "path": format!("/ipfs/{cid}"), "headers": {}, "method": "GET" } },
    }));
    assert_eq!(saw["page"]["status"], 502, "{saw}");
    assert_eq!(saw["page"]["title"], "No gateway has it");
    assert!(
        saw["page"]["text"]
            .as_str()
            .is_some_and(|text| text.contains(&cid)),
        "{saw}"
    );
    assert_eq!(status_and_hash(&saw, "program").0, 502);
    let both = format!("{} {}", corrupt.url, honest.url);
    let saw = run(json!({
        "settings": { "GATEWAYS": both, "LOCAL_GATEWAY": "none" },
        "ask": { "repaired": { "path": format!("/ipfs/{cid}"), "headers": {}, "method": "GET" } },
    }));
    assert_eq!(status_and_hash(&saw, "repaired"), (200, hex(&content)));
}

#[test]
fn a_gateway_on_this_machine_is_preferred_if_it_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "found\n").expect("a file");
    let kubo = Kubo::start();
    let cid = add(&kubo, &path, &[]);
    let local = Relay::new(&kubo.gateway_url(), Fault::None);
    let other = Relay::new(&kubo.gateway_url(), Fault::None);
    for (local_gateway, asked) in [(local.url.as_str(), &local), (ABSENT, &other)] {
        let saw = run(json!({
            "settings": { "GATEWAYS": other.url, "LOCAL_GATEWAY": local_gateway },
            "ask": { "file": { "path": format!("/ipfs/{cid}"), "headers": {}, "method": "GET" } },
        }));
        assert_eq!(status_and_hash(&saw, "file"), (200, hex(b"found\n")));
        assert!(asked.count(&cid) > 0, "{:?}", asked.seen());
    }
    assert_eq!(
        local.count("/ipfs/bafkqaaa?format=raw"),
        1,
        "{:?}",
        local.seen()
    );
    let before = local.count(&cid);
    assert_eq!((before, other.count("bafkqaaa")), (1, 0));
}

#[test]
fn pages_get_the_verified_narinfo_nar_and_listing_of_a_store_item() {
    let kubo = Kubo::start();
    let cache = NixCache::new(&kubo);
    let NixCache {
        items,
        key,
        publish,
        ..
    } = &cache;
    let text = narinfo(&publish.url, &items.tree, |text| text.contains("ipfs://"));
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let hash_part = info.store_path().hash_part().to_owned();
    let front = Relay::new(&publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let nar = format!("/nar/{hash_part}-{}.nar", info.nar_hash().to_nix32());
    let ask = |path: &str| json!({ "path": path, "headers": {}, "method": "GET" });
    let settings = json!({ "GATEWAYS": gateway.url, "LOCAL_GATEWAY": "none", "UPSTREAMS": front.url, "TRUSTED_KEYS": key });
    let saw = run(json!({
        "settings": settings,
        "ask": {
            "narinfo": ask(&format!("/{hash_part}.narinfo")),
            "tree": ask(&format!("/{hash_part}.ls")),
            "nar": ask(&nar),
            "info": ask("/nix-cache-info"),
        },
        "offline": {
            "settings": { "GATEWAYS": ABSENT },
            "ask": { "offline nar": nar, "offline tree": format!("/{hash_part}.ls") },
            "open": {},
        },
    }));
    let rewritten = saw["narinfo"]["text"].as_str().expect("a narinfo");
    let rewritten = NarInfo::parse(rewritten.as_bytes()).expect("a narinfo");
    assert_eq!(format!("/{}", rewritten.entries()[0].url), nar);
    assert_eq!(
        status_and_hash(&saw, "nar"),
        (200, info.nar_hash().to_hex())
    );
    assert_eq!(
        front.count("/nar/"),
        0,
        "the NAR comes from IPFS: {:?}",
        front.seen()
    );
    let (_, listed) = get(&format!("{}/{hash_part}.ls", publish.url));
    let tree: Value =
        serde_json::from_str(saw["tree"]["text"].as_str().expect("a listing")).expect("JSON");
    assert_eq!(tree, serde_json::from_str::<Value>(&listed).expect("JSON"));
    assert!(
        saw["info"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("StoreDir: /nix/store"))
    );
    assert_eq!(
        status_and_hash(&saw, "offline nar"),
        (200, info.nar_hash().to_hex())
    );
    assert_eq!(
        status_and_hash(&saw, "offline tree"),
        status_and_hash(&saw, "tree")
    );

    // With another trusted key, the item isn't found.
    let mut untrusting = settings;
    untrusting["TRUSTED_KEYS"] = json!("cache.test-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let saw = run(
        json!({ "settings": untrusting, "ask": { "narinfo": ask(&format!("/{hash_part}.narinfo")), "nar": ask(&nar) } }),
    );
    assert_eq!(
        (
            status_and_hash(&saw, "narinfo").0,
            status_and_hash(&saw, "nar").0
        ),
        (404, 404)
    );
}
