//! Items with a tree on IPFS, and lists of files without the NAR.

use super::setup::{Cache, HOSTILE, says};
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::noise;
use interplanar_tests::relay::{Fault, Relay};
use serde_json::{Value, json};

fn field(narinfo: &str, name: &str) -> String {
    let line = narinfo.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} in {narinfo}"))
        .trim()
        .to_owned()
}

#[test]
fn the_tree_on_ipfs_lists_the_files_and_shows_that_a_caches_list_is_wrong() {
    let kubo = Kubo::start();
    let api = format!("--ipfs-api={}", kubo.api_url());
    let cache = Cache::new(&["tools-1.1"], &[&api, "--publish-tree"]);
    let text = cache.narinfo("tools-1.1");
    assert!(!field(&text, "Tree:").is_empty());
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let liar = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let hash = info.store_path().hash_part();
    let listing = reqwest::blocking::get(format!("{}/{hash}.ls", cache.publish.url));
    let listing = listing.and_then(reqwest::blocking::Response::text);
    let mut listing: Value = serde_json::from_str(&listing.expect("a listing")).expect("JSON");
    listing["root"]["entries"]["share"]["entries"]["readme.txt"]["size"] = json!(4711);
    let saw = cache.run(
        "trees",
        json!({
            "hash": hash,
            "gateways": [liar.url, gateway.url],
            "narinfo": text,
            "listing": listing.to_string(),
        }),
    );
    let views = &saw["views"];
    // Without a cache: the pasted narinfo, a gateway that sends wrong data, and a correct one.
    for part in [
        "This list of files comes from the item’s tree on IPFS.",
        "6 files, ",
    ] {
        assert!(says(&views["pasted"], part), "{part}: {}", views["pasted"]);
    }
    assert!(
        says(
            &views["file"],
            "the item’s tree on IPFS names the file’s CID"
        ),
        "{}",
        views["file"]
    );
    assert!(says(&views["file"], "first line"), "{}", views["file"]);
    assert!(
        says(
            &views["lie"],
            "The cache’s list of files differs from the item’s tree on IPFS."
        ),
        "{}",
        views["lie"]
    );
    assert!(!says(&views["lie"], "4.60 KiB"), "{}", views["lie"]);
    // The list and one file need little of the three megabytes.
    assert!(gateway.bytes() < 200_000, "{}", gateway.bytes());
    // A click opens the folder, a link leads back; both change the address.
    assert_eq!(saw["into"], json!(["share", "share/doc"]));
    assert!(says(&views["doc"], "noise.bin"), "{}", views["doc"]);
    assert!(says(&views["doc"], "2 files, 2.86 MiB"), "{}", views["doc"]);
    assert_eq!(saw["back"], "share");
    assert_eq!(saw["focused"], "tree");
    let hidden = HOSTILE
        .replace('\u{202e}', "\\u{202e}")
        .replace('\u{7}', "\\u{7}");
    assert!(says(&views["share"], &hidden), "{}", views["share"]);
}

#[test]
fn the_pieces_of_a_nar_list_its_files_if_there_is_no_other_list() {
    let kubo = Kubo::start();
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large-1.0");
    std::fs::create_dir(&large).expect("a folder");
    for index in 0..4 {
        let content = noise(index, 8_000_000);
        std::fs::write(large.join(format!("part-{index}")), content).expect("a file");
    }
    std::fs::write(large.join("zz.txt"), "the last\n").expect("a file");
    let api = format!("--ipfs-api={}", kubo.api_url());
    let path = large.display().to_string();
    let store = folder.path().join("cache").display().to_string();
    let publish = interplanar_tests::program::Program::outside(&[
        "publish",
        &path,
        "--port=0",
        "--listen=127.0.0.1",
        "--compression=zstd:1",
        &format!("--cache={store}"),
        &api,
    ]);
    let item = publish.item();
    let text =
        interplanar_tests::program::narinfo(&publish.url, &item, |text| text.contains("ipfs://"));
    let gateway = Relay::new(&kubo.gateway_url(), Fault::None);
    let saw = interplanar_tests::inspector::run(
        &publish.url,
        "pieces",
        json!({ "gateway": gateway.url, "narinfo": text }),
    );
    for part in [
        "This list of files comes from the NAR’s pieces.",
        "5 files, 30.5 MiB",
    ] {
        assert!(says(&saw["listed"], part), "{part}: {}", saw["listed"]);
    }
    assert!(says(&saw["file"], "the last"), "{}", saw["file"]);
    // Of 32 MB that can't be compressed.
    assert!(gateway.bytes() < 8_000_000, "{}", gateway.bytes());
}
