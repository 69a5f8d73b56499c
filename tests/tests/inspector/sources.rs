//! Gateways, as they are seen from a browser.

use super::setup::{Cache, NOBODY, says};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::relay::{Fault, Relay};
use serde_json::json;

#[test]
fn sources_are_asked_what_they_can_do_and_liars_are_named() {
    let kubo = Kubo::start();
    // The narinfo names one too, which stock clients understand.
    let named = Relay::new(&kubo.gateway_url(), Fault::None);
    let options = [
        format!("--ipfs-api={}", kubo.api_url()),
        format!("--ipfs-gateway={}", named.url),
    ];
    let cache = Cache::new(&["tools-1.1"], &options.each_ref().map(String::as_str));
    let text = cache.narinfo("tools-1.1");
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let honest = Relay::new(&kubo.gateway_url(), Fault::None);
    let liar = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let hotel = Relay::new(&kubo.gateway_url(), Fault::Html);
    let hanging = Relay::new(&kubo.gateway_url(), Fault::Hang);
    let saw = cache.run(
        "sources",
        json!({
            "named": named.url,
            "gateways": { "honest": honest.url, "liar": liar.url, "hotel": hotel.url, "hanging": hanging.url, "nobody": NOBODY },
            "hash": info.store_path().hash_part(),
        }),
    );
    // Raw block, CAR, range, honest.
    let cell = |gateway: &str, question: usize| saw["rows"][gateway][question].clone();
    for gateway in ["honest", "cache", "named"] {
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
