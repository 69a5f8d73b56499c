//! Whole directories, in Node, in Chromium and in workerd.

use super::{HostileFetch, add, content, fetch_past_attack, fetch_past_fault, hamt, job};
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, Version};
use interplanar_core::hash::Sha256;
use interplanar_core::unixfs::{Builder, DirectoryBuilder, SIZE_262144_V1};
use interplanar_tests::block_gateway::{Attack, BlockGateway};
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::output;
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::web::{package, run_script};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The entries that `fetchTree` must give, by path and without their CIDs.
type ExpectedEntries = BTreeMap<String, Value>;

fn expect(expected: &mut ExpectedEntries, path: &str, what: Value) {
    expected.insert(path.to_owned(), what);
}

/// Writes a file, and the entry for it.
fn write(folder: &Path, path: &str, bytes: &[u8], expected: &mut ExpectedEntries) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, bytes).expect("a file");
    let sha256 = Sha256::of(bytes).to_hex();
    let entry = json!({ "type": "file", "size": bytes.len(), "sha256": sha256 });
    expect(expected, path, entry);
}

/// Adds a directory with files of many sizes, equal files, an empty folder, a symlink and folders
/// in folders.
fn folder(repo: &Repo) -> (String, ExpectedEntries) {
    let folder = repo.path().join("mixed");
    let mut expected = ExpectedEntries::new();
    for n in 0..40 {
        let path = format!("many/of them/file {n:02}");
        write(&folder, &path, &content(n * 1000, 5), &mut expected);
    }
    write(&folder, "large", &content(3_000_000, 6), &mut expected);
    write(&folder, "twice/a", b"equal", &mut expected);
    write(&folder, "twice/b", b"equal", &mut expected);
    std::fs::create_dir(folder.join("nothing")).expect("a folder");
    std::os::unix::fs::symlink("../large", folder.join("twice/link")).expect("a link");
    for path in ["", "many", "many/of them", "nothing", "twice"] {
        expect(&mut expected, path, json!({ "type": "directory" }));
    }
    let link = json!({ "type": "symlink", "target": "../large" });
    expect(&mut expected, "twice/link", link);
    let mut add = repo.ipfs();
    add.args(["add", "-Q", "-r", "--cid-version=1"]).arg(folder);
    (output(&mut add).trim().to_owned(), expected)
}

/// Returns the entries of [`hamt`].
fn shards() -> ExpectedEntries {
    let mut expected = ExpectedEntries::new();
    expect(&mut expected, "", json!({ "type": "directory" }));
    for index in 0..300 {
        let text = format!("the content of file {index}\n");
        let sha256 = Sha256::of(text.as_bytes()).to_hex();
        let entry = json!({ "type": "file", "size": text.len(), "sha256": sha256 });
        expect(&mut expected, &format!("file {index}.txt"), entry);
    }
    expected
}

/// Returns the entries of a result by path. Asserts that each has a CID, and that no path occurs
/// twice.
fn by_path(result: &Value) -> ExpectedEntries {
    let mut entries = ExpectedEntries::new();
    for entry in result["entries"].as_array().expect("a list") {
        let mut entry = entry.as_object().expect("an entry").clone();
        let path = entry.remove("path").expect("a path");
        let cid = entry.remove("cid").expect("a CID");
        assert!(cid.is_string(), "{path}: {cid}");
        let path = path.as_str().expect("a text").to_owned();
        assert!(entries.insert(path, entry.into()).is_none());
    }
    entries
}

#[test]
fn a_whole_directory_takes_one_request_in_node_and_in_chromium() {
    let repo = Repo::new();
    let (mixed, entries) = folder(&repo);
    let sharded = hamt(&repo);
    let kubo = Kubo::with(repo);
    for (root, expected) in [(&mixed, &entries), (&sharded, &shards())] {
        for chromium in [false, true] {
            let relay = Relay::new(&kubo.gateway_url(), Fault::None);
            let url = format!("ipfs://{root}");
            let job = json!({ "package": package(), "gateway": relay.url, "url": url, "chromium": chromium });
            let result = run_script("tree.mjs", &job);
            assert_eq!(result["error"], Value::Null, "{result}");
            assert_eq!(by_path(&result), *expected, "chromium: {chromium}");
            assert_eq!(result["entries"][0]["cid"], json!(root));
            assert_eq!(result["stopped"], json!("enough"));
            // The script fetches twice, with one request each.
            let lines: Vec<String> = relay.seen().into_iter().map(|seen| seen.line).collect();
            assert!(lines.len() <= 2, "{lines:?}");
            assert!(lines.iter().all(|line| line.contains("dag-scope=all")));
        }
    }
}

/// Adds a directory of 32 files of 2 MiB. Returns its CID, and the content of all files.
fn large_directory(repo: &Repo, seed: u64) -> (String, Vec<u8>) {
    let (files, each) = (32, 2 << 20);
    let all = content(files * each, seed);
    let folder = repo.path().join(format!("large {seed}"));
    std::fs::create_dir(&folder).expect("a folder");
    for (n, bytes) in all.chunks(each).enumerate() {
        std::fs::write(folder.join(format!("{n:02}")), bytes).expect("a file");
    }
    let mut add = repo.ipfs();
    add.args(["add", "-Q", "-r", "--cid-version=1"]).arg(folder);
    (output(&mut add).trim().to_owned(), all)
}

#[test]
fn a_tree_that_is_not_read_is_not_fetched_further() {
    let repo = Repo::new();
    let ((paused, all), (other, _)) = (large_directory(&repo, 11), large_directory(&repo, 12));
    let kubo = Kubo::with(repo);
    let job = json!({ "package": package(), "gateway": kubo.gateway_url(), "paused": paused, "other": other });
    let result = run_script("pressure.mjs", &job);
    assert_eq!(result["files"], json!(32), "{result}");
    assert_eq!(result["bytes"], json!(all.len()), "{result}");
    assert_eq!(result["sha256"], json!(Sha256::of(&all).to_hex()));
    // The paused fetch holds 4 MiB; the stream and the connections hold some more. Meanwhile
    // another tree of 64 MiB is fetched.
    let taken = result["taken"].as_u64().expect("a number");
    assert!(taken < all.len() as u64 / 2, "{result}");
    let sent = result["all"].as_u64().expect("a number");
    assert!(sent > all.len() as u64, "{result}");
}

#[test]
fn the_package_fetches_in_workerd() {
    let repo = Repo::new();
    let bytes = content(3_000_000, 10);
    let file = add(&repo, "file", &bytes, &["--cid-version=1"]);
    let (mixed, entries) = folder(&repo);
    let kubo = Kubo::with(repo);
    let job = json!({
        "package": package(),
        "gateway": kubo.gateway_url(),
        "file": format!("ipfs://{file}"),
        "tree": format!("ipfs://{mixed}"),
    });
    let expected = json!({
        "file": { "bytes": bytes.len(), "sha256": Sha256::of(&bytes).to_hex() },
        "entries": entries.len(),
        "error": "CID_URL",
    });
    assert_eq!(run_script("package-workerd.mjs", &job), expected);
}

/// Builds a directory, and inserts its blocks before the others.
fn directory(entries: &[(&str, Cid)], blocks: &mut Vec<Block>) -> Cid {
    let mut directory = DirectoryBuilder::new(Version::V1);
    for (name, cid) in entries {
        directory.add((*name).to_owned().into(), *cid, 1);
    }
    let built = directory.finish(&mut |block| blocks.insert(0, block));
    built.expect("a directory").cid
}

/// Returns a directory of three files, one of them in a folder.
fn tree() -> HostileFetch {
    let (mut blocks, mut flat, mut files) = (Vec::new(), Vec::new(), Vec::new());
    flat.extend_from_slice(b"directory \n");
    for (path, length, seed) in [("a", 300_000, 7), ("b", 1000, 8), ("c/d", 20_000, 9)] {
        let bytes = content(length, seed);
        let (mut builder, mut own) = (Builder::new(SIZE_262144_V1), Vec::new());
        builder.push(&bytes, &mut |block| own.push(block));
        files.push(builder.finish(&mut |block| own.push(block)).cid);
        own.rotate_right(1);
        blocks.extend(own);
        if path == "c/d" {
            flat.extend_from_slice(b"directory c\n");
        }
        flat.extend_from_slice(format!("file {path}\n").as_bytes());
        flat.extend_from_slice(&bytes);
    }
    let below = directory(&[("d", files[2])], &mut blocks);
    directory(
        &[("a", files[0]), ("b", files[1]), ("c", below)],
        &mut blocks,
    );
    HostileFetch {
        blocks,
        sha256: Sha256::of(&flat).to_hex(),
        tree: true,
        repetitions: 200,
        side_by_side: 4,
    }
}

#[test]
fn a_tree_past_a_hostile_gateway_is_complete_and_from_it_alone_an_error() {
    let tree = &tree();
    let attacks: [(Attack, &[&str]); 4] = [
        (Attack::WrongBytes, &["GATEWAY_WRONG_HASH"]),
        (
            Attack::UnrequestedBlocks,
            &["GATEWAY_UNASKED", "GATEWAY_TOO_LARGE"],
        ),
        (Attack::Oversize, &["GATEWAY_TOO_LARGE"]),
        (Attack::Drip, &["GATEWAY_TOO_SLOW", "GATEWAY_STALLED"]),
    ];
    let faults: [(Fault, &[&str]); 3] = [
        (Fault::Hang, &["GATEWAY_STALLED"]),
        (
            Fault::Truncate,
            &["GATEWAY_WRONG_HASH", "GATEWAY_TRUNCATED"],
        ),
        (Fault::Html, &["GATEWAY_NOT_CAR", "GATEWAY_NOT_BLOCK"]),
    ];
    // The fetches mostly wait, so they run side by side.
    std::thread::scope(|scope| {
        for (attack, codes) in attacks {
            scope.spawn(move || fetch_past_attack(attack, tree, codes));
        }
        for (fault, codes) in faults {
            scope.spawn(move || fetch_past_fault(fault, tree, codes));
        }
    });
}

#[test]
fn a_tree_that_is_a_bomb_or_leads_elsewhere_is_an_error_with_a_code() {
    let mut bomb = vec![Block::raw("leaf".into())];
    let mut root = *bomb[0].cid();
    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    // Ten levels of directories; each directory has the same child ten times.
    for _ in 0..10 {
        let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), root)).collect();
        root = directory(&entries, &mut bomb);
    }
    let leaf = Block::raw("leaf".into());
    let mut escape = vec![leaf.clone()];
    directory(&[("..", *leaf.cid())], &mut escape);
    let (blocks, entries, names) = ("maxBlocks", "maxEntries", "maxNames");
    for (what, limit, blocks, code) in [
        ("a bomb", blocks, &bomb, "FETCH_WALK UNIXFS_BUDGET_BLOCKS"),
        ("a bomb", entries, &bomb, "FETCH_WALK UNIXFS_BUDGET_ENTRIES"),
        ("a bomb", names, &bomb, "FETCH_WALK UNIXFS_BUDGET_NAMES"),
        (
            "a name that leads up",
            blocks,
            &escape,
            "FETCH_WALK UNIXFS_NAME",
        ),
    ] {
        let gateway = BlockGateway::new(blocks, Attack::None);
        let options = json!({ limit: 2000 });
        let fetch = HostileFetch {
            blocks: blocks.clone(),
            sha256: String::new(),
            tree: true,
            repetitions: 20,
            side_by_side: 2,
        };
        let result = run_script("hostile.mjs", &job(&fetch, &gateway.url, None, &options));
        assert_eq!(result["outcomes"], json!({ code: 20 }), "{what}: {result}");
    }
}
