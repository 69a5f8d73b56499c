//! A proxy indexes the installed items in the background. The index helps with items of any name,
//! and a wrong or damaged index costs a retry and never a wrong byte.

use interplanar_core::hash::Sha256;
use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, get};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::root::{Root, wait_until};
use interplanar_tests::versions::{OWN_BYTES, SHARED_BYTES, add_to_guix, add_to_nix, publish};
use interplanar_tests::{attempt, output};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns a metric of the proxy's index.
fn metric(proxy: &Program, name: &str) -> u64 {
    let metrics = get(&format!("{}/metrics", proxy.url)).1;
    let start = format!("interplanar_proxy_index_{name} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{name} in {metrics}"))
}

/// Waits until so many items are indexed, and none is waiting.
fn indexed(proxy: &Program, items: u64) {
    wait_until("the index", || {
        metric(proxy, "items") == items && metric(proxy, "waiting") == 0
    });
}

/// Returns the path of a proxy's index.
fn index_file(root: &Root, cache: &str) -> PathBuf {
    root.path(&format!("/var/cache/{cache}/installed/index.sqlite"))
}

/// Opens a copy of an index outside of its machine, because SQLite can't open paths below /proc.
fn open_copy(file: &Path) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("index.sqlite");
    std::fs::copy(file, &copy).expect("an index");
    let log = file.with_extension("sqlite-wal");
    if log.exists() {
        std::fs::copy(log, dir.path().join("index.sqlite-wal")).expect("its log");
    }
    let index = Connection::open(copy).expect("an index");
    (dir, index)
}

/// Returns the store paths in an index, with their encoded pieces.
fn indexed_items(root: &Root, cache: &str) -> BTreeMap<String, Vec<u8>> {
    let (_dir, index) = open_copy(&index_file(root, cache));
    let mut rows = index
        .prepare("SELECT path, pieces FROM items")
        .expect("its table");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("items")
        .map(|row| row.expect("an item"))
        .collect()
}

/// Returns the size of a NAR: the end of the last of its encoded pieces.
fn nar_size(pieces: &[u8]) -> u64 {
    let ends = pieces[HEADER..pieces.len() - 32]
        .chunks(PIECE)
        .map(|piece| {
            let offset = u64::from_le_bytes(piece[32..40].try_into().expect("8 bytes"));
            offset + u64::from(u32::from_le_bytes(piece[40..].try_into().expect("4 bytes")))
        });
    ends.max().expect("pieces")
}

/// Bytes of the header of encoded pieces, `interplanar pieces 1\n`. The SHA-256 of all before is at
/// the end.
const HEADER: usize = 21;
/// Bytes of each encoded piece: SHA-256, offset and length.
const PIECE: usize = 44;

#[test]
fn guix_fetches_only_the_difference_to_an_item_of_another_name() {
    let kubo = Kubo::start();
    let machine = Guix::new();
    let items = add_to_guix(&machine.root, &["tool-1.0", "renamed-7"]);
    let key = machine.key();
    let publish = publish(&machine.root, &kubo, &items, &[]);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let mut client = Guix::new();
    client.authorize(&key);
    let (ok, said) = client.install(&[&items[0]], &publish.url);
    assert!(ok, "{said}");
    let spent = |what: &str, fetch: &dyn Fn()| {
        let before = gateway.bytes();
        fetch();
        let spent = gateway.bytes() - before;
        assert!(
            spent > OWN_BYTES as u64 && spent < 2 * OWN_BYTES as u64,
            "{what}: {spent}"
        );
    };
    let proxy = Program::proxy(&client.root, "one", &publish.url, &[&gateway.url], &[]);
    indexed(&proxy, 1);
    spent("the proxy", &|| {
        let (ok, said) = client.install(&[&items[1]], &proxy.url);
        assert!(ok, "{said}\n{}", proxy.log());
    });
    assert_eq!(client.hash(&items[1]), machine.hash(&items[1]));
    // `get` reads the index while the proxy updates it. The deleted item soon leaves it.
    indexed(&proxy, 2);
    client.delete(&[&items[1]]);
    spent("get", &|| {
        let mut get = client.root.command("interplanar");
        get.args(["get", &items[1], "--explain", "--output=/root/out.nar"])
            .args([
                format!("--upstream={}", publish.url),
                format!("--gateway={}", gateway.url),
                "--index=/var/cache/one/installed".to_owned(),
            ]);
        let (ok, _, said) = attempt(&mut get);
        assert!(ok && said.contains("tool-1.0"), "{said}");
    });
    wait_until("the deleted item leaves the index", || {
        metric(&proxy, "items") == 1 && metric(&proxy, "gone_total") == 1
    });
    assert_eq!(
        indexed_items(&client.root, "one")
            .into_keys()
            .collect::<Vec<_>>(),
        [items[0].clone()]
    );
    // Without an index, the proxy finds no pieces.
    let none = Program::proxy(
        &client.root,
        "none",
        &publish.url,
        &[&gateway.url],
        &["--no-index"],
    );
    let before = gateway.bytes();
    let (ok, said) = client.install(&[&items[1]], &none.url);
    assert!(ok, "{said}");
    assert!(gateway.bytes() - before > SHARED_BYTES as u64);
    client.delete(&[&items[1]]);

    // The daemon's substituter reads the index too.
    client.restart(&[
        ("GUIX", "/usr/local/bin/interplanar"),
        ("INTERPLANAR_SUBSTITUTE_GATEWAY", &gateway.url),
        ("INTERPLANAR_SUBSTITUTE_INDEX", "/var/cache/one/installed"),
    ]);
    spent("substitute", &|| {
        let (ok, said) = client.install(&[&items[1]], &publish.url);
        assert!(ok, "{said}");
    });
    assert_eq!(client.hash(&items[1]), machine.hash(&items[1]));
}

#[test]
fn a_nix_store_that_appears_after_the_proxy_is_indexed_and_followed() {
    let kubo = Kubo::start();
    let machine = Nix::new();
    let items = add_to_nix(&machine, &["tool-1.0", "renamed-7"]);
    let key = machine.key("cache.test-1");
    let publish = publish(&machine.root, &kubo, &items, &["--nix-key=/root/nix.sec"]);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let client = Nix::new();
    assert!(!client.root.path("/nix/var/nix/db/db.sqlite").exists());
    let trusted = format!("--trusted-key={key}");
    let proxy = Program::proxy(
        &client.root,
        "one",
        &publish.url,
        &[&gateway.url],
        &[&trusted],
    );
    let install = |item: &str| {
        let before = gateway.bytes();
        let (ok, said) = client.install(item, &proxy.url, &key);
        assert!(ok, "{said}\n{}", proxy.log());
        assert_eq!(client.hash(item), machine.hash(item));
        gateway.bytes() - before
    };
    let whole = install(&items[0]);
    assert!(whole > SHARED_BYTES as u64, "{whole}");
    indexed(&proxy, 1);
    let changed = install(&items[1]);
    assert!(
        changed > OWN_BYTES as u64 && changed < 2 * OWN_BYTES as u64,
        "{changed}"
    );
    indexed(&proxy, 2);
    // Deleted items leave the index.
    client.delete(&[&items[0], &items[1]]);
    wait_until("both items leave the index", || {
        metric(&proxy, "items") == 0
    });
    assert_eq!(metric(&proxy, "gone_total"), 2);
    let log = proxy.stop();
    assert!(log.contains("indexed all installed items"), "{log}");
}

#[test]
fn a_wrong_or_damaged_index_costs_a_retry_and_never_a_wrong_byte() {
    let kubo = Kubo::start();
    let machine = Guix::new();
    let items = add_to_guix(&machine.root, &["tool-1.0", "renamed-7"]);
    let key = machine.key();
    let publish = publish(&machine.root, &kubo, &items, &[]);
    let client = Guix::new();
    client.authorize(&key);
    let (ok, said) = client.install(&[&items[0]], &publish.url);
    assert!(ok, "{said}");
    let gateways = [kubo.gateway_url()];
    let start = |cache: &str, options: &[&str]| {
        let gateways = gateways.each_ref().map(String::as_str);
        Program::proxy(&client.root, cache, &publish.url, &gateways, options)
    };
    let proxy = start("good", &[]);
    indexed(&proxy, 1);
    drop(proxy.stop());
    let (_, good) = indexed_items(&client.root, "good")
        .pop_first()
        .expect("an item");
    // Damages the index of a stopped proxy, and installs with it.
    let try_with = |cache: &str, damage: &dyn Fn(&Path)| {
        let copy = format!(
            "mkdir /var/cache/{cache} && cp -r /var/cache/good/installed /var/cache/{cache}/"
        );
        client.root.sh(&copy);
        damage(&index_file(&client.root, cache));
        let proxy = start(cache, &["--no-index"]);
        let (ok, said) = client.install(&[&items[1]], &proxy.url);
        assert!(ok, "{cache}: {said}\n{}", proxy.log());
        assert_eq!(client.hash(&items[1]), machine.hash(&items[1]), "{cache}");
        client.delete(&[&items[1]]);
        proxy.stop()
    };
    let log = try_with("same", &|_| ());
    assert!(log.contains("fetching only the missing pieces"), "{log}");
    // Changes the pieces, and writes the right digest behind them.
    let try_with_pieces = |cache: &str, change: &dyn Fn(&mut [u8])| {
        try_with(cache, &|file| {
            let mut pieces = good.clone();
            let end = pieces.len() - 32;
            pieces[HEADER..end].chunks_mut(PIECE).for_each(change);
            let digest = Sha256::of(&pieces[..end]);
            pieces[end..].copy_from_slice(digest.as_bytes());
            let (dir, index) = open_copy(file);
            let update = index.execute("UPDATE items SET pieces = ?1", [&pieces]);
            assert_eq!(update, Ok(1));
            index.close().expect("it is written");
            std::fs::copy(dir.path().join("index.sqlite"), file).expect("room");
        })
    };
    let log = try_with_pieces("length", &|piece| piece[40] ^= 1);
    assert!(log.contains("installed items save too little"), "{log}");
    let log = try_with_pieces("hash", &|piece| piece[0] ^= 1);
    assert!(log.contains("installed items save too little"), "{log}");
    let log = try_with_pieces("end", &|piece| piece[36] = 1);
    assert!(log.contains("installed items save too little"), "{log}");
    let log = try_with_pieces("offset", &|piece| piece[33] ^= 1);
    assert!(log.contains("no longer has an indexed piece"), "{log}");
    for (cache, keep) in [("none", 0), ("start", 100), ("half", 12_000)] {
        try_with(cache, &|file| {
            let file = std::fs::File::options()
                .write(true)
                .open(file)
                .expect("an index");
            file.set_len(keep).expect("room");
        });
    }
    try_with("text", &|file| {
        std::fs::write(file, "no index at all").expect("room")
    });

    // The item changes after it was indexed. (Guix has hard links to it.)
    let shared = client.root.path(&format!("{}/lib/shared", items[0]));
    let mut bytes = std::fs::read(&shared).expect("a file");
    bytes.iter_mut().step_by(1000).for_each(|byte| *byte ^= 1);
    std::fs::remove_file(&shared).expect("root may");
    std::fs::write(&shared, bytes).expect("root may");
    let log = try_with("altered", &|_| ());
    assert!(log.contains("no longer has an indexed piece"), "{log}");
    // The proxy has removed the item from the index.
    assert_eq!(indexed_items(&client.root, "altered").len(), 0);
}

#[test]
fn a_killed_indexer_resumes_and_stays_below_its_size_limit() {
    const ITEMS: u64 = 12;
    let machine = Guix::new();
    let names: Vec<String> = (0..ITEMS)
        .map(|number| format!("item-{number}-1.0"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let items = add_to_guix(&machine.root, &names);
    let key = machine.key();
    machine.authorize(&key);
    let upstream = Relay::new("http://127.0.0.1:9", Fault::None);
    let start =
        |options: &[&str]| Program::proxy(&machine.root, "one", &upstream.url, &[], options);
    let proxy = start(&[]);
    wait_until("the first item", || metric(&proxy, "items") > 0);
    proxy.kill();
    let before = indexed_items(&machine.root, "one");
    assert!(!before.is_empty());
    let proxy = start(&[]);
    indexed(&proxy, ITEMS);
    let all = indexed_items(&machine.root, "one");
    assert!(items.iter().all(|item| all.contains_key(item)));
    assert!(
        before
            .iter()
            .all(|(path, pieces)| all.get(path) == Some(pieces))
    );
    // The indexer has read only the missing items.
    let size =
        |items: &BTreeMap<String, Vec<u8>>| items.values().map(|one| nar_size(one)).sum::<u64>();
    assert_eq!(
        metric(&proxy, "cut_bytes_total"),
        size(&all) - size(&before)
    );
    drop(proxy.stop());

    // A smaller limit evicts some items, and none returns.
    let proxy = start(&["--index-size=36K"]);
    wait_until("some items are evicted", || {
        metric(&proxy, "waiting") == 0 && metric(&proxy, "bytes") <= 36 << 10
    });
    wait_until("a log line about the full index", || {
        proxy.log().contains("the index of installed items is full")
    });
    let left = metric(&proxy, "items");
    assert!(left > 0 && left < ITEMS, "{left}");
    drop(proxy.stop());
    let length = index_file(&machine.root, "one")
        .metadata()
        .expect("an index")
        .len();
    assert!(length <= 36 << 10, "{length}");
    let mut collect = machine.root.command("guix");
    output(collect.args(["gc", "-D"]).args(&items));
    let proxy = start(&[]);
    wait_until("the index is empty", || metric(&proxy, "items") == 0);
    assert_eq!(metric(&proxy, "gone_total"), left);
}
