//! The main job: a store item goes from `interplanar publish` into stock Guix and stock Nix.

use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, narinfo};
use interplanar_tests::relay::{Fault, Relay};

/// Test 1 b of the thin path: publish into a real Kubo, install by stock Guix through the proxy, and not one NAR from publish.
#[test]
fn stock_guix_installs_over_kubo_through_the_proxy() {
    let publisher = Guix::new();
    let items = publisher.items();
    let key = publisher.key();
    let kubo = Kubo::start();
    let publish = Program::inside(
        &publisher.root,
        &["publish", "--port=0", "--listen=127.0.0.1", "--cache=/var/cache/publish", "--compression=zstd:3", &format!("--ipfs-api={}", kubo.api_url())],
    );
    let all = [&items.tree, &items.user, &items.big].map(String::as_str);
    for item in all {
        narinfo(&publish.url, item, |text| text.contains("ipfs://"));
    }

    let front = Relay::new(&publish.url, Fault::None);
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let client = Guix::new();
    client.authorize(&key);
    let proxy = Program::inside(
        &client.root,
        &["proxy", "--port=0", "--cache=/var/cache/proxy", &format!("--upstream={}", front.url), &format!("--gateway={}", gateway.url)],
    );
    let (ok, said) = client.install(&all, &proxy.url);
    assert!(ok, "{said}\n{}", proxy.log());
    for item in all {
        assert_eq!(client.hash(item), publisher.hash(item), "{item}");
    }
    assert_eq!(front.count("/nar/"), 0, "the NARs came from IPFS: {:?}", front.seen());
    assert!(gateway.count("/ipfs/") >= all.len(), "{:?}", gateway.seen());
}
