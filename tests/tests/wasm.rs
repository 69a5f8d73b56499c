//! The npm package in Node: as @helia/verified-fetch has it where that does right, and unharmed by hostile gateways.

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::Version;
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::hash::Sha256;
use interplanar_core::unixfs::{Builder, Data, Kind, SIZE_262144_V1};
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::liar::{Liar, Lie};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::web::{node, package};
use interplanar_tests::{attempt, checkout, output, peer};
use serde_json::{Value, json};
use std::process::Command;

// Beside this file is another test of that name.
#[path = "wasm/tree.rs"]
mod tree;

/// Content without repeats.
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

fn add(repo: &Repo, name: &str, bytes: &[u8], options: &[&str]) -> String {
    let file = repo.file(name, bytes);
    let mut add = repo.ipfs();
    output(add.args(["add", "-Q"]).args(options).arg(file))
        .trim()
        .to_owned()
}

/// A sharded directory of many small files, and one among them.
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

const MANY: &str = "a tree of two levels";

#[test]
fn what_verified_fetch_gives_is_given_and_where_it_errs_we_err() {
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
    let results = node("parity.mjs", &job);
    for ((name, case), result) in cases.iter().zip(results.as_array().expect("a list")) {
        let (ours, theirs) = (&result["ours"], &result["theirs"]);
        if case["fails"].is_null() {
            assert!(ours["sha256"].is_string(), "{name}: {ours}");
            // Hundreds of blocks at once may be more than it can ask a gateway for.
            let too_many = name.starts_with(MANY) && theirs["error"].is_array();
            assert!(too_many || ours == theirs, "{name}: {ours}, but {theirs}");
        } else {
            assert!(ours["error"].is_array(), "{name}: {ours}");
            assert!(theirs["error"].is_array(), "{name}: theirs gives {theirs}");
        }
    }
}

/// Runs wasm/tests in a runtime; says what it said.
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
        // What is for any runtime would be left out in a browser.
        test.env("WASM_BINDGEN_USE_BROWSER", "1");
    }
    let (ok, out, err) = attempt(&mut test);
    assert!(ok, "{out}{err}");
    out
}

#[test]
fn the_package_does_in_node_and_in_chromium_what_it_does_natively() {
    for arguments in [&["--node"][..], &["--headless", "--chrome"]] {
        let said = wasm_pack(arguments);
        assert!(
            said.contains("test result: ok. 8 passed; 0 failed"),
            "{said}"
        );
        assert!(
            said.contains("test result: ok. 1 passed; 0 failed"),
            "{said}"
        );
    }
}

/// What is fetched past hostile gateways.
struct Wanted {
    /// The root first.
    blocks: Vec<Block>,
    /// Of what is to come.
    sha256: String,
    /// By `fetchTree`.
    tree: bool,
    repetitions: u64,
    /// How many at a time: what each takes for a moment adds up to what WebAssembly's memory stays at.
    side_by_side: u64,
}

/// A file of some blocks.
fn file(length: usize) -> Wanted {
    let bytes = content(length, 3);
    let mut blocks = Vec::new();
    let mut builder = Builder::new(SIZE_262144_V1);
    builder.push(&bytes, &mut |block| blocks.push(block));
    let root = builder.finish(&mut |block| blocks.push(block)).cid;
    blocks.rotate_right(1);
    assert_eq!(*blocks[0].cid(), root);
    Wanted {
        blocks,
        sha256: Sha256::of(&bytes).to_hex(),
        tree: false,
        repetitions: REPETITIONS,
        side_by_side: 20,
    }
}

/// What is tried, and how often.
fn job(wanted: &Wanted, hostile: &str, honest: Option<&str>, options: &Value) -> Value {
    json!({
        "package": package(),
        "hostile": hostile,
        "honest": honest,
        "url": format!("ipfs://{}", wanted.blocks[0].cid()),
        "tree": wanted.tree,
        "repetitions": wanted.repetitions,
        "sideBySide": wanted.side_by_side,
        "options": options,
    })
}

const REPETITIONS: u64 = 1000;

/// Whoever sends lies is found out at once; whoever sends nothing, or a drip, only by waiting.
const QUICK: u64 = 30;

/// The least that there is, so that what floods it does so soon.
const MAX_BUFFER: u64 = 4 << 20;

/// Most bytes by which the memories may grow in the second half of the repetitions. WebAssembly's never shrinks, so it grows to what all that are under
/// way at once hold at their worst moment, a piece of a body of 1 MiB each (11 MB were seen); a leak of one block of 256 KiB in each repetition would be 130 MB.
const MOST_GROWTH: f64 = 32_000_000.0;

/// Nothing of the second half of the repetitions stays: a fetch that did would hold a reference at least, and blocks of some hundred KiB.
fn assert_nothing_leaks(what: &str, result: &Value) {
    let references = result["references"].as_i64().expect("a number");
    assert!(references < 50, "{what}: references grew: {result}");
    for memory in ["wasm", "heap"] {
        let grown = result[memory].as_f64().expect("a number");
        assert!(grown < MOST_GROWTH, "{what}: {memory} grew: {result}");
    }
}

/// Past a hostile gateway to an honest one, and to it alone, which is an error that tells what the gateway did.
fn past(what: &str, wanted: &Wanted, hostile: &str, honest: &str, codes: &[&str]) {
    let options = json!({ "raceAfterMs": QUICK, "patienceMs": 0, "maxBuffer": MAX_BUFFER });
    let result = node("hostile.mjs", &job(wanted, hostile, Some(honest), &options));
    assert_eq!(
        result["outcomes"],
        json!({ &wanted.sha256: wanted.repetitions }),
        "{what}: {result}"
    );
    assert_ne!(
        result["faults"],
        json!({}),
        "{what}: the hostile one was not asked"
    );
    assert_nothing_leaks(what, &result);
    let waits = what == "Hang" || what == "Drip";
    let limit = if waits { 4 * QUICK } else { 30_000 };
    let options = json!({
        "stallMs": limit, "requestTimeoutMs": limit, "patienceMs": 0, "maxBuffer": MAX_BUFFER,
    });
    let result = node("hostile.mjs", &job(wanted, hostile, None, &options));
    for outcome in result["outcomes"].as_object().expect("outcomes").keys() {
        let cause = outcome.starts_with("FETCH_UNAVAILABLE GATEWAY_");
        assert!(cause, "{what}: {result}");
    }
    for fault in result["faults"].as_object().expect("faults").keys() {
        assert!(codes.contains(&fault.as_str()), "{what}: {result}");
    }
    assert_nothing_leaks(what, &result);
}

/// A gateway that lies, beside an honest one and alone.
fn lied_to(lie: Lie, wanted: &Wanted, codes: &[&str]) {
    let honest = Liar::new(&wanted.blocks, Lie::None);
    let hostile = Liar::new(&wanted.blocks, lie);
    let what = format!("{lie:?}");
    past(&what, wanted, &hostile.url, &honest.url, codes);
}

/// An honest gateway behind something that spoils its answers.
fn spoiled_by(fault: Fault, wanted: &Wanted, codes: &[&str]) {
    let honest = Liar::new(&wanted.blocks, Lie::None);
    let hostile = Relay::new(&honest.url, fault);
    let what = format!("{fault:?}");
    past(&what, wanted, &hostile.url, &honest.url, codes);
}

#[test]
fn wrong_bytes_end_with_an_error_or_at_the_next_gateway() {
    lied_to(Lie::WrongBytes, &file(600_000), &["GATEWAY_WRONG_HASH"]);
    spoiled_by(Fault::Corrupt, &file(600_000), &["GATEWAY_WRONG_HASH"]);
}

#[test]
fn extra_blocks_end_with_an_error_or_at_the_next_gateway() {
    lied_to(
        Lie::Strangers,
        &file(600_000),
        &["GATEWAY_UNASKED", "GATEWAY_TOO_LARGE"],
    );
}

#[test]
fn oversize_blocks_end_with_an_error_or_at_the_next_gateway() {
    lied_to(Lie::Oversize, &file(600_000), &["GATEWAY_TOO_LARGE"]);
}

#[test]
fn a_drip_without_end_ends_with_an_error_or_at_the_next_gateway() {
    lied_to(
        Lie::Drip,
        &file(600_000),
        &["GATEWAY_TOO_SLOW", "GATEWAY_STALLED"],
    );
}

#[test]
fn silence_ends_with_an_error_or_at_the_next_gateway() {
    spoiled_by(Fault::Hang, &file(600_000), &["GATEWAY_STALLED"]);
}

#[test]
fn truncation_ends_with_an_error_or_at_the_next_gateway() {
    spoiled_by(
        Fault::Truncate,
        &file(600_000),
        &["GATEWAY_WRONG_HASH", "GATEWAY_TRUNCATED"],
    );
}

#[test]
fn a_page_ends_with_an_error_or_at_the_next_gateway() {
    spoiled_by(
        Fault::Html,
        &file(600_000),
        &["GATEWAY_NOT_CAR", "GATEWAY_NOT_BLOCK"],
    );
}

/// A node over children of this size each.
fn inner(child: &Block, size: u64, count: usize) -> Block {
    let mut data = Data::new(Kind::File);
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
fn a_dag_that_lies_or_is_a_bomb_is_an_error_with_a_code() {
    let leaf = Block::raw(content(1000, 4).into());
    let lying = vec![inner(&leaf, 10, 3), leaf.clone()];
    // Eight blocks, 174^7 times the leaf.
    let mut bomb = vec![leaf];
    let mut size = 1000;
    for _ in 0..7 {
        let node = inner(&bomb[0], size, 174);
        size = size.saturating_mul(174);
        bomb.insert(0, node);
    }
    for (what, blocks, code) in [
        ("sizes that lie", lying, "FETCH_WALK UNIXFS_SIZES"),
        ("a bomb", bomb, "FETCH_WALK UNIXFS_BUDGET_OUTPUT"),
    ] {
        let gateway = Liar::new(&blocks, Lie::None);
        let options = json!({ "maxBytes": 500_000 });
        let wanted = Wanted {
            blocks,
            // Each may take some MiB for a moment.
            side_by_side: 2,
            ..file(0)
        };
        let job = job(&wanted, &gateway.url, None, &options);
        let result = node("hostile.mjs", &job);
        assert_eq!(
            result["outcomes"],
            json!({ code: REPETITIONS }),
            "{what}: {result}"
        );
        assert_nothing_leaks(what, &result);
    }
}
