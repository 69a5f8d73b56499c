//! The cache inspector in a real Chromium, as `interplanar publish` serves it.

use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_core::signature::nix;
use interplanar_tests::cache::NixCache;
use interplanar_tests::inspector::{Large, run};
use interplanar_tests::kubo::Kubo;
use interplanar_tests::node::{Node, workers};
use interplanar_tests::noise;
use interplanar_tests::program::{Program, get, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use serde_json::{Value, json};
use std::path::Path;

/// A gateway that isn't there.
const NOBODY: &str = "http://127.0.0.1:9";
const KEY: &str = "cache.test-1";
/// A file name that hides and reorders, and tries to be markup.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}gnp.\u{7}txt";
/// A text that would run if it were more than text.
const SCRIPT: &str = "<script>alert('ran')</script><img src=x onerror=\"alert('ran')\">\n";

/// Trees, published with a key into a Kubo.
struct Cache {
    folder: tempfile::TempDir,
    publish: Program,
}

impl Cache {
    fn new(names: &[&str], options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        plant(folder.path());
        let key = nix::SecretKey::from_seed(KEY, &[7; 32]).expect("a key");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("key.sec"), key.expose()).expect("a file");
        let mut arguments = vec!["publish".to_owned()];
        arguments.extend(names.iter().map(|name| at(name)));
        arguments
            .extend(["--port=0", "--listen=127.0.0.1", "--compression=zstd:3"].map(String::from));
        arguments.push(format!("--nix-key={}", at("key.sec")));
        arguments.push(format!("--cache={}", at("cache")));
        arguments.extend(options.iter().map(ToString::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let publish = Program::outside(&arguments);
        Self { folder, publish }
    }

    /// The store path of an item.
    fn item(&self, name: &str) -> String {
        let (_, text) = get(&format!("{}/items.json?name=-{name}", self.publish.url));
        let page: Value = serde_json::from_str(&text).expect("JSON");
        let path = page["items"][0]["path"].as_str();
        path.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    /// The narinfo of an item, once it is on IPFS.
    fn narinfo(&self, name: &str) -> String {
        narinfo(&self.publish.url, &self.item(name), |text| {
            text.contains("ipfs://")
        })
    }

    fn run(&self, scenario: &str, job: Value) -> Value {
        run(&self.publish.url, scenario, job)
    }
}

/// A small item of files of every kind, and an older one of the same.
fn plant(folder: &Path) {
    for (name, change) in [("tools-1.0", "old"), ("tools-1.1", "new")] {
        let at = |path: &str| folder.join(name).join(path);
        std::fs::create_dir_all(at("bin")).expect("folders");
        std::fs::create_dir_all(at("share/doc")).expect("folders");
        std::fs::copy("/bin/true", at("bin/true")).expect("a program");
        std::fs::write(at("share/readme.txt"), format!("first line\n{change}\n")).expect("a file");
        std::fs::write(at("share").join(HOSTILE), SCRIPT).expect("a file");
        std::fs::write(at("share/doc/picture.png"), PNG).expect("a file");
        std::fs::write(at("share/doc/noise.bin"), noise(0, 3_000_000)).expect("a file");
        std::os::unix::fs::symlink("readme.txt", at("share/link")).expect("a link");
        std::fs::write(at("share").join(change), change).expect("a file");
    }
}

/// One red pixel.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, 0x49, 0x44, 0x41, 0x54, 8,
    0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// Whether what was seen has a text.
fn says(saw: &Value, text: &str) -> bool {
    saw.as_str().is_some_and(|saw| saw.contains(text))
}

/// No host was asked but those.
fn assert_asked_only(saw: &Value, urls: &[&str]) {
    for host in saw["hosts"].as_array().expect("hosts") {
        let host = host.as_str().expect("text");
        assert!(
            urls.iter().any(|url| url.ends_with(host)),
            "{host} was asked"
        );
    }
}

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
    // The kernel takes its connections, and nobody else.
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
    // A row of titles, and one for each item.
    assert_eq!((&saw["listed"], &saw["found"]), (&json!(3), &json!(2)));
    assert!(says(&saw["noKey"], "This is no key"), "{saw}");
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
        ("nonsense", "This is no narinfo"),
        ("absent", "The cache does not have this item"),
        ("hangs", "hangs"),
        ("nobody", "can’t be asked"),
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

#[test]
fn the_files_of_an_item_are_shown_and_verified_past_hostile_sources() {
    let kubo = Kubo::start();
    let cache = Cache::new(&["tools-1.1"], &[&format!("--ipfs-api={}", kubo.api_url())]);
    let text = cache.narinfo("tools-1.1");
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let entry = |ipfs: bool| {
        info.entries()
            .iter()
            .find(|entry| entry.is_ipfs() == ipfs)
            .expect("an entry")
    };
    let nar = format!("{}/{}", cache.publish.url, entry(false).url);
    // What no signature holds together: another hash, and only an entry of HTTP.
    let other = |url: &str| {
        format!(
            "StorePath: {}\nURL: {url}\nCompression: zstd\nNarHash: sha256:{}\nNarSize: {}\nReferences: \n",
            info.store_path().as_str(),
            Sha256::of(b"other").to_nix32(),
            info.nar_size()
        )
    };
    let liar = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let hanging = Relay::new(&kubo.gateway_url(), Fault::Hang);
    let key = nix::SecretKey::from_seed(KEY, &[7; 32]).expect("a key");
    let saw = cache.run(
        "files",
        json!({
            "key": key.public_key().to_string(),
            "gateways": [liar.url, hanging.url],
            "hash": info.store_path().hash_part(),
            "cid": entry(true).url.trim_start_matches("ipfs://"),
            "nar": nar,
            "car": format!("{}/ipfs/{}?format=car", cache.publish.url, entry(true).url.trim_start_matches("ipfs://")),
            "wrong": other(&nar),
            "nowhere": other(&format!("{NOBODY}/nar/x")),
            "narinfo": text,
            "pid": cache.publish.id(),
        }),
    );
    assert!(
        says(&saw["state"], "Verified: this is the NAR that was signed"),
        "{saw}"
    );
    assert!(
        says(&saw["state"], "Every block was checked against its CID"),
        "{saw}"
    );
    assert!(
        says(&saw["state"], &format!("{}: ", liar.url)),
        "the liar is named: {}",
        saw["state"]
    );
    assert!(
        saw["first"]
            .as_str()
            .is_some_and(|row| row.starts_with('▾')),
        "{saw}"
    );
    // The root, share, and the link in it.
    assert_eq!(saw["filtered"], 3);
    for part in [
        "were fetched for it, not the whole NAR.",
        "Not verified yet",
    ] {
        assert!(says(&saw["piece"], part), "{}", saw["piece"]);
    }
    assert_eq!(saw["picture"], json!([1, "image/png"]));
    for part in ["64 bits", "ld-linux", "libc.so.6"] {
        assert!(says(&saw["program"], part), "{part}: {}", saw["program"]);
    }
    let noise = noise(0, 3_000_000);
    let line: Vec<String> = noise[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(
        says(&saw["hex"], &format!("00000000  {}", line.join(" "))),
        "{}",
        saw["hex"]
    );
    assert_eq!(saw["download"], "noise.bin");
    assert_eq!(
        saw["downloaded"],
        json!({ "bytes": noise.len(), "sha256": Sha256::of(&noise).to_hex() })
    );
    assert!(
        says(&saw["hostile"]["file"], SCRIPT.trim_end()),
        "{}",
        saw["hostile"]
    );
    for shown in ["file", "tree"] {
        assert!(
            says(
                &saw["hostile"][shown],
                "<img src=x onerror=alert(1)>\\u{202e}gnp.\\u{7}txt"
            ),
            "{}",
            saw["hostile"]
        );
    }
    assert_eq!(saw["hostile"]["images"], 0);
    let views = &saw["views"];
    for (view, expected) in [
        (
            "wrong-hash",
            "Wrong: this is not the NAR that the narinfo names",
        ),
        ("no-source", "No source gives this NAR"),
        ("cid", "No narinfo: nobody has signed which NAR this is."),
        ("dropped", "Read from a file of yours."),
        ("car", "Every block was checked against its CID"),
        ("spoilt", "A block of this CAR is wrong"),
    ] {
        assert!(says(&views[view], expected), "{view}: {}", views[view]);
    }
    assert!(says(&saw["offline"], "tools-1.1"));
    assert_asked_only(&saw, &[&cache.publish.url, &liar.url, &hanging.url, NOBODY]);
}

#[test]
fn sources_are_asked_what_they_can_do_and_liars_are_named() {
    let kubo = Kubo::start();
    let cache = Cache::new(&["tools-1.1"], &[&format!("--ipfs-api={}", kubo.api_url())]);
    let text = cache.narinfo("tools-1.1");
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let honest = Relay::new(&kubo.gateway_url(), Fault::None);
    let liar = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let hotel = Relay::new(&kubo.gateway_url(), Fault::Html);
    let hanging = Relay::new(&kubo.gateway_url(), Fault::Hang);
    let saw = cache.run(
        "sources",
        json!({
            "gateways": { "honest": honest.url, "liar": liar.url, "hotel": hotel.url, "hanging": hanging.url, "nobody": NOBODY },
            "hash": info.store_path().hash_part(),
        }),
    );
    // Raw block, CAR, range, honest.
    let cell = |gateway: &str, question: usize| saw["rows"][gateway][question].clone();
    for gateway in ["honest", "cache"] {
        for question in 0..3 {
            assert!(
                says(&cell(gateway, question), " ms"),
                "{gateway}: {}",
                saw["rows"]
            );
        }
        assert!(
            says(&cell(gateway, 3), "yes, "),
            "{gateway}: {}",
            saw["rows"]
        );
    }
    assert!(says(&cell("liar", 3), "lied: "), "{}", saw["rows"]);
    // A page that any web page may not even read.
    assert!(
        !says(&cell("hotel", 0), " ms") && !says(&cell("hotel", 3), "yes"),
        "{}",
        saw["rows"]
    );
    assert!(
        says(&cell("hanging", 0), "hangs: no answer in 8 s"),
        "{}",
        saw["rows"]
    );
    assert!(says(&cell("hanging", 3), "not known"), "{}", saw["rows"]);
    assert!(
        says(&cell("nobody", 0), "can’t be reached"),
        "{}",
        saw["rows"]
    );
    assert!(says(&saw["http"][1], "there, "), "{}", saw["http"]);
    assert!(says(&saw["race"], "brought"), "{saw}");
    assert!(says(&saw["main"], "every block verified"), "{saw}");
}

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
    // The user, the tree, and what built them.
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
        says(&saw["friend"], "each of the blocks counted once."),
        "{saw}"
    );
    // A cache in a folder that has lost an item.
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

#[test]
fn two_versions_are_compared_by_files_and_blocks_and_the_cache_says_how_it_does() {
    let kubo = Kubo::start();
    let cache = Cache::new(
        &["tools-1.0", "tools-1.1"],
        &[&format!("--ipfs-api={}", kubo.api_url())],
    );
    let narinfos = [cache.narinfo("tools-1.0"), cache.narinfo("tools-1.1")];
    let old = NarInfo::parse(narinfos[0].as_bytes()).expect("a narinfo");
    let saw = cache.run("compare", json!({ "old": old.store_path().hash_part() }));
    // The lists say no more than sizes: readme.txt has another line of the same length.
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
    // The small files are one block of many.
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
    assert!(
        says(&saw["health"]["text"], "No bake failed."),
        "{}",
        saw["health"]
    );
    assert!(
        says(
            &saw["health"]["text"],
            "Kubo answers; 2 published, 0 waiting."
        ),
        "{}",
        saw["health"]
    );
    assert!(
        says(&saw["health"]["bakes"], "baked 2"),
        "{}",
        saw["health"]
    );
    assert!(
        says(&saw["health"]["requests"], "narinfos found"),
        "{}",
        saw["health"]
    );
}

#[test]
fn an_item_of_300_mb_and_5000_files_is_scrolled_verified_and_let_go() {
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
    // Only what is in sight is there.
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
}

#[test]
fn the_proxy_and_the_edge_worker_serve_it_too() {
    let cache = Cache::new(&["tools-1.1"], &[]);
    let key = nix::SecretKey::from_seed(KEY, &[7; 32]).expect("a key");
    let key = key.public_key().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let proxy = Program::outside(&[
        "proxy",
        "--port=0",
        &format!("--upstream={}", cache.publish.url),
        &format!("--gateway={}", cache.publish.url),
        &format!("--trusted-key={key}"),
        &format!("--cache={}", folder.path().display()),
    ]);
    let edge = workers().join("edge");
    let variables = json!({ "ALLOW_PRIVATE": "true", "UPSTREAMS": cache.publish.url, "GATEWAYS": cache.publish.url, "TRUSTED_KEYS": key });
    let edge = Node::start(
        "workerd.mjs",
        &[edge.to_str().expect("UTF-8"), &variables.to_string()],
    );
    let hash = cache.item("tools-1.1").rsplit('/').next().expect("a name")[..32].to_owned();
    for url in [proxy.url.as_str(), edge.url()] {
        let page = reqwest::blocking::get(format!("{url}/inspect/")).expect("an answer");
        let policy = page.headers()["content-security-policy"].clone();
        let policy = policy.to_str().expect("text");
        assert!(
            policy.contains("require-trusted-types-for 'script'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{policy}"
        );
        // The rest of the server is what it was.
        let (status, text) = get(&format!("{url}/nix-cache-info"));
        assert!(
            status == 200 && text.contains("StoreDir: /nix/store"),
            "{text}"
        );
        let saw = run(url, "served", json!({ "hash": hash, "key": key }));
        assert!(
            says(&saw["narinfo"], "Signed by cache.test-1, which you trust"),
            "{saw}"
        );
        assert_asked_only(&saw, &[url]);
    }
}
