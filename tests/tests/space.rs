//! Disk usage of a cache folder: `du`, `gc` and `fsck`, with a real Kubo.

use interplanar_tests::kubo::Kubo;
use interplanar_tests::output;
use interplanar_tests::program::{Program, binary, get, narinfo};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Returns a command of the program under test.
fn interplanar(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    command
}

/// Runs the program with `--json`, and returns its report.
fn json(arguments: &[&str]) -> Value {
    let report = output(interplanar(arguments).arg("--json"));
    serde_json::from_str(&report).expect("one document")
}

/// Returns the CIDs that Kubo has pinned.
fn pins(kubo: &Kubo) -> Vec<String> {
    let mut list = kubo.ipfs();
    let listed = output(list.args(["pin", "ls", "--type=recursive", "-q"]));
    listed.lines().map(str::to_owned).collect()
}

/// Publishes folders to Kubo, and returns their store paths when Kubo has all of them.
fn publish(cache: &str, kubo: &Kubo, trees: &[&Path]) -> Vec<String> {
    let api = format!("--ipfs-api={}", kubo.api_url());
    let cache_flag = format!("--cache={cache}");
    let mut arguments = vec![
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--compression=zstd",
        "--publish-tree",
        &cache_flag,
        &api,
    ];
    arguments.extend(trees.iter().map(|tree| tree.to_str().expect("UTF-8")));
    let program = Program::outside(&arguments);
    let mut paths = Vec::new();
    for tree in trees {
        let name = format!(
            "-{}",
            tree.file_name()
                .and_then(|name| name.to_str())
                .expect("a name")
        );
        let log = program.log();
        let path = log
            .split([' ', '\n', '=', '"'])
            .find(|word| word.contains("/store/") && word.ends_with(&name))
            .expect("its store path");
        // The NAR and the tree are pinned separately; the narinfo names both when both are pinned.
        let all = |text: &str| text.contains("ChunkIndex: ") && text.contains("Tree: ");
        narinfo(&program.url, path, all);
        paths.push(path.to_owned());
    }
    paths
}

/// Returns the hash part of a store path.
fn hash_part(path: &str) -> &str {
    let base = path.rsplit('/').next().expect("a base name");
    &base[..32]
}

#[test]
fn gc_deletes_unused_items_with_their_pins_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let cache = cache.to_str().expect("UTF-8");
    let kubo = Kubo::start();
    let mut other = kubo.ipfs();
    let stranger = kubo.repo().file("stranger", b"pinned by somebody else");
    let stranger = output(other.args(["add", "-Q", "--cid-version=1"]).arg(stranger));
    let before = pins(&kubo);
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let shared: Vec<u8> = (0..400_000_u32)
        .flat_map(|n| n.wrapping_mul(n ^ 2_654_435_761).to_le_bytes())
        .collect();
    for tree in [&old, &new] {
        std::fs::create_dir(tree).expect("a folder");
        std::fs::write(tree.join("shared"), &shared).expect("a file");
        std::fs::write(tree.join("own"), tree.to_string_lossy().repeat(5000)).expect("a file");
    }
    let items = publish(cache, &kubo, &[&old, &new]);
    let pinned = pins(&kubo).len();

    let used = json(&["du", "--cache", cache]);
    let stored = |one: &Value| one["stored"].as_u64().expect("bytes");
    let all = used["items"].as_array().expect("items");
    let alone: u64 = all.iter().map(stored).sum();
    assert_eq!(all.len(), 2);
    assert!(
        alone > stored(&used) + 1_000_000,
        "the file is stored once: {used}"
    );

    // Nothing is old yet.
    let gone = json(&["gc", "--cache", cache, "--unused-for=30d"]);
    assert_eq!(gone["items"], Value::Array(Vec::new()));
    let record = format!("{cache}/items/{}.json", hash_part(&items[0]));
    let file = std::fs::File::open(record).expect("its record");
    file.set_modified(SystemTime::now() - Duration::from_secs(40 * 24 * 3600))
        .expect("an older time");
    let would = json(&["gc", "--cache", cache, "--unused-for=30d", "--dry-run"]);
    assert_eq!(would["wouldGo"][0], items[0]);
    // The item is pinned, and without the API's address `gc` can't unpin it.
    let refused = interplanar(&["gc", "--cache", cache, "--unused-for=30d"])
        .output()
        .expect("the program runs");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--ipfs-api"));

    let api = format!("--ipfs-api={}", kubo.api_url());
    let gone = json(&["gc", "--cache", cache, "--unused-for=30d", &api]);
    assert_eq!(gone["items"][0], items[0], "{gone}");
    let now = pins(&kubo);
    assert!(now.contains(&stranger.trim().to_owned()));
    assert!(now.len() < pinned && now.len() > before.len(), "{now:?}");

    // The other item is complete, in the cache folder and in Kubo.
    let checked = json(&["fsck", "--cache", cache]);
    assert_eq!(
        (&checked["wrong"], &checked["lost"][0]),
        (&Value::from(0), &Value::Null)
    );
    output(kubo.ipfs().args(["repo", "gc", "--quiet"]));
    let program = Program::outside(&[
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--compression=zstd",
        "--publish-tree",
        &format!("--cache={cache}"),
        &api,
        new.to_str().expect("UTF-8"),
    ]);
    let text = narinfo(&program.url, &items[1], |text| text.contains("ipfs://"));
    let cid = text
        .lines()
        .find_map(|line| line.strip_prefix("URL: ipfs://"))
        .expect("its CID");
    let mut cat = kubo.ipfs();
    let from_kubo = cat.args(["cat", cid]).output().expect("ipfs runs").stdout;
    let nar = zstd::decode_all(&from_kubo[..]).expect("a zstd frame");
    assert!(nar.windows(1000).any(|window| window == &shared[..1000]));
    // So is its tree.
    let tree = text
        .lines()
        .find_map(|line| line.strip_prefix("Tree: "))
        .expect("its tree");
    let mut cat = kubo.ipfs();
    let from_kubo = cat.args(["cat", &format!("{tree}/shared")]).output();
    assert!(from_kubo.expect("ipfs runs").stdout == shared);
    assert_eq!(
        get(&format!("{}/{}.narinfo", program.url, hash_part(&items[0]))).0,
        404
    );
}
