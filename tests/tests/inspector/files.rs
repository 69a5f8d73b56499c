//! The files of an item.

use super::setup::{Cache, KEY, NOBODY, SCRIPT, assert_asked_only, says};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_core::signature::nix;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::noise;
use interplanar_tests::relay::{Fault, Relay};
use serde_json::json;

#[test]
fn the_files_of_an_item_are_shown_and_verified_past_hostile_sources() {
    let kubo = Kubo::start();
    let cache = Cache::new(&["tools-1.1"], &[&format!("--ipfs-api={}", kubo.api_url())]);
    let text = cache.narinfo("tools-1.1");
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let entry = |ipfs: bool| {
        info.entries()
            .iter()
            .find(|entry| entry.is_ipfs() == ipfs)
            .expect("an entry")
    };
    let nar = format!("{}/{}", cache.publish.url, entry(false).url);
    // An unsigned narinfo with another NarHash and only one entry, by HTTP.
    let other = |url: &str| {
        format!(
            "StorePath: {}\nURL: {url}\nCompression: zstd\nNarHash: sha256:{}\nNarSize: {}\nReferences: \n",
            info.store_path().as_str(),
            Sha256::of(b"other").to_nix32(),
            info.nar_size()
        )
    };
    let liar = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let hanging = Relay::new(&kubo.gateway_url(), Fault::Hang);
    let key = nix::SecretKey::from_seed(KEY, &[7; 32]).expect("a key");
    let saw = cache.run(
        "files",
        json!({
            "key": key.public_key().to_string(),
            "gateways": [liar.url, hanging.url],
            "hash": info.store_path().hash_part(),
            "cid": entry(true).url.trim_start_matches("ipfs://"),
            "nar": nar,
            "car": format!("{}/ipfs/{}?format=car", cache.publish.url, entry(true).url.trim_start_matches("ipfs://")),
            "wrong": other(&nar),
            "nowhere": other(&format!("{NOBODY}/nar/x")),
            "narinfo": text,
            "pid": cache.publish.id(),
        }),
    );
    assert!(
        says(&saw["state"], "Verified: this is the NAR that was signed"),
        "{saw}"
    );
    assert!(
        says(&saw["state"], "Every block was checked against its CID"),
        "{saw}"
    );
    assert!(
        says(&saw["state"], &format!("{}: ", liar.url)),
        "the error names the gateway: {}",
        saw["state"]
    );
    assert!(
        saw["first"]
            .as_str()
            .is_some_and(|row| row.starts_with('▾')),
        "{saw}"
    );
    // The root, share, and the link in it.
    assert_eq!(saw["filtered"], 3);
    for part in ["), not the whole NAR.", "Not verified yet"] {
        assert!(says(&saw["piece"], part), "{}", saw["piece"]);
    }
    assert_eq!(saw["picture"], json!([1, "image/png"]));
    for part in ["64 bits", "ld-linux", "libc.so.6"] {
        assert!(says(&saw["program"], part), "{part}: {}", saw["program"]);
    }
    let noise = noise(0, 3_000_000);
    let line: Vec<String> = noise[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(
        says(&saw["hex"], &format!("00000000  {}", line.join(" "))),
        "{}",
        saw["hex"]
    );
    assert_eq!(saw["download"], "noise.bin");
    assert_eq!(
        saw["downloaded"],
        json!({ "bytes": noise.len(), "sha256": Sha256::of(&noise).to_hex() })
    );
    assert!(
        says(&saw["hostile"]["file"], SCRIPT.trim_end()),
        "{}",
        saw["hostile"]
    );
    for shown in ["file", "tree"] {
        assert!(
            says(
                &saw["hostile"][shown],
                "<img src=x onerror=alert(1)>\\u{202e}gnp.\\u{7}txt"
            ),
            "{}",
            saw["hostile"]
        );
    }
    assert_eq!(saw["hostile"]["images"], 0);
    let views = &saw["views"];
    for (view, expected) in [
        (
            "wrong-hash",
            "Wrong: this is not the NAR that the narinfo names",
        ),
        ("no-source", "No source has this NAR"),
        ("cid", "No narinfo: nobody has signed which NAR this is."),
        ("dropped", "Read from your file."),
        ("car", "Every block was checked against its CID"),
        ("spoilt", "A block of this CAR is wrong"),
    ] {
        assert!(says(&views[view], expected), "{view}: {}", views[view]);
    }
    assert!(says(&saw["offline"], "tools-1.1"));
    assert_asked_only(&saw, &[&cache.publish.url, &liar.url, &hanging.url, NOBODY]);
}
