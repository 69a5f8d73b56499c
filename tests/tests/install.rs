//! The main job: `interplanar publish` puts a store item on IPFS, and stock Guix and stock Nix
//! install it.

use interplanar_tests::cache::{GuixCache, NIX_KEY, NixCache};
use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::nix::Nix;
use interplanar_tests::output;
use interplanar_tests::program::{Program, free_port, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::root::wait_until;

#[test]
fn guix_installs_straight_from_publish_and_over_kubo_through_the_proxy() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let client = cache.client(&[]);

    let (ok, said) = client.install(&cache.all(), &front.url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
    assert_eq!(front.count("/nar/"), 4, "{:?}", front.seen());

    client.delete(&cache.all());
    let before = front.count("/nar/");
    // An index of the items that are deleted below could cost a request for a chunk index.
    let proxy = Program::proxy(
        &client.root,
        "proxy",
        &front.url,
        &[&gateway.url],
        &["--no-index"],
    );
    let (ok, said) = client.install(&cache.all(), &proxy.url);
    assert!(ok, "{said}\n{}", proxy.log());
    cache.assert_installed(&client);
    assert_eq!(
        front.count("/nar/"),
        before,
        "all NARs come from IPFS: {:?}",
        front.seen()
    );
    assert!(gateway.count("/ipfs/") >= 4, "{:?}", gateway.seen());

    // The second time, the proxy serves the NARs from the blocks that it kept.
    client.delete(&cache.all());
    let asked = gateway.count("/ipfs/");
    let (ok, said) = client.install(&cache.all(), &proxy.url);
    assert!(ok, "{said}\n{}", proxy.log());
    cache.assert_installed(&client);
    assert_eq!(gateway.count("/ipfs/"), asked, "{:?}", gateway.seen());
}

#[test]
fn guix_uses_the_gateway_entry_if_the_gateway_answers_and_works_without_it() {
    let mut kubo = Kubo::start();
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let cache = GuixCache::new(&kubo, &[&format!("--ipfs-gateway={}", gateway.url)]);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let client = cache.client(&[]);

    let (ok, said) = client.install(&cache.all(), &front.url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
    assert_eq!(front.count("/nar/"), 0, "{:?}", front.seen());
    assert!(gateway.count("/ipfs/") >= 4, "{:?}", gateway.seen());

    client.delete(&cache.all());
    drop(gateway);
    kubo.stop();
    let (ok, said) = client.install(&cache.all(), &front.url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
    assert_eq!(front.count("/nar/"), 4, "{:?}", front.seen());
}

#[test]
fn guix_daemon_installs_by_interplanar_substitute() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let client = cache.client(&[
        ("GUIX", "/usr/local/bin/interplanar"),
        ("INTERPLANAR_SUBSTITUTE_GATEWAY", &gateway.url),
    ]);
    let (ok, said) = client.install(&cache.all(), &front.url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
    assert_eq!(
        front.count("/nar/"),
        0,
        "all NARs come from IPFS: {:?}",
        front.seen()
    );
    assert!(gateway.count("/ipfs/") >= 4, "{:?}", gateway.seen());
    // All other commands go to the real guix.
    let passed_on = client.root.sh(&format!(
        "GUIX=/usr/local/bin/interplanar interplanar hash -S nar {}",
        cache.items.tree
    ));
    assert_eq!(passed_on.trim(), cache.machine.hash(&cache.items.tree));
    // The items have the store's canonical modes and times, and `guix gc --verify` finds no
    // difference.
    let verified = client.root.sh("guix gc --verify=contents 2>&1");
    assert!(!verified.contains("modified"), "{verified}");
    let modes = client.root.sh(&format!(
        "stat -c '%a %Y' {0} {0}/bin/hi {0}/share/hello",
        cache.items.tree
    ));
    assert_eq!(modes, "555 1\n555 1\n444 1\n");
}

#[test]
fn guix_installs_from_the_one_honest_gateway_of_five() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    let front = Relay::new(&cache.publish.url, Fault::None);
    let target = kubo.gateway_url();
    let corrupt = Relay::new(&target, Fault::Corrupt);
    let hang = Relay::new(&target, Fault::Hang);
    let truncate = Relay::new(&target, Fault::Truncate);
    let html = Relay::new(&target, Fault::Html);
    let honest = Relay::new(&target, Fault::None);
    let client = cache.client(&[]);
    let gateways = [&corrupt, &hang, &truncate, &html, &honest].map(|relay| relay.url.as_str());
    let proxy = Program::proxy(&client.root, "proxy", &front.url, &gateways, &[]);
    let (ok, said) = client.install(&cache.all(), &proxy.url);
    let log = proxy.log();
    assert!(ok, "{said}\n{log}");
    cache.assert_installed(&client);
    assert_eq!(
        front.count("/nar/"),
        0,
        "all NARs come from IPFS: {:?}",
        front.seen()
    );
    for (name, relay) in [
        ("corrupt", &corrupt),
        ("truncate", &truncate),
        ("html", &html),
    ] {
        assert!(
            relay.count("/ipfs/") > 0,
            "the {name} gateway was never asked"
        );
        let named = log
            .lines()
            .any(|line| line.contains("WARN") && line.contains(relay.url.as_str()));
        assert!(
            named,
            "the {name} gateway {} is not named in the log:\n{log}",
            relay.url
        );
    }
}

#[test]
fn guix_never_gets_a_nar_that_differs_from_its_narinfo() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &[]);
    // Every NAR over HTTP is corrupt, and there is no gateway.
    let front = Relay::new(&cache.publish.url, Fault::Corrupt);
    let client = cache.client(&[]);
    let proxy = Program::proxy(&client.root, "proxy", &front.url, &[], &[]);
    let (ok, said) = client.install(&[&cache.items.tree], &proxy.url);
    assert!(!ok, "{said}");
    assert!(!client.root.path(&cache.items.tree).exists());
}

#[test]
fn nix_installs_straight_from_publish_and_over_kubo_through_the_proxy() {
    let kubo = Kubo::start();
    let cache = NixCache::new(&kubo);
    let all = cache.all();
    let NixCache {
        machine,
        items,
        key,
        publish,
    } = &cache;
    let front = Relay::new(&publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);

    let direct = Nix::new();
    install(&direct, machine, &all, &front.url, key);
    assert_eq!(front.count("/nar/"), 4, "{:?}", front.seen());
    let (ok, _) = Nix::new().install(
        &items.tree,
        &front.url,
        "cache.test-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    );
    assert!(!ok, "an untrusted signature was accepted");

    let client = Nix::new();
    let before = front.count("/nar/");
    let proxy = Program::proxy(
        &client.root,
        "proxy",
        &front.url,
        &[&gateway.url],
        &[&format!("--trusted-key={key}")],
    );
    install(&client, machine, &all, &proxy.url, key);
    assert_eq!(
        front.count("/nar/"),
        before,
        "all NARs come from IPFS: {:?}",
        front.seen()
    );
    assert!(gateway.count("/ipfs/") >= 4, "{:?}", gateway.seen());
}

/// Installs items, and asserts that they have the hashes of the machine's items.
fn install(client: &Nix, machine: &Nix, items: &[&str], url: &str, key: &str) {
    for item in items {
        let (ok, said) = client.install(item, url, key);
        assert!(ok, "{said}");
        assert_eq!(client.hash(item), machine.hash(item), "{item}");
    }
}

/// `publish` serves a folder that `nix copy` wrote from its own block store and gateway, without
/// Kubo.
#[test]
fn nix_installs_a_binary_cache_folder_from_the_embedded_gateway() {
    let machine = Nix::new();
    let items = machine.items();
    let key = machine.key(NIX_KEY);
    for (compression, item) in [
        ("xz", &items.tree),
        ("zstd", &items.user),
        ("none", &items.big),
    ] {
        let options =
            format!("compression={compression}&secret-key=/root/nix.sec&write-nar-listing=true");
        machine.root.sh(&format!(
            "nix copy --to 'file:///srv/cache?{options}' {item}"
        ));
    }
    let publish = Program::inside(
        &machine.root,
        &[
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--source=/srv/cache",
            "--cache=/var/cache/publish",
        ],
    );
    let all = [&items.tree, &items.user, &items.big, &items.builder].map(String::as_str);
    for item in all {
        let text = narinfo(&publish.url, item, |text| text.contains("ipfs://"));
        assert!(text.contains(&format!("Sig: {NIX_KEY}:")), "{text}");
    }
    let front = Relay::new(&publish.url, Fault::None);
    let client = Nix::new();
    let proxy = Program::proxy(
        &client.root,
        "proxy",
        &front.url,
        &[&publish.url],
        &[&format!("--trusted-key={key}")],
    );
    install(&client, &machine, &all, &proxy.url, &key);
    assert_eq!(
        front.count("/nar/"),
        0,
        "all NARs come from the gateway: {:?}",
        front.seen()
    );
}

/// While Kubo is down, `publish` serves substitutes over HTTP only, and warns once. Later it
/// publishes them all.
#[test]
fn items_that_were_baked_while_kubo_was_down_are_published_later() {
    let port = free_port();
    let machine = Guix::new();
    let items = machine.items();
    let _key = machine.key();
    let publish = Program::inside(
        &machine.root,
        &[
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--cache=/var/cache/publish",
            "--compression=zstd:3",
            &format!("--ipfs-api=http://127.0.0.1:{port}"),
        ],
    );
    for item in [&items.tree, &items.user, &items.big] {
        for _ in 0..10 {
            let text = narinfo(&publish.url, item, |text| text.contains("FileSize: "));
            assert!(!text.contains("ipfs://"), "{text}");
        }
    }
    let lines = |level: &str| {
        publish
            .log()
            .lines()
            .filter(|line| line.contains(level) && line.contains("Kubo"))
            .count()
    };
    wait_until("a warning about Kubo", || lines("WARN") > 0);
    assert_eq!(lines("WARN"), 1, "{}", publish.log());

    let repo = Repo::new();
    output(repo.ipfs().args([
        "config",
        "Addresses.API",
        &format!("/ip4/127.0.0.1/tcp/{port}"),
    ]));
    let kubo = Kubo::with(repo);
    for item in [&items.tree, &items.user, &items.big] {
        let text = narinfo(&publish.url, item, |text| text.contains("ipfs://"));
        let cid = text
            .lines()
            .find_map(|line| line.strip_prefix("URL: ipfs://"))
            .expect("a CID");
        output(kubo.ipfs().args(["pin", "ls", "--type=recursive", cid]));
    }
    assert_eq!(lines("WARN"), 1, "{}", publish.log());
}
