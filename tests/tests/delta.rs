//! A client that has another version of an item fetches only the changed pieces, even if hints or
//! files are wrong.

use interplanar_core::cid;
use interplanar_core::dedup::{self, Index, IndexBody};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::nix::Nix;
use interplanar_tests::output;
use interplanar_tests::program::{Program, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::versions::{OWN_BYTES, SHARED_BYTES, add_to_guix, add_to_nix, publish};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

#[test]
fn guix_with_version_one_fetches_only_the_changes_of_version_two() {
    let kubo = Kubo::start();
    let machine = Guix::new();
    let items = add_to_guix(&machine.root, &["tool-1.0", "tool-1.1"]);
    let key = machine.key();
    let publish = publish(&machine.root, &kubo, &items, &[]);
    let front = Relay::new(&publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let client = Guix::new();
    client.authorize(&key);
    let install = |cache: &str, item: &str| {
        let proxy = Program::proxy(&client.root, cache, &front.url, &[&gateway.url], &[]);
        let before = gateway.bytes();
        let (ok, said) = client.install(&[item], &proxy.url);
        assert!(ok, "{said}\n{}", proxy.log());
        assert_eq!(client.hash(item), machine.hash(item));
        (gateway.bytes() - before, proxy.log())
    };
    let (whole, _) = install("one", &items[0]);
    assert!(whole > SHARED_BYTES as u64, "{whole}");
    let (changed, log) = install("two", &items[1]);
    assert!(
        changed > OWN_BYTES as u64 && changed < 2 * OWN_BYTES as u64,
        "{changed}\n{log}"
    );
    assert!(log.contains("fetching only the missing pieces"), "{log}");
    assert_eq!(front.count("/nar/"), 0, "{:?}", front.seen());

    // `get --explain` prints the reason.
    client.delete(&[&items[1]]);
    let before = gateway.bytes();
    let said = client
        .root
        .command("interplanar")
        .args(["get", &items[1], "--explain"])
        .args([
            format!("--upstream={}", front.url),
            format!("--gateway={}", gateway.url),
        ])
        .args(["--output", "/root/out.nar"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("fetching only the missing pieces") && said.contains("tool-1.0"),
        "{said}"
    );
    assert!(gateway.bytes() - before < 2 * OWN_BYTES as u64);
    let nar = std::fs::read(client.root.path("/root/out.nar")).expect("the NAR");
    let text = narinfo(&front.url, &items[1], |_| true);
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    assert_eq!(Sha256::of(&nar), info.nar_hash());
    // With `--no-delta` the proxy fetches the whole NAR.
    let proxy = Program::proxy(
        &client.root,
        "three",
        &front.url,
        &[&gateway.url],
        &["--no-delta"],
    );
    let before = gateway.bytes();
    let (ok, said) = client.install(&[&items[1]], &proxy.url);
    assert!(ok, "{said}");
    assert!(gateway.bytes() - before > SHARED_BYTES as u64);
}

#[test]
fn nix_with_version_one_fetches_only_the_changes_of_version_two() {
    let kubo = Kubo::start();
    let machine = Nix::new();
    let items = add_to_nix(&machine, &["tool-1.0", "tool-1.1"]);
    let key = machine.key("cache.test-1");
    let publish = publish(&machine.root, &kubo, &items, &["--nix-key=/root/nix.sec"]);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let client = Nix::new();
    let trusted = format!("--trusted-key={key}");
    let install = |cache: &str, item: &str| {
        let proxy = Program::proxy(
            &client.root,
            cache,
            &publish.url,
            &[&gateway.url],
            &[&trusted],
        );
        let before = gateway.bytes();
        let (ok, said) = client.install(item, &proxy.url, &key);
        assert!(ok, "{said}\n{}", proxy.log());
        assert_eq!(client.hash(item), machine.hash(item));
        gateway.bytes() - before
    };
    let whole = install("one", &items[0]);
    assert!(whole > SHARED_BYTES as u64, "{whole}");
    let changed = install("two", &items[1]);
    assert!(
        changed > OWN_BYTES as u64 && changed < 2 * OWN_BYTES as u64,
        "{changed}"
    );
}

/// Starts a cache that serves these narinfos by path, and returns its URL. Somebody changed their
/// hints.
fn tampered_cache(narinfos: HashMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let narinfos = Arc::new(narinfos);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let narinfos = Arc::clone(&narinfos);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
                let line = lines.next().and_then(Result::ok).unwrap_or_default();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let path = line.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match narinfos.get(path) {
                    Some(text) => ("200 OK", text.as_str()),
                    None => ("404 Not Found", ""),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                drop(stream.write_all(answer.as_bytes()));
            });
        }
    });
    url
}

/// The chunk index is that of another NAR, or none at all; blocks are lost; an installed item was
/// changed.
#[test]
fn wrong_hints_and_lost_blocks_cost_a_retry_and_never_a_wrong_byte() {
    let kubo = Kubo::start();
    let machine = Guix::new();
    let items = add_to_guix(&machine.root, &["tool-1.0", "tool-1.1", "tool-1.2"]);
    let key = machine.key();
    let publish = publish(&machine.root, &kubo, &items, &[]);
    let client = Guix::new();
    client.authorize(&key);
    let (ok, said) = client.install(&[&items[0]], &publish.url);
    assert!(ok, "{said}");

    let text = |item: &str| narinfo(&publish.url, item, |_| true);
    let index = |item: &str| {
        let text = text(item);
        let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
        cid::parse(info.extra(dedup::FIELD).expect("an index")).expect("a CID")
    };
    let (one, two, three) = (index(&items[0]), index(&items[1]), index(&items[2]));
    let not_one = kubo.repo().file("not-an-index", b"nothing of the kind");
    let mut add = kubo.ipfs();
    let add = add
        .args(["add", "-Q", "--cid-version=1", "--raw-leaves"])
        .arg(not_one);
    let nothing = output(add).trim().to_owned();
    let path = format!(
        "/{}.narinfo",
        &items[1].rsplit('/').next().expect("a name")[..32]
    );
    let mut names = ["a", "b", "c", "d", "e", "f", "g"].into_iter();
    let mut install_by = |narinfo: String, expected: &str| {
        let upstream = tampered_cache(HashMap::from([(path.clone(), narinfo)]));
        let name = names.next().expect("a name");
        let proxy = Program::proxy(&client.root, name, &upstream, &[&kubo.gateway_url()], &[]);
        let (ok, said) = client.install(&[&items[1]], &proxy.url);
        assert!(ok, "{said}\n{}", proxy.log());
        assert_eq!(client.hash(&items[1]), machine.hash(&items[1]));
        assert!(proxy.log().contains(expected), "{}", proxy.log());
        client.delete(&[&items[1]]);
    };
    // The client fetches ranges of the file of small pieces and of the .nar.zst. Here each is
    // another file.
    let truth = text(&items[1]);
    let small = NarInfo::parse(truth.as_bytes()).expect("a narinfo");
    let small = small.extra(dedup::SMALL_FIELD).expect("small pieces");
    install_by(
        truth.replace(small, &one.to_string()),
        "doesn't match the chunk index",
    );
    install_by(
        truth.replace(&nar_cid(&truth), &nar_cid(&text(&items[2]))),
        "",
    );
    let mut install = |index: &str, expected: &str| {
        install_by(truth.replace(&two.to_string(), index), expected);
    };
    // Version 1.2 has the same size, and all its pieces are right. Only the hash of the NAR shows
    // the mistake.
    assert_eq!(nar_size(&text(&items[1])), nar_size(&text(&items[2])));
    install(&three.to_string(), "the source sent wrong data");
    install(&nothing, "can't use the chunk index");
    let absent = interplanar_core::block::Block::raw("nobody has this".into());
    install(&absent.cid().to_string(), "can't use the chunk index");
    assert_ne!(one, two);

    // Half of the shared file changes but keeps its size, and its index is older. (Guix has hard
    // links to it.)
    let shared = client.root.path(&format!("{}/lib/shared", items[0]));
    let mut bytes = std::fs::read(&shared).expect("a file");
    let altered = bytes[..SHARED_BYTES / 2].iter_mut().step_by(1000);
    altered.for_each(|byte| *byte ^= 1);
    std::fs::remove_file(&shared).expect("root may");
    std::fs::write(&shared, bytes).expect("root may");
    client
        .root
        .sh("mkdir -p /var/cache/f && cp -r /var/cache/a/installed /var/cache/f/");
    install(&two.to_string(), "no longer has an indexed piece");

    // Only the publisher still has one of the pieces.
    let mut get = kubo.ipfs();
    let block = get
        .args(["block", "get", &two.to_string()])
        .output()
        .expect("it runs")
        .stdout;
    let IndexBody::Pieces(pieces) = Index::decode(&block).expect("an index").body else {
        panic!("few pieces");
    };
    let leaf = pieces
        .last()
        .and_then(|piece| piece.cids().next())
        .expect("a leaf");
    for pinned in output(kubo.ipfs().args(["pin", "ls", "--type=recursive", "-q"])).lines() {
        output(kubo.ipfs().args(["pin", "rm", pinned]));
    }
    output(kubo.ipfs().args(["block", "rm", &leaf.to_string()]));
    let proxy = Program::proxy(&client.root, "h", &publish.url, &[&kubo.gateway_url()], &[]);
    let (ok, said) = client.install(&[&items[1]], &proxy.url);
    assert!(ok, "{said}\n{}", proxy.log());
    assert_eq!(client.hash(&items[1]), machine.hash(&items[1]));
}

/// Returns the CID of the NAR that a narinfo names.
fn nar_cid(text: &str) -> String {
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let mut urls = info.entries().iter().map(|entry| entry.url.as_str());
    let cid = urls.find_map(|url| url.strip_prefix("ipfs://"));
    cid.expect("an ipfs entry").to_owned()
}

fn nar_size(text: &str) -> u64 {
    NarInfo::parse(text.as_bytes())
        .expect("a narinfo")
        .nar_size()
}
