//! The npm package in Node: it gives the content that @helia/verified-fetch gives, and survives
//! hostile gateways.

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Version;
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::hash::Sha256;
use interplanar_core::unixfs::{Builder, Data, NodeType, SIZE_262144_V1};
use interplanar_tests::block_gateway::{Attack, BlockGateway};
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::web::{package, run_script};
use interplanar_tests::{attempt, checkout, output, peer};
use serde_json::{Value, json};
use std::process::Command;

// `tests/tree.rs` is another suite.
#[path = "wasm/tree.rs"]
mod tree;

/// Returns bytes without repeats.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length).collect()
}

/// Adds a file to Kubo, and returns its CID.
fn add(repo: &Repo, name: &str, bytes: &[u8], options: &[&str]) -> String {
    let file = repo.file(name, bytes);
    let mut add = repo.ipfs();
    output(add.args(["add", "-Q"]).args(options).arg(file))
        .trim()
        .to_owned()
}

/// Adds a sharded directory of 300 small files, and returns its CID.
fn hamt(repo: &Repo) -> String {
    output(
        repo.ipfs()
            .args(["config", "Import.UnixFSHAMTDirectorySizeThreshold", "1B"]),
    );
    let folder = repo.path().join("shards");
    std::fs::create_dir(&folder).expect("a folder");
    for index in 0..300 {
        let text = format!("the content of file {index}\n");
        std::fs::write(folder.join(format!("file {index}.txt")), text).expect("a file");
    }
    let mut add = repo.ipfs();
    add.args(["add", "-Q", "-r", "--cid-version=1"]).arg(folder);
    output(&mut add).trim().to_owned()
}

/// The name of a case in which @helia/verified-fetch may fail.
const MANY: &str = "a tree of two levels";

#[test]
fn content_and_errors_are_those_of_verified_fetch() {
    let repo = Repo::new();
    let large = content(5_000_000, 1);
    let small = content(1000, 2);
    let v1 = ["--cid-version=1", "--chunker=size-1048576"];
    let files = [
        (
            "CIDv0, many blocks",
            add(&repo, "large", &large, &["--cid-version=0"]),
        ),
        ("CIDv1, many raw leaves", add(&repo, "large", &large, &v1)),
        (MANY, add(&repo, "large", &large, &["--chunker=size-16384"])),
        ("trickle", add(&repo, "large", &large, &["--trickle"])),
        (
            "CIDv0, one block",
            add(&repo, "small", &small, &["--cid-version=0"]),
        ),
        ("one raw leaf", add(&repo, "small", &small, &v1)),
        ("nothing", add(&repo, "empty", &[], &v1)),
        ("identity", "bafkqablimvwgy3y".to_owned()),
        ("an empty identity", "bafkqaaa".to_owned()),
    ];
    let hamt = hamt(&repo);
    let nobody = Block::raw("nobody has this".into());
    let kubo = Kubo::with(repo);
    let mut cases: Vec<(String, Value)> = Vec::new();
    for (name, cid) in &files {
        cases.push((
            (*name).to_owned(),
            json!({ "url": format!("ipfs://{cid}") }),
        ));
    }
    for (from, to) in [
        (0, Some(0)),
        (262_143, Some(262_144)),
        (1_000_000, Some(3_999_999)),
        (4_999_999, None),
    ] {
        for (name, cid) in files.iter().take(4) {
            let case =
                json!({ "url": format!("ipfs://{cid}"), "range": { "from": from, "to": to } });
            cases.push((format!("{name}, bytes {from} to {to:?}"), case));
        }
    }
    for index in [0, 7, 299] {
        let url = format!("ipfs://{hamt}/file%20{index}.txt");
        cases.push((
            format!("file {index} of a sharded directory"),
            json!({ "url": url }),
        ));
    }
    for (name, path) in [
        (
            "no such entry of a sharded directory",
            format!("{hamt}/file%20300.txt"),
        ),
        ("a path through a file", format!("{}/below", files[1].1)),
        ("a block that nobody has", nobody.cid().to_string()),
        ("no CID", "bafybeinocid".to_owned()),
    ] {
        let case = json!({ "url": format!("ipfs://{path}"), "fails": true });
        cases.push((name.to_owned(), case));
    }
    let list: Vec<&Value> = cases.iter().map(|(_, case)| case).collect();
    let job = json!({ "package": package(), "gateway": kubo.gateway_url(), "cases": list });
    let results = run_script("parity.mjs", &job);
    for ((name, case), result) in cases.iter().zip(results.as_array().expect("a list")) {
        let (ours, theirs) = (&result["ours"], &result["theirs"]);
        if case["fails"].is_null() {
            assert!(ours["sha256"].is_string(), "{name}: {ours}");
            // @helia/verified-fetch may fail to fetch hundreds of blocks at once.
            let too_many = name.starts_with(MANY) && theirs["error"].is_array();
            assert!(too_many || ours == theirs, "{name}: {ours}, but {theirs}");
        } else {
            assert!(ours["error"].is_array(), "{name}: {ours}");
            assert!(
                theirs["error"].is_array(),
                "{name}: theirs has no error: {theirs}"
            );
        }
    }
}

/// Runs the tests of `wasm/tests` in a runtime, and returns the output.
fn wasm_pack(arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let peers = peer("bin").canonicalize().expect("a folder");
    let mut test = Command::new(peer("bin/wasm-pack"));
    test.current_dir(checkout())
        .env("PATH", format!("{}:{path}", peers.display()))
        .env("CHROMEDRIVER", "/usr/bin/chromedriver")
        .args(["test", "--mode", "no-install"])
        .args(arguments)
        .args(["wasm", "--test", "runtime", "--test", "panics"]);
    if arguments.contains(&"--chrome") {
        // Otherwise the tests for any runtime would not run in a browser.
        test.env("WASM_BINDGEN_USE_BROWSER", "1");
    }
    let (ok, out, err) = attempt(&mut test);
    assert!(ok, "{out}{err}");
    out
}

#[test]
fn the_packages_own_tests_pass_in_node_and_in_chromium() {
    for arguments in [&["--node"][..], &["--headless", "--chrome"]] {
        let report = wasm_pack(arguments);
        assert!(
            report.contains("test result: ok. 8 passed; 0 failed"),
            "{report}"
        );
        assert!(
            report.contains("test result: ok. 1 passed; 0 failed"),
            "{report}"
        );
    }
}

/// A DAG that is fetched many times past hostile gateways.
struct HostileFetch {
    /// The blocks of the DAG; the root is the first.
    blocks: Vec<Block>,
    /// The SHA-256 of the content, in base 16.
    sha256: String,
    /// Whether `fetchTree` fetches it, and not `fetchIpfs`.
    tree: bool,
    repetitions: u64,
    /// The number of concurrent fetches. WebAssembly's memory never shrinks, so it stays at their
    /// common maximum.
    side_by_side: u64,
}

/// Returns a file of some blocks.
fn file(length: usize) -> HostileFetch {
    let bytes = content(length, 3);
    let mut blocks = Vec::new();
    let mut builder = Builder::new(SIZE_262144_V1);
    builder.push(&bytes, &mut |block| blocks.push(block));
    let root = builder.finish(&mut |block| blocks.push(block)).cid;
    blocks.rotate_right(1);
    assert_eq!(*blocks[0].cid(), root);
    HostileFetch {
        blocks,
        sha256: Sha256::of(&bytes).to_hex(),
        tree: false,
        repetitions: REPETITIONS,
        side_by_side: 20,
    }
}

/// Returns the job for `hostile.mjs`.
fn job(fetch: &HostileFetch, hostile: &str, honest: Option<&str>, options: &Value) -> Value {
    json!({
        "package": package(),
        "hostile": hostile,
        "honest": honest,
        "url": format!("ipfs://{}", fetch.blocks[0].cid()),
        "tree": fetch.tree,
        "repetitions": fetch.repetitions,
        "sideBySide": fetch.side_by_side,
        "options": options,
    })
}

/// Fetches past a hostile gateway.
const REPETITIONS: u64 = 1000;

/// Milliseconds after which the next gateway is asked, and a part of the limits for a silent
/// gateway. A gateway that sends wrong bytes is detected at once; one that sends nothing, or a
/// drip, only after a wait.
const QUICK: u64 = 30;

/// The smallest `maxBuffer` that is allowed, so that a flood soon reaches it.
const MAX_BUFFER: u64 = 4 << 20;

/// The bytes by which each memory may grow in the second half of the repetitions.
///
/// WebAssembly's memory never shrinks. So it grows to the maximum of all concurrent fetches, each
/// of which holds a piece of a body of 1 MiB (11 MB were measured). A leak of one block of 256 KiB
/// per fetch would add 130 MB.
const MOST_GROWTH: f64 = 32_000_000.0;

/// Asserts that no fetch of the second half of the repetitions stays in memory. Each would hold a
/// reference at least, and blocks of some hundred KiB.
fn assert_nothing_leaks(what: &str, result: &Value) {
    let references = result["references"].as_i64().expect("a number");
    assert!(references < 50, "{what}: references grew: {result}");
    for memory in ["wasm", "heap"] {
        let grown = result[memory].as_f64().expect("a number");
        assert!(grown < MOST_GROWTH, "{what}: {memory} grew: {result}");
    }
}

/// Fetches from a hostile gateway beside an honest one, and from the hostile one alone. Both mostly
/// wait, so they run side by side.
fn fetch_past(what: &str, fetch: &HostileFetch, hostile: &str, honest: &str, codes: &[&str]) {
    std::thread::scope(|scope| {
        scope.spawn(|| fetch_beside_honest(what, fetch, hostile, honest));
        scope.spawn(|| fetch_from_hostile_alone(what, fetch, hostile, codes));
    });
}

/// Asserts that each fetch gives the content, which comes from the honest gateway.
fn fetch_beside_honest(what: &str, fetch: &HostileFetch, hostile: &str, honest: &str) {
    let options = json!({ "raceAfterMs": QUICK, "patienceMs": 0, "maxBuffer": MAX_BUFFER });
    let result = run_script("hostile.mjs", &job(fetch, hostile, Some(honest), &options));
    assert_eq!(
        result["outcomes"],
        json!({ &fetch.sha256: fetch.repetitions }),
        "{what}: {result}"
    );
    assert_ne!(
        result["faults"],
        json!({}),
        "{what}: no request went to the hostile gateway"
    );
    assert_nothing_leaks(what, &result);
}

/// Asserts that each fetch fails, and that the errors name what the gateway did: one of the codes.
fn fetch_from_hostile_alone(what: &str, fetch: &HostileFetch, hostile: &str, codes: &[&str]) {
    let waits = what == "Hang" || what == "Drip";
    let limit = if waits { 4 * QUICK } else { 30_000 };
    let options = json!({
        "stallMs": limit, "requestTimeoutMs": limit, "patienceMs": 0, "maxBuffer": MAX_BUFFER,
    });
    let result = run_script("hostile.mjs", &job(fetch, hostile, None, &options));
    for outcome in result["outcomes"].as_object().expect("outcomes").keys() {
        let cause = outcome.starts_with("FETCH_UNAVAILABLE GATEWAY_");
        assert!(cause, "{what}: {result}");
    }
    for fault in result["faults"].as_object().expect("faults").keys() {
        assert!(codes.contains(&fault.as_str()), "{what}: {result}");
    }
    assert_nothing_leaks(what, &result);
}

/// Fetches from a gateway that attacks, beside an honest one and alone.
fn fetch_past_attack(attack: Attack, fetch: &HostileFetch, codes: &[&str]) {
    let honest = BlockGateway::new(&fetch.blocks, Attack::None);
    let hostile = BlockGateway::new(&fetch.blocks, attack);
    let what = format!("{attack:?}");
    fetch_past(&what, fetch, &hostile.url, &honest.url, codes);
}

/// Fetches from a gateway behind a relay that damages its responses, beside an honest one and
/// alone.
fn fetch_past_fault(fault: Fault, fetch: &HostileFetch, codes: &[&str]) {
    let honest = BlockGateway::new(&fetch.blocks, Attack::None);
    let hostile = Relay::new(&honest.url, fault);
    let what = format!("{fault:?}");
    fetch_past(&what, fetch, &hostile.url, &honest.url, codes);
}

#[test]
fn wrong_bytes_end_with_an_error_or_at_the_next_gateway() {
    let (file, codes) = (&file(600_000), &["GATEWAY_WRONG_HASH"]);
    std::thread::scope(|scope| {
        scope.spawn(|| fetch_past_attack(Attack::WrongBytes, file, codes));
        scope.spawn(|| fetch_past_fault(Fault::Corrupt, file, codes));
    });
}

#[test]
fn extra_blocks_end_with_an_error_or_at_the_next_gateway() {
    fetch_past_attack(
        Attack::UnrequestedBlocks,
        &file(600_000),
        &["GATEWAY_UNASKED", "GATEWAY_TOO_LARGE"],
    );
}

#[test]
fn oversize_blocks_end_with_an_error_or_at_the_next_gateway() {
    fetch_past_attack(Attack::Oversize, &file(600_000), &["GATEWAY_TOO_LARGE"]);
}

#[test]
fn a_drip_without_end_ends_with_an_error_or_at_the_next_gateway() {
    fetch_past_attack(
        Attack::Drip,
        &file(600_000),
        &["GATEWAY_TOO_SLOW", "GATEWAY_STALLED"],
    );
}

#[test]
fn silence_ends_with_an_error_or_at_the_next_gateway() {
    fetch_past_fault(Fault::Hang, &file(600_000), &["GATEWAY_STALLED"]);
}

#[test]
fn truncation_ends_with_an_error_or_at_the_next_gateway() {
    fetch_past_fault(
        Fault::Truncate,
        &file(600_000),
        &["GATEWAY_WRONG_HASH", "GATEWAY_TRUNCATED"],
    );
}

#[test]
fn a_web_page_ends_with_an_error_or_at_the_next_gateway() {
    fetch_past_fault(
        Fault::Html,
        &file(600_000),
        &["GATEWAY_NOT_CAR", "GATEWAY_NOT_BLOCK"],
    );
}

/// Returns a node with `count` links to one child.
fn inner_node(child: &Block, size: u64, count: usize) -> Block {
    let mut data = Data::new(NodeType::File);
    data.blocksizes = vec![size; count];
    data.filesize = Some(size.saturating_mul(count as u64));
    let link = Link {
        cid: *child.cid(),
        name: Bytes::new(),
        tsize: size,
    };
    let node = Node {
        links: vec![link; count],
        data: Some(data.encode()),
    };
    Block::dag_pb(node.encode(), Version::V1)
}

#[test]
fn a_dag_with_wrong_sizes_or_a_bomb_is_an_error_with_a_code() {
    let leaf = Block::raw(content(1000, 4).into());
    let wrong_sizes = vec![inner_node(&leaf, 10, 3), leaf.clone()];
    // Eight blocks whose content is 174^7 times the leaf.
    let mut bomb = vec![leaf];
    let mut size = 1000;
    for _ in 0..7 {
        let node = inner_node(&bomb[0], size, 174);
        size = size.saturating_mul(174);
        bomb.insert(0, node);
    }
    for (what, blocks, code) in [
        ("wrong sizes", wrong_sizes, "FETCH_WALK UNIXFS_SIZES"),
        ("a bomb", bomb, "FETCH_WALK UNIXFS_BUDGET_OUTPUT"),
    ] {
        let gateway = BlockGateway::new(&blocks, Attack::None);
        let options = json!({ "maxBytes": 500_000 });
        let fetch = HostileFetch {
            blocks,
            // Each fetch may take some MiB for a moment.
            side_by_side: 2,
            ..file(0)
        };
        let job = job(&fetch, &gateway.url, None, &options);
        let result = run_script("hostile.mjs", &job);
        assert_eq!(
            result["outcomes"],
            json!({ code: REPETITIONS }),
            "{what}: {result}"
        );
        assert_nothing_leaks(what, &result);
    }
}
