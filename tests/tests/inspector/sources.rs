//! Checks of gateways from a browser.

use super::setup::{Cache, NOBODY, says};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::relay::{Fault, Relay};
use serde_json::json;

#[test]
fn gateways_are_checked_and_wrong_data_is_reported() {
    let kubo = Kubo::start();
    // The narinfo names a gateway too, for stock clients.
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
    // Raw block, CAR, range, correct data.
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
    assert!(says(&cell("liar", 3), "no, "), "{}", saw["rows"]);
    // The browser doesn't even let the inspector read this answer.
    assert!(
        !says(&cell("hotel", 0), " ms") && !says(&cell("hotel", 3), "yes"),
        "{}",
        saw["rows"]
    );
    assert!(
        says(&cell("hanging", 0), "no answer within 8 s"),
        "{}",
        saw["rows"]
    );
    assert!(says(&cell("hanging", 3), "unknown: "), "{}", saw["rows"]);
    assert!(
        says(&cell("nobody", 0), "can’t be reached"),
        "{}",
        saw["rows"]
    );
    assert!(says(&saw["http"][1], "available, "), "{}", saw["http"]);
    assert!(says(&saw["race"], " sent "), "{saw}");
    assert!(says(&saw["main"], "every block verified"), "{saw}");
}
