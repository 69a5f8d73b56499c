//! Stock clients and ours install from an IPNS name while `publish` is stopped.

use super::common::{SNAPSHOT, has, hash_part, name, published};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::cache::{GuixCache, NixCache};
use interplanar_tests::kubo::Kubo;
use interplanar_tests::nix::Nix;
use interplanar_tests::output;
use interplanar_tests::program::{Program, get};
use interplanar_tests::root::wait_until;
use std::net::TcpStream;
use std::process::Command;

#[test]
fn guix_installs_from_the_name_while_publish_is_stopped() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &SNAPSHOT);
    let client = cache.client(&[]);
    let name = published(&cache.publish, &kubo, &cache.all());
    let url = format!("{}/ipns/{name}", kubo.gateway_url());
    // The narinfos have only entries that a stock client understands.
    let text = get(&format!("{url}/{}.narinfo", hash_part(&cache.items.tree))).1;
    assert!(
        !text.contains("ipfs:") && text.contains("\nURL: nar/zstd/"),
        "{text}"
    );
    assert_eq!(get(&format!("{url}/signing-key.pub")).1, cache.key);
    output(Command::new("kill").arg(cache.publish.id().to_string()));
    wait_until("the end of publish", || {
        TcpStream::connect(cache.publish.url.trim_start_matches("http://")).is_err()
    });

    let (ok, said) = client.install(&cache.all(), &url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
}

#[test]
fn nix_installs_from_the_name_and_the_proxy_reads_it_too_while_publish_is_stopped() {
    let kubo = Kubo::start();
    // Items that the first snapshot lacks are published when `publish` ends.
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
    // A proxy that knows only the name verifies each block.
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
    // `get` reads the name too.
    let mut get_one = client.root.command("interplanar");
    get_one.args(["get", &items.user, "--output=/root/user.nar"]);
    get_one.args([
        &trusted,
        &format!("--upstream={upstream}"),
        &format!("--gateway={}", kubo.gateway_url()),
    ]);
    output(&mut get_one);
    let nar = std::fs::read(client.root.path("/root/user.nar")).expect("a NAR");
    let text = get(&format!("{}/{}.narinfo", proxy.url, hash_part(&items.user))).1;
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    assert_eq!(Sha256::of(&nar), info.nar_hash());
    let absent = format!("{}/{}.narinfo", proxy.url, "0".repeat(32));
    assert_eq!(get(&absent).0, 404);
}
