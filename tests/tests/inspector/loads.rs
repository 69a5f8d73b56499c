//! How views load: the layout must be stable. The test prints when each view first paints.

use super::setup::Cache;
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::kubo::Kubo;
use serde_json::json;

/// Largest layout shift that counts as good (web.dev/cls).
const MAX_SHIFT: f64 = 0.1;

#[test]
fn nothing_moves_while_a_view_loads() {
    let kubo = Kubo::start();
    let api = format!("--ipfs-api={}", kubo.api_url());
    let cache = Cache::new(&["tools-1.0", "tools-1.1"], &[&api, "--publish-tree"]);
    let hash = |name: &str| {
        let text = cache.narinfo(name);
        let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
        info.store_path().hash_part().to_owned()
    };
    let (old, new) = (hash("tools-1.0"), hash("tools-1.1"));
    let at = format!("cache={}/", cache.publish.url);
    let view = |hash: String, sign: &str| json!({ "hash": hash, "sign": sign });
    let views = json!({
        "open": view("#/".into(), "this server, /nix/store"),
        "cache": view(format!("#/cache?{at}"), "tools-1.1"),
        "narinfo": view(format!("#/item/{new}?{at}"), "Every field"),
        "files": view(format!("#/item/{new}/files?{at}"), "tree on IPFS."),
        "file": view(format!("#/item/{new}/files?{at}&path=share/readme.txt"), "first line"),
        "sources": view(format!("#/item/{new}/sources?{at}"), "blocks verified"),
        "references": view(format!("#/item/{new}/references?{at}"), "Closure, the largest first"),
        "compare": view(format!("#/item/{old}/compare?{at}&with={new}"), "An update transfers"),
        "health": view(format!("#/health?{at}"), "No bake failed."),
        "keys": view("#/keys".into(), "None yet."),
        "gateways": view("#/gateways".into(), "Known gateways"),
    });
    let saw = cache.run("loads", json!({ "views": views }));
    let loads = saw["loads"].as_object().expect("views");
    assert_eq!(loads.len(), 22);
    for (view, load) in loads {
        println!(
            "{view}: first paint {} ms, first content {} ms, shift {}",
            load["first"], load["content"], load["shift"]
        );
        assert!(load["content"].is_u64(), "{view}: nothing was painted");
        let shift = load["shift"].as_f64();
        assert!(
            shift.is_some_and(|shift| shift < MAX_SHIFT),
            "{view}: {load}"
        );
    }
}
