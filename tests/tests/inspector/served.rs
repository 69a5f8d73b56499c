//! The other programs that serve the inspector, besides `publish`.

use super::setup::{Cache, KEY, assert_asked_only, says};
use interplanar_core::signature::nix;
use interplanar_tests::inspector::run;
use interplanar_tests::node::{Node, workers};
use interplanar_tests::program::{Program, get};
use serde_json::json;

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
        // The rest of the server works as before.
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
