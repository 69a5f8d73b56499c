//! The edge worker in Cloudflare's own runtime: stock clients install through it, from gateways good and bad.

use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, Version};
use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::narinfo::NarInfo;
use interplanar_gateway::{Answer, MemoryBlocks, answer};
use interplanar_tests::cache::{GuixCache, NixCache};
use interplanar_tests::dags::Dags;
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::nix::Nix;
use interplanar_tests::node::{Node, workers};
use interplanar_tests::output;
use interplanar_tests::program::{Program, get, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::root::wait_until;
use serde_json::json;
use std::io::Read as _;

/// What Cloudflare allows each request on its free plan.
const SUBREQUESTS: usize = 50;

/// The edge worker in miniflare. All peers of a test are on loopback, so private addresses are allowed unless a test says otherwise.
fn edge(variables: serde_json::Value) -> Node {
    edge_in("workerd.mjs", variables, &[])
}

fn edge_in(script: &str, variables: serde_json::Value, more: &[&str]) -> Node {
    let mut all = json!({ "ALLOW_PRIVATE": "true", "SUBREQUESTS": SUBREQUESTS.to_string() });
    if let (Some(all), Some(more)) = (all.as_object_mut(), variables.as_object()) {
        all.extend(more.clone());
    }
    let folder = workers().join("edge");
    let folder = folder.to_str().expect("UTF-8");
    let all = all.to_string();
    Node::start(script, &[&[folder, &all], more].concat())
}

fn urls(relays: &[&Relay]) -> String {
    let urls: Vec<&str> = relays.iter().map(|relay| relay.url.as_str()).collect();
    urls.join(" ")
}

#[test]
fn guix_installs_through_the_edge_past_gateways_that_lie_and_hang() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let target = kubo.gateway_url();
    let corrupt = Relay::new(&target, Fault::Corrupt);
    let hang = Relay::new(&target, Fault::Hang);
    let honest = Relay::new(&target, Fault::None);
    let edge = edge(json!({
        "UPSTREAMS": front.url,
        "GUIX_ACL": cache.key,
        "GATEWAYS": urls(&[&corrupt, &hang, &honest]),
    }));
    let client = cache.client(&[]);
    let (ok, said) = client.install(&cache.all(), edge.url());
    assert!(ok, "{said}\n{}", edge.log());
    cache.assert_installed(&client);
    assert_eq!(
        front.count("/nar/"),
        0,
        "the NARs came from IPFS: {:?}",
        front.seen()
    );
    assert!(corrupt.count("/ipfs/") > 0 && honest.count("/ipfs/") > 0);
    let named = |relay: &Relay| edge.log().lines().any(|line| line.contains(&relay.url));
    assert!(named(&corrupt), "{}", edge.log());
    // Few requests for each item: a CAR, not its blocks.
    let asked = [&corrupt, &hang, &honest].map(|relay| relay.count("/ipfs/"));
    assert!(asked.iter().sum::<usize>() < 4 * SUBREQUESTS, "{asked:?}");
}

#[test]
fn guix_installs_by_http_where_no_gateway_helps_and_never_what_is_wrong() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let corrupt = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let worker =
        edge(json!({ "UPSTREAMS": front.url, "GUIX_ACL": cache.key, "GATEWAYS": corrupt.url }));
    let client = cache.client(&[]);
    let (ok, said) = client.install(&[&cache.items.tree], worker.url());
    assert!(ok, "{said}\n{}", worker.log());
    assert_eq!(
        client.hash(&cache.items.tree),
        cache.machine.hash(&cache.items.tree)
    );
    assert!(front.count("/nar/") > 0, "{:?}", front.seen());

    // A cache of another store directory doesn't have the item.
    let base = cache.items.tree.rsplit('/').next().expect("a name");
    let path = format!("{}.narinfo", &base[..32]);
    for (store_dir, status) in [("/gnu/store", 200), ("/nix/store", 404)] {
        let worker = edge(json!({
            "UPSTREAMS": front.url,
            "GUIX_ACL": cache.key,
            "GATEWAYS": corrupt.url,
            "STORE_DIR": store_dir,
        }));
        assert_eq!(get(&format!("{}/{path}", worker.url())).0, status);
        let told = worker.log().contains("another store directory");
        assert_eq!(told, status == 404, "{}", worker.log());
    }

    // Now every source is wrong.
    let wrong = Relay::new(&cache.publish.url, Fault::Corrupt);
    let worker =
        edge(json!({ "UPSTREAMS": wrong.url, "GUIX_ACL": cache.key, "GATEWAYS": corrupt.url }));
    let client = cache.client(&[]);
    let (ok, said) = client.install(&[&cache.items.tree], worker.url());
    assert!(!ok, "{said}");
    assert!(!client.root.path(&cache.items.tree).exists());
    // A large one is under way before it is known to be wrong: its answer ends early.
    let text = narinfo(worker.url(), &cache.items.big, |_| true);
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let mut answer = reqwest::blocking::get(format!("{}/{}", worker.url(), info.entries()[0].url))
        .expect("an answer");
    let mut body = Vec::new();
    let whole = answer.status() == 200 && answer.read_to_end(&mut body).is_ok();
    assert!(!whole, "{} bytes of {}", body.len(), info.nar_size());
    assert!((body.len() as u64) < info.nar_size());
}

#[test]
fn nix_installs_through_the_edge_past_gateways_that_lie_and_hang() {
    let kubo = Kubo::start();
    let cache = NixCache::new(&kubo);
    let all = cache.all();
    let NixCache {
        machine,
        key,
        publish,
        ..
    } = &cache;
    let front = Relay::new(&publish.url, Fault::None);
    let target = kubo.gateway_url();
    let corrupt = Relay::new(&target, Fault::Corrupt);
    let hang = Relay::new(&target, Fault::Hang);
    let honest = Relay::new(&target, Fault::None);
    let edge = edge(json!({
        "UPSTREAMS": front.url,
        "TRUSTED_KEYS": key,
        "GATEWAYS": urls(&[&hang, &corrupt, &honest]),
    }));
    let client = Nix::new();
    for item in all {
        let (ok, said) = client.install(item, edge.url(), key);
        assert!(ok, "{said}\n{}", edge.log());
        assert_eq!(client.hash(item), machine.hash(item), "{item}");
    }
    assert_eq!(
        front.count("/nar/"),
        0,
        "the NARs came from IPFS: {:?}",
        front.seen()
    );
}

/// The NAR of an item as the edge gives it; none if it breaks off.
fn nar(edge: &Node, item: &str) -> Option<Sha256> {
    let text = narinfo(edge.url(), item, |_| true);
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let answer = reqwest::blocking::get(format!("{}/{}", edge.url(), info.entries()[0].url));
    let body = answer.expect("an answer").bytes().ok()?;
    Some(Sha256::of(&body))
}

#[test]
fn a_nar_that_passed_once_is_kept_and_hashed_again_each_time() {
    let kubo = Kubo::start();
    let cache = NixCache::new(&kubo);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let start = || {
        let variables =
            json!({ "UPSTREAMS": front.url, "TRUSTED_KEYS": cache.key, "GATEWAYS": gateway.url });
        edge_in("workerd.mjs", variables, &[path])
    };
    let asked = || gateway.count("/ipfs/") + front.count("/nar/");
    let items = [&cache.items.tree, &cache.items.big];
    let expected = items.map(|item| {
        let text = narinfo(&cache.publish.url, item, |_| true);
        Some(
            NarInfo::parse(text.as_bytes())
                .expect("a narinfo")
                .nar_hash(),
        )
    });
    let edge = start();
    for (item, expected) in items.iter().zip(expected) {
        wait_until("an answer from the cache", || {
            let before = asked();
            assert_eq!(nar(&edge, item), expected, "{}", edge.log());
            asked() == before
        });
    }
    drop(edge);

    // Somebody changes a byte in the middle of all that it keeps.
    let mut changed = 0;
    let blobs = output(std::process::Command::new("find").args([
        path,
        "-path",
        "*/blobs/*",
        "-type",
        "f",
        "-size",
        "+0",
    ]));
    for blob in blobs.lines() {
        let mut bytes = std::fs::read(blob).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(blob, bytes).expect("a blob");
        changed += 1;
    }
    // Two NARs, two narinfos.
    assert!(changed >= 4, "{changed}");
    let edge = start();
    // A small one is known to be wrong before a byte of it leaves; a large one is under way then, and breaks off.
    assert_eq!(nar(&edge, items[0]), expected[0], "{}", edge.log());
    assert_eq!(nar(&edge, items[1]), None);
    assert!(
        edge.log().contains("https://interplanar.invalid/nar/"),
        "{}",
        edge.log()
    );
    for (item, expected) in items.iter().zip(expected) {
        wait_until("an answer from the cache", || {
            let before = asked();
            assert_eq!(nar(&edge, item), expected, "{}", edge.log());
            asked() == before
        });
    }
}

#[test]
fn an_item_of_600_mb_passes_within_128_mb_and_50_subrequests() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("a folder");
    output(
        std::process::Command::new("sh")
            .args(["-c", "head -c 600000000 /dev/urandom > \"$0\""])
            .arg(tree.join("large")),
    );
    let nix = Nix::new();
    let key = nix.key("cache.test-1");
    let secret = folder.path().join("key");
    std::fs::write(&secret, nix.root.read("/root/nix.sec")).expect("a key");
    let publish = Program::outside(&[
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--compression=zstd:1",
        "--store-dir=/nix/store",
        &format!("--nix-key={}", secret.display()),
        &format!("--cache={}", folder.path().join("cache").display()),
        tree.to_str().expect("UTF-8"),
    ]);
    let item = publish.item();
    narinfo(&publish.url, &item, |text| text.contains("ipfs://"));
    let front = Relay::new(&publish.url, Fault::None);
    let gateway = Relay::new(&publish.url, Fault::None);
    let edge = edge_in(
        "plain-workerd.mjs",
        json!({ "UPSTREAMS": front.url, "TRUSTED_KEYS": key, "GATEWAYS": gateway.url }),
        &[],
    );
    let text = narinfo(edge.url(), &item, |_| true);
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let mut answer = reqwest::blocking::Client::builder()
        .timeout(None)
        .build()
        .expect("a client")
        .get(format!("{}/{}", edge.url(), info.entries()[0].url))
        .send()
        .expect("an answer");
    assert_eq!(answer.content_length(), Some(info.nar_size()));
    let (mut hasher, mut buffer) = (Sha256Hasher::new(), vec![0; 1 << 16]);
    loop {
        match answer.read(&mut buffer).expect("a whole body") {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    assert_eq!(hasher.finish(), info.nar_hash());
    assert_eq!(front.count("/nar/"), 0, "{:?}", front.seen());
    assert!(
        gateway.count("/ipfs/") < SUBREQUESTS,
        "{}",
        gateway.count("/ipfs/")
    );
    // The pages of its own program are on the disk, and shared by all that run it.
    let (whole, program) = (memory(&edge, "VmHWM"), memory(&edge, "RssFile"));
    let held = whole.saturating_sub(program);
    println!(
        "workerd held at most {held} kB beside its program's {program} for an item of {} MB",
        info.nar_size() / 1_000_000
    );
    assert!(held < 128_000, "workerd held {held} kB");
}

/// A line of what the kernel says of the runtime's process, in kB.
fn memory(edge: &Node, line: &str) -> u64 {
    let pid = edge.said["pid"].as_u64().expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let mut lines = status
        .lines()
        .filter_map(|known| known.strip_prefix(line)?.strip_prefix(':'));
    let value = lines.next().expect("the line").trim();
    value.trim_end_matches(" kB").parse().expect("kB")
}

#[test]
fn what_no_trusted_narinfo_names_is_not_served_and_private_gateways_are_refused() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    let mut add = kubo.ipfs();
    let file = kubo.repo().file("other", b"other content");
    let other = output(add.args(["add", "-Q", "--cid-version=1"]).arg(&file));
    let other = format!("/ipfs/{}", other.trim());
    let variables = json!({
        "UPSTREAMS": cache.publish.url,
        "GUIX_ACL": cache.key,
        "GATEWAYS": kubo.gateway_url(),
    });
    let closed = edge(variables.clone());
    let direct = narinfo(&cache.publish.url, &cache.items.tree, |_| true);
    let cid = direct
        .split("ipfs://")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .expect("a CID");
    let named = format!("/ipfs/{cid}");
    for path in [&other, &named] {
        assert_eq!(get(&format!("{}{path}", closed.url())).0, 403, "{path}");
    }
    narinfo(closed.url(), &cache.items.tree, |_| true);
    let answer = reqwest::blocking::get(format!("{}{named}", closed.url())).expect("an answer");
    assert_eq!(answer.status(), 200, "{}", closed.log());
    let there =
        reqwest::blocking::get(format!("{}{named}", kubo.gateway_url())).expect("an answer");
    assert_eq!(
        Sha256::of(&answer.bytes().expect("a body")),
        Sha256::of(&there.bytes().expect("a body"))
    );
    assert_eq!(get(&format!("{}{other}", closed.url())).0, 403);

    let mut open = variables.clone();
    open["OPEN"] = json!("true");
    let open = edge(open);
    assert_eq!(
        get(&format!("{}{other}", open.url())),
        (200, "other content".to_owned())
    );

    // What would take more CPU than there is, is left to the upstream.
    let mut short = variables.clone();
    short["CPU_MS"] = json!("1");
    let short = edge(short);
    let url = format!("URL: {}/nar/", cache.publish.url);
    let left = |item: &str| narinfo(short.url(), item, |_| true).contains(&url);
    assert!(left(&cache.items.big) && !left(&cache.items.user));

    let mut private = variables;
    private["ALLOW_PRIVATE"] = json!("false");
    let private = edge(private);
    assert_eq!(get(&format!("{}/version", private.url())).0, 500);
    wait_until("a word about the private address", || {
        private.log().contains("private address")
    });
}

/// Our own gateway over the same blocks, which tests/gateway.rs compares with Kubo's.
#[test]
fn the_edge_answers_for_ipfs_as_the_native_gateway_does() {
    let dags = Dags::all();
    let repo = Repo::new();
    repo.import(&repo.file("dags.car", &dags.car()));
    let kubo = Kubo::with(repo);
    let memory = MemoryBlocks::default();
    let mut cids = Vec::new();
    for (cid, data) in dags.blocks() {
        if cid.version() == Version::V0 {
            // Kubo finds a block by its hash alone, so by the other version of its CID too.
            let other = Cid::new_v1(cid.codec(), *cid.hash());
            memory.put(Block::verify(other, data.clone()).expect("its hash"));
        }
        memory.put(Block::verify(cid, data).expect("its hash"));
        cids.push(cid);
    }
    let memory = memory.share();
    let edge =
        edge(json!({ "GATEWAYS": kubo.gateway_url(), "OPEN": "true", "SUBREQUESTS": "1000" }));
    let client = reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let forms: [(&str, &str, &str); 11] = [
        ("", "", ""),
        ("/", "", ""),
        ("/nothing", "", ""),
        ("", "range", "bytes=3-9"),
        ("", "if-none-match", "*"),
        ("", "accept", "application/vnd.ipld.raw"),
        ("?format=raw", "range", "bytes=-2"),
        ("?format=car", "", ""),
        ("?format=car&dag-scope=entity&car-dups=y", "", ""),
        ("?format=car&dag-scope=block&car-order=unk", "", ""),
        ("?format=tar", "", ""),
    ];
    let mut compared = 0;
    for cid in cids.iter().step_by(4) {
        for (rest, name, value) in forms {
            for method in ["GET", "HEAD"] {
                let path = format!("/ipfs/{cid}{rest}");
                let mut request = http::Request::builder().method(method).uri(&path);
                let mut asked = client.request(
                    method.parse().expect("a method"),
                    format!("{}{path}", edge.url()),
                );
                if !name.is_empty() {
                    request = request.header(name, value);
                    asked = asked.header(name, value);
                }
                let expected =
                    answer(&memory, &request.body(()).expect("a request")).expect("an answer");
                let got = asked.send().expect("an answer");
                assert_same(
                    expected,
                    got,
                    &format!("{method} {path} {name}: {value}"),
                    method == "GET",
                );
                compared += 1;
            }
        }
    }
    println!("{} blocks, {compared} requests", cids.len());
    assert!(cids.len() >= 343 && compared > 1500, "{compared}");
}

/// Status, headers that the gateway sets, and body; one that can't be completed there isn't completed here.
fn assert_same(expected: Answer, got: reqwest::blocking::Response, asked: &str, body: bool) {
    let (parts, mut content) = expected.into_parts();
    let length = content.length();
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(piece) = content.next() {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => whole = false,
        }
    }
    if !whole && got.status() != parts.status {
        // Here it is known before the head of the answer goes out, so that it can be said.
        let status = got.status();
        assert!(
            status.is_client_error() || status.is_server_error(),
            "{asked}: {status}"
        );
        return;
    }
    assert_eq!(got.status(), parts.status, "{asked}");
    for (name, value) in &parts.headers {
        assert_eq!(got.headers().get(name), Some(value), "{asked}: {name}");
    }
    let told = got
        .headers()
        .get("content-length")
        .and_then(|told| told.to_str().ok()?.parse().ok());
    if body && whole && parts.status.is_success() {
        assert!(
            length.is_none() || told == length,
            "{asked}: {told:?} {length:?}"
        );
    }
    if body {
        // workerd ends an answer without a length in good order even if its stream breaks; so the text says it.
        let read = got.bytes().ok();
        let read = read.filter(|read| !read.ends_with(b"[this answer is incomplete]\n"));
        assert_eq!(read.is_some(), whole, "{asked}");
        if let Some(read) = read {
            assert!(
                read == bytes,
                "{asked}: {} bytes, not {}",
                read.len(),
                bytes.len()
            );
        }
    }
}
