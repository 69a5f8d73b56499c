//! A cache without a server: what `publish --snapshot` leaves on IPFS is a substitute server, whoever runs or doesn't.

use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::ipns::{Name, Record};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::cache::{GuixCache, NIX_KEY, NixCache};
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, binary, get};
use interplanar_tests::root::wait_until;
use interplanar_tests::{attempt, output};
use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

const SNAPSHOT: [&str; 2] = ["--snapshot", "--snapshot-interval=1s"];

/// The name that a log says.
fn name(log: &str) -> Option<String> {
    let start = log.rfind("k51")?;
    let name = log[start..].chars().take_while(char::is_ascii_alphanumeric);
    Some(name.collect())
}

/// Waits until all of `items` are under the name, and gives it.
fn published(publish: &Program, kubo: &Kubo, items: &[&str]) -> String {
    let mut found = String::new();
    wait_until("the snapshot", || {
        let Some(name) = name(&publish.log()) else {
            return false;
        };
        let base = format!("{}/ipns/{name}", kubo.gateway_url());
        found = name;
        items.iter().all(|item| has(&base, item))
    });
    found
}

fn hash_part(item: &str) -> &str {
    &item.rsplit('/').next().expect("a base name")[..32]
}

fn has(base: &str, item: &str) -> bool {
    get(&format!("{base}/{}.narinfo", hash_part(item))).0 == 200
}

fn interplanar(arguments: &[&str]) -> (bool, String, String) {
    attempt(Command::new(binary()).args(arguments))
}

#[test]
fn guix_installs_from_the_name_while_publish_is_stopped() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &SNAPSHOT);
    let client = cache.client(&[]);
    let name = published(&cache.publish, &kubo, &cache.all());
    let url = format!("{}/ipns/{name}", kubo.gateway_url());
    // Nothing that a stock client doesn't understand.
    let text = get(&format!("{url}/{}.narinfo", hash_part(&cache.items.tree))).1;
    assert!(
        !text.contains("ipfs:") && text.contains("\nURL: nar/zstd/"),
        "{text}"
    );
    assert_eq!(get(&format!("{url}/signing-key.pub")).1, cache.key);
    output(Command::new("kill").arg(cache.publish.id().to_string()));
    wait_until("nobody listens", || {
        TcpStream::connect(cache.publish.url.trim_start_matches("http://")).is_err()
    });

    let (ok, said) = client.install(&cache.all(), &url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
}

#[test]
fn nix_installs_from_the_name_and_the_proxy_reads_it_too_while_publish_is_stopped() {
    let kubo = Kubo::start();
    // What the first snapshot hasn't is not published before the end.
    let cache = NixCache::with(&kubo, &["--snapshot", "--snapshot-interval=3600s"]);
    let all = cache.all().map(str::to_owned);
    let NixCache {
        machine,
        items,
        key,
        publish,
    } = cache;
    let log = publish.stop();
    let name = name(&log).expect("a name");
    let base = format!("{}/ipns/{name}", kubo.gateway_url());
    assert!(all.iter().all(|item| has(&base, item)), "{log}");

    let client = Nix::new();
    let url = format!("{}/ipns/{name}", kubo.gateway_url());
    for item in [&items.user, &items.big] {
        let (ok, said) = client.install(item, &url, &key);
        assert!(ok, "{said}");
        assert_eq!(client.hash(item), machine.hash(item));
    }
    // And verified, block by block, by a proxy that knows nothing but the name.
    let client = Nix::new();
    let trusted = format!("--trusted-key={key}");
    let upstream = format!("ipns://{name}");
    let proxy = Program::proxy(
        &client.root,
        "proxy",
        &upstream,
        &[&kubo.gateway_url()],
        &[&trusted],
    );
    assert_eq!(
        get(&format!("{}/nix-cache-info", proxy.url))
            .1
            .lines()
            .next(),
        Some("StoreDir: /nix/store")
    );
    for item in [&items.user, &items.big] {
        let (ok, said) = client.install(item, &proxy.url, &key);
        assert!(ok, "{said}\n{}", proxy.log());
        assert_eq!(client.hash(item), machine.hash(item));
    }
    let absent = format!("{}/{}.narinfo", proxy.url, "0".repeat(32));
    assert_eq!(get(&absent).0, 404);
}

/// A cache folder on the host that publishes trees.
struct Trees {
    dir: tempfile::TempDir,
    api: String,
}

impl Trees {
    fn new(kubo: &Kubo) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            api: format!("--ipfs-api={}", kubo.api_url()),
        }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// A small tree, and its path.
    fn tree(&self, number: u32) -> String {
        let tree = self.dir.path().join(format!("tree-{number}"));
        std::fs::create_dir_all(&tree).expect("a folder");
        std::fs::write(tree.join("file"), format!("{number}\n").repeat(1000)).expect("a file");
        tree.to_str().expect("UTF-8").to_owned()
    }

    /// Publishes the trees of these numbers, with more options.
    fn publish(&self, numbers: std::ops::Range<u32>, options: &[&str]) -> Program {
        let cache = format!("--cache={}", self.cache().display());
        let trees: Vec<String> = numbers.map(|number| self.tree(number)).collect();
        let mut arguments = vec![
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--compression=zstd:3",
            "--store-dir=/nix/store",
            &cache,
            &self.api,
        ];
        arguments.extend(SNAPSHOT);
        arguments.extend(options);
        arguments.extend(trees.iter().map(String::as_str));
        Program::outside(&arguments)
    }

    /// Waits until the snapshot that is published has so many items, and gives its root.
    fn root(&self, items: usize) -> String {
        let mut root = String::new();
        wait_until("the snapshot", || {
            let cache = format!("--cache={}", self.cache().display());
            let (ok, said, _) = interplanar(&["snapshot", "show", "--json", &cache]);
            let shown: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            root = shown["root"].as_str().unwrap_or_default().to_owned();
            ok && shown["items"] == items && shown["name"].is_string()
        });
        root
    }
}

fn refs(kubo: &Kubo, root: &str) -> HashSet<String> {
    let said = output(kubo.ipfs().args(["refs", "-r", "-u", root]));
    let all = said.lines().map(str::to_owned);
    all.chain([root.to_owned()]).collect()
}

fn pins(kubo: &Kubo) -> HashSet<String> {
    let said = output(kubo.ipfs().args(["pin", "ls", "--type=recursive", "-q"]));
    said.lines().map(str::to_owned).collect()
}

#[test]
fn one_more_item_shares_all_but_a_few_blocks_and_old_snapshots_are_unpinned_and_nothing_else() {
    let kubo = Kubo::start();
    let foreign = kubo.repo().file("foreign", b"of somebody else");
    let foreign = output(
        kubo.ipfs()
            .args(["add", "-Q", "--cid-version=1"])
            .arg(foreign),
    );
    let trees = Trees::new(&kubo);
    let publish = trees.publish(0..60, &["--ttl=3600s"]);
    let before = trees.root(60);
    drop(publish.stop());
    let publish = trees.publish(0..61, &["--ttl=3600s"]);
    let after = trees.root(61);
    let (old, new) = (refs(&kubo, &before), refs(&kubo, &after));
    let added = new.difference(&old).count();
    // Root, folder of NARs, that of the method, a narinfo, and the root and a piece or two of the NAR.
    assert!((4..=10).contains(&added), "{added} of {}", new.len());
    let pinned = pins(&kubo);
    assert!(pinned.contains(&before) && pinned.contains(&after));
    let log = publish.stop();

    // Once their time is over they are unpinned.
    let publish = trees.publish(0..62, &["--ttl=1s"]);
    let last = trees.root(62);
    let state = trees.cache().join("snapshot.json");
    let state = std::fs::read_to_string(state).expect("the state");
    assert!(state.contains(&last), "{state}");
    drop(publish.stop());
    let publish = trees.publish(0..63, &["--ttl=1s"]);
    let newest = trees.root(63);
    wait_until("the last but one is unpinned", || {
        !pins(&kubo).contains(&last)
    });
    let pinned = pins(&kubo);
    assert!(pinned.contains(&newest), "{log}");
    // Those of before are promised for an hour, and others are not ours.
    assert!(
        pinned.contains(&before) && pinned.contains(foreign.trim()),
        "{}",
        publish.log()
    );
    // What is left here is whole.
    let cache = format!("--cache={}", trees.cache().display());
    drop(publish.stop());
    let (ok, said, err) = interplanar(&["fsck", &cache]);
    assert!(ok, "{said}{err}");
    assert!(refs(&kubo, &newest).len() > 63 * 3);
}

#[test]
fn a_kubo_that_lost_everything_gets_everything_anew() {
    let kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    let publish = trees.publish(0..5, &[]);
    let before = trees.root(5);
    drop(publish.stop());
    for pin in pins(&kubo) {
        output(kubo.ipfs().args(["pin", "rm", &pin]));
    }
    output(kubo.ipfs().args(["repo", "gc", "-q"]));
    let (there, ..) = attempt(kubo.ipfs().args(["block", "stat", &before]));
    assert!(!there, "Kubo has forgotten it");
    // All but the sixth count as published there.
    let publish = trees.publish(0..6, &[]);
    let after = trees.root(6);
    assert!(pins(&kubo).contains(&after));
    assert!(refs(&kubo, &after).len() > 6 * 3, "{}", publish.log());
}

#[test]
fn without_kubo_the_cache_folder_keeps_it_and_serves_it() {
    let kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    let cache = format!("--cache={}", trees.cache().display());
    let tree = trees.tree(1);
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
    // What goes from the cache goes from the snapshot.
    let (ok, said, err) = interplanar(&["gc", &cache, "--max-size=0", "--keep-for=0s"]);
    assert!(ok && said.contains(&item), "{said}{err}");
    let (ok, said, _) = interplanar(&["snapshot", "show", "--json", &cache]);
    assert!(ok && said.contains("\"items\":0"), "{said}");
}

#[test]
fn killed_in_the_middle_it_goes_on_with_a_whole_snapshot() {
    let kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    for round in 1..8_u32 {
        let publish = trees.publish(0..round * 4, &[]);
        // At another moment of the work in each round.
        let sign = [
            "listening",
            "baked",
            "published in Kubo",
            "snapshot",
            "snapshot published",
        ];
        let sign = sign[round as usize % sign.len()];
        wait_until(sign, || publish.log().contains(sign));
        publish.kill();
        let cache = format!("--cache={}", trees.cache().display());
        // What is said to be there is whole, here and in Kubo.
        let (ok, said, err) = interplanar(&["snapshot", "show", "--json", &cache]);
        if ok {
            let shown: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            let root = shown["root"].as_str().expect("a root").to_owned();
            let car = trees.dir.path().join("killed.car");
            let (ok, said, err) =
                interplanar(&["snapshot", "export", &cache, car.to_str().expect("UTF-8")]);
            assert!(ok, "{said}{err}");
            if shown["name"].is_string() {
                assert!(pins(&kubo).contains(&root));
                refs(&kubo, &root);
            }
        } else {
            assert!(
                err.contains("has no snapshot") || err.contains("no cache folder"),
                "{err}"
            );
        }
    }
    let publish = trees.publish(0..32, &[]);
    let root = trees.root(32);
    refs(&kubo, &root);
    let log = publish.stop();
    // Every item is in it, each once.
    let listed = output(kubo.ipfs().args(["ls", "--size=false", &root]));
    assert_eq!(listed.matches(".narinfo").count(), 32, "{listed}\n{log}");
}

#[test]
fn while_kubo_is_down_the_snapshot_waits_and_it_is_published_when_it_is_back() {
    let mut kubo = Kubo::start();
    let trees = Trees::new(&kubo);
    let publish = trees.publish(0..2, &[]);
    let before = trees.root(2);
    drop(publish.stop());
    kubo.stop();
    let publish = trees.publish(0..4, &[]);
    wait_until("that Kubo is away is said", || {
        publish.log().contains("Kubo is away")
    });
    let kubo = kubo.restart();
    let after = trees.root(4);
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

#[test]
fn an_exported_snapshot_installs_from_another_kubo_and_from_the_embedded_store() {
    let kubo = Kubo::start();
    let cache = NixCache::with(&kubo, &SNAPSHOT);
    published(&cache.publish, &kubo, &cache.all());
    // While publish runs, and twice the same.
    let export = |file: &str| {
        let mut export = cache.machine.root.command("interplanar");
        export.args(["snapshot", "export", "--cache=/var/cache/publish", "--json"]);
        let said = output(export.arg(file));
        serde_json::from_str::<serde_json::Value>(&said).expect("JSON")
    };
    let root = export("/root/cache.car")["root"].clone();
    let root = root.as_str().expect("a root").to_owned();
    export("/root");
    let inside = |name: &str| {
        let path = cache.machine.root.path(&format!("/root/{name}.car"));
        std::fs::read(path).expect("an exported file")
    };
    assert!(inside(&root) == inside("cache"));
    let dir = tempfile::tempdir().expect("a folder");
    let car = dir.path().join("cache.car");
    std::fs::write(&car, inside("cache")).expect("a copy");
    let car = car.to_str().expect("UTF-8");
    let NixCache {
        machine,
        items,
        key,
        publish,
    } = cache;
    drop(publish.stop());

    let (elsewhere, own) = (Kubo::start(), dir.path().join("own"));
    let own = format!("--cache={}", own.display());
    let api = format!("--ipfs-api={}", elsewhere.api_url());
    let (ok, said, err) = interplanar(&["snapshot", "import", car, &own, &api]);
    assert!(ok, "{said}{err}");
    assert!(pins(&elsewhere).contains(&root));
    let embedded = Program::outside(&[
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        &own,
        &format!("--store-root={}", dir.path().display()),
    ]);
    for server in [elsewhere.gateway_url(), embedded.url.clone()] {
        let client = Nix::new();
        let (ok, said) = client.install(&items.user, &format!("{server}/ipfs/{root}"), &key);
        assert!(ok, "{said}");
        assert_eq!(client.hash(&items.user), machine.hash(&items.user));
    }
    // And through a proxy that knows the root.
    let client = Nix::new();
    let trusted = format!("--trusted-key={key}");
    let upstream = format!("ipfs://{root}");
    let proxy = Program::proxy(
        &client.root,
        "proxy",
        &upstream,
        &[&embedded.url],
        &[&trusted],
    );
    let (ok, said) = client.install(&items.user, &proxy.url, &key);
    assert!(ok, "{said}\n{}", proxy.log());
    assert!(key.starts_with(NIX_KEY));
}

#[test]
fn a_car_that_is_no_whole_snapshot_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let repo = Repo::new();
    let folder = repo.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    for name in ["nix-cache-info", "a", "b"] {
        std::fs::write(folder.join(name), name).expect("a file");
    }
    let root = output(
        repo.ipfs()
            .args(["add", "-rQ", "--cid-version=1"])
            .arg(&folder),
    );
    let root = interplanar_core::cid::parse(root.trim()).expect("a CID");
    let mut blocks: Vec<Block> = repo
        .blocks(&root)
        .into_iter()
        .map(|(cid, data)| Block::verify(cid, data).expect("its hash"))
        .collect();
    blocks.sort_by_key(|block| *block.cid() != root);
    let write = |blocks: &[Block], flip: bool| {
        let mut bytes = car::header(&[root]);
        for block in blocks {
            bytes.extend(car::block_prefix(block.cid(), block.data().len()));
            bytes.extend_from_slice(block.data());
        }
        if flip {
            *bytes.last_mut().expect("bytes") ^= 1;
        }
        let path = dir.path().join("some.car");
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let stray = [blocks.as_slice(), &[Block::raw("stray".into())]].concat();
    let cases = [
        (write(&blocks[..blocks.len() - 1], false), "missing"),
        (write(&stray, false), "no part of the snapshot"),
        (write(&blocks, true), "hash"),
        (write(&blocks[1..], false), "missing"),
    ];
    // Each is written over the one before: check them in turn.
    let contents = [
        (blocks[..blocks.len() - 1].to_vec(), false),
        (stray, false),
        (blocks.clone(), true),
        (blocks[1..].to_vec(), false),
    ];
    let own = dir.path().join("own");
    let cache = format!("--cache={}", own.display());
    for ((path, reason), (blocks, flip)) in cases.iter().zip(&contents) {
        write(blocks, *flip);
        let done = Command::new(binary())
            .args(["snapshot", "import", path, &cache])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(3), "{reason}: {said}");
        assert!(said.contains(reason), "{reason}: {said}");
        assert!(!own.exists(), "{reason}");
    }
    let path = write(&blocks, false);
    let (ok, said, err) = interplanar(&["snapshot", "import", &path, &cache]);
    assert!(ok, "{said}{err}");
    let none = dir.path().join("none");
    for (arguments, code) in [
        (vec!["snapshot", "import", "/nonexistent.car", &cache], 4),
        (vec!["snapshot", "import", &path], 2),
        (
            vec!["snapshot", "show", "--cache", none.to_str().expect("UTF-8")],
            4,
        ),
    ] {
        let done = Command::new(binary())
            .args(&arguments)
            .output()
            .expect("it runs");
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
    }
}

/// In front of a gateway: answers for records with what it was told to, and passes the rest on.
struct Records {
    url: String,
    record: Arc<Mutex<Vec<u8>>>,
}

impl Records {
    fn new(gateway: &str, record: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let record = Arc::new(Mutex::new(record));
        let (gateway, told) = (gateway.to_owned(), Arc::clone(&record));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (gateway, told) = (gateway.clone(), Arc::clone(&told));
                std::thread::spawn(move || answer(stream, &gateway, &told));
            }
        });
        Self { url, record }
    }

    fn tell(&self, record: Vec<u8>) {
        *self.record.lock().expect("not poisoned") = record;
    }
}

fn answer(mut stream: TcpStream, gateway: &str, record: &Mutex<Vec<u8>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = if path.starts_with("/ipns/") {
        let record = record.lock().expect("not poisoned").clone();
        (200, "application/vnd.ipfs.ipns-record".to_owned(), record)
    } else {
        let mut request = reqwest::blocking::Client::new().get(format!("{gateway}{path}"));
        for line in head
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("accept:"))
        {
            request = request.header("accept", line[7..].trim());
        }
        let Ok(response) = request.send() else { return };
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("application/octet-stream").to_owned();
        let status = response.status().as_u16();
        (
            status,
            kind,
            response
                .bytes()
                .map(|bytes| bytes.to_vec())
                .unwrap_or_default(),
        )
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    drop(
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&body)),
    );
}

fn record(kubo: &Kubo, name: &str) -> Vec<u8> {
    let url = format!("{}/ipns/{name}?format=ipns-record", kubo.gateway_url());
    let answer = reqwest::blocking::get(url).expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.bytes().expect("a body").to_vec()
}

#[test]
fn a_forged_record_is_refused_and_so_is_an_old_one() {
    let kubo = Kubo::start();
    let cache = NixCache::with(&kubo, &SNAPSHOT);
    let name = published(&cache.publish, &kubo, &cache.all());
    let key = Name::parse(&name).expect("a name");
    let old = record(&kubo, &name);
    // One more item makes a newer record.
    let tree = cache
        .machine
        .root
        .sh("mkdir -p /root/more && echo more > /root/more/file && nix-store --add /root/more");
    let more = tree.trim();
    interplanar_tests::program::narinfo(&cache.publish.url, more, |_| true);
    published(&cache.publish, &kubo, &[more]);
    let new = record(&kubo, &name);
    let sequence = |bytes: &[u8]| Record::verify(&key, bytes).expect("Kubo's").sequence();
    assert!(sequence(&new) > sequence(&old));

    let gateway = Records::new(&kubo.gateway_url(), new.clone());
    let client = Nix::new();
    let proxy = || {
        Program::inside(
            &client.root,
            &[
                "proxy",
                "--port=0",
                "--cache=/var/cache/proxy",
                &format!("--upstream=ipns://{}", key.peer_id()),
                &format!("--gateway={}", gateway.url),
                &format!("--trusted-key={}", cache.key),
            ],
        )
    };
    let mut forged = new.clone();
    let at = forged.len() - 200;
    forged[at] ^= 1;
    gateway.tell(forged.clone());
    let refused = proxy();
    assert_eq!(
        get(&format!("{}/{}.narinfo", refused.url, hash_part(more))).0,
        502
    );
    wait_until("the refusal in the log", || {
        refused.log().contains("record refused")
    });
    refused.kill();

    gateway.tell(new);
    let first = proxy();
    assert!(has(&first.url, more), "{}", first.log());
    first.kill();
    // Neither an old record nor a forged one takes back what was seen, a restart between or not.
    for record in [old, forged] {
        gateway.tell(record);
        let again = proxy();
        assert!(has(&again.url, more), "{}", again.log());
        wait_until("the refusal in the log", || {
            again.log().contains("record refused")
        });
        let metrics = get(&format!("{}/metrics", again.url)).1;
        assert!(
            metrics.contains("interplanar_proxy_records_refused_total 1"),
            "{metrics}"
        );
        let (ok, said) = client.install(more, &again.url, &cache.key);
        assert!(ok, "{said}\n{}", again.log());
        client.delete(&[more]);
    }
    assert!(Path::new(more).starts_with("/nix/store"));
}
