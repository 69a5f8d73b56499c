//! `interplanar publish` is killed at any moment of a bake. Later it never serves a wrong or
//! partial narinfo or NAR.

use interplanar_core::dedup::TREE_FIELD;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_tests::program::{Program, get, narinfo};
use std::path::Path;
use std::time::{Duration, Instant};

/// How many times the program is killed, each time at another moment of a bake.
const KILLS: u32 = 50;

#[test]
fn a_kill_at_any_moment_of_a_bake_leaves_no_wrong_response() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = format!("--cache={}", folder.path().join("cache").display());
    let mut whole = None;
    for round in 0..KILLS {
        // Each round has new content, so each round bakes.
        let tree = folder.path().join(format!("tree-{round}"));
        make(&tree, round);
        let tree = tree.to_str().expect("UTF-8").to_owned();
        let arguments = [
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--compression=zstd:3",
            "--compression=gzip:1",
            "--publish-tree",
            &cache,
            &tree,
        ];
        // The first round bakes to the end, and measures the time. The kills are spread over 1.5
        // times of it.
        let start = Instant::now();
        let program = Program::outside(&arguments);
        let Some(duration) = whole else {
            let item = program.item();
            narinfo(&program.url, &item, |text| text.contains("ipfs://"));
            whole = Some(start.elapsed());
            continue;
        };
        let moment = Duration::mul_f64(duration, 1.5 * f64::from(round) / f64::from(KILLS));
        std::thread::park_timeout(moment.saturating_sub(start.elapsed()));
        program.kill();

        let program = Program::outside(&arguments);
        let item = program.item();
        check(&program, &item);
    }
}

/// Makes a folder of 6 MB whose content no other round has.
fn make(tree: &Path, round: u32) {
    std::fs::create_dir(tree).expect("a fresh folder");
    for file in 0..3_u32 {
        let seed = Sha256::of(&[round.to_le_bytes(), file.to_le_bytes()].concat());
        let bytes: Vec<u8> = (0..65_536_u32)
            .flat_map(|n| {
                *Sha256::of(&[seed.as_bytes().as_slice(), &n.to_le_bytes()].concat()).as_bytes()
            })
            .collect();
        std::fs::write(tree.join(format!("file-{file}")), bytes).expect("a file");
    }
}

/// Asserts that everything that is served is complete and right, and that everything is served in
/// the end.
fn check(program: &Program, item: &str) {
    let text = narinfo(&program.url, item, |text| text.contains("ipfs://"));
    let info = NarInfo::parse(text.as_bytes()).expect("a complete narinfo");
    assert_eq!(info.store_path().as_str(), item);
    for entry in info.entries() {
        let url = match entry.url.strip_prefix("ipfs://") {
            Some(cid) => format!("{}/ipfs/{cid}", program.url),
            None => format!("{}/{}", program.url, entry.url),
        };
        let answer = reqwest::blocking::get(&url).expect("a response");
        assert_eq!(answer.status(), 200, "{url}");
        let packed = answer.bytes().expect("a complete body");
        if let Some(size) = entry.file_size {
            assert_eq!(packed.len() as u64, size, "{url}");
        }
        let mut decoder = interplanar_core::decompress::Decoder::new(
            entry.compression,
            interplanar_core::decompress::Limits {
                max_output: info.nar_size(),
                max_window: 1 << 27,
            },
        )
        .expect("a method that we read");
        let (mut input, mut nar) = (&packed[..], Vec::new());
        while !input.is_empty() {
            decoder.push(&mut input, &mut nar).expect("sound data");
        }
        while !decoder.finish(&mut nar).expect("complete data") {}
        assert_eq!(Sha256::of(&nar), info.nar_hash(), "{url}");
    }
    let tree = info.extra(TREE_FIELD).expect("a tree");
    for file in 0..3 {
        let url = format!("{}/ipfs/{tree}/file-{file}", program.url);
        let content = reqwest::blocking::get(&url).expect("a response");
        assert_eq!(
            content.bytes().expect("a complete body").len(),
            2 << 20,
            "{url}"
        );
    }
    assert_eq!(get(&format!("{}/nar/zstd/none", program.url)).0, 404);
}
