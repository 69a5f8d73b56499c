//! NARs that are cut into pieces: every decoder reads them as a plain `.nar.zst`, and similar items
//! share blocks.

use interplanar_core::cid::{self, Cid};
use interplanar_core::dedup::{self, Index, IndexBody, PieceEntry, covering};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, NarInfo};
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, narinfo};
use interplanar_tests::{bytes, output};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Returns text without long repeats.
fn words(seed: u64, count: u64) -> String {
    let word = |n: u64| {
        format!(
            "{:x} ",
            (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
        )
    };
    (0..count).map(word).collect()
}

/// Makes a folder with two items that share a large file: `one`, and `two`, which has one more
/// small file.
fn trees() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for tree in ["one", "two"] {
        let root = dir.path().join(tree);
        fs::create_dir_all(root.join("share/doc")).expect("a folder");
        fs::write(root.join("words"), words(1, 400_000)).expect("a file");
        for n in 0..200 {
            let small = root.join(format!("share/doc/{n}"));
            fs::write(small, words(n + 2, n * 7)).expect("a file");
        }
        std::os::unix::fs::symlink("../words", root.join("share/words")).expect("a link");
    }
    fs::write(dir.path().join("two/zz-more"), words(9, 5000)).expect("a file");
    dir
}

/// Publishes items to a Kubo node.
fn publish(dir: &Path, trees: &[&str], kubo: &Kubo) -> Program {
    let trees: Vec<PathBuf> = trees.iter().map(|name| dir.join(name)).collect();
    let api = format!("--ipfs-api={}", kubo.api_url());
    Program::publish(&dir.join("cache"), &["--compression=zstd:5", &api], &trees)
}

/// Returns the root of a narinfo's NAR, and its chunk index.
fn root_and_index(narinfo: &NarInfo) -> (Cid, Cid) {
    let entry = narinfo.entries().iter().find(|entry| entry.is_ipfs());
    let entry = entry.expect("an ipfs: entry");
    assert_eq!(entry.compression, Compression::Zstd);
    let url = cid::IpfsUrl::parse(&entry.url).expect("a CID");
    let index = narinfo.extra(dedup::FIELD).expect("a chunk index");
    (url.cid, cid::parse(index).expect("a CID"))
}

/// Waits until an item is on IPFS, and returns its narinfo.
fn published(program: &Program, item: &str) -> NarInfo {
    let text = narinfo(&program.url, item, |text| text.contains("ipfs://"));
    NarInfo::parse(text.as_bytes()).expect("a narinfo")
}

/// Decompresses a file with the real `zstd -d`.
fn zstd(file: &[u8]) -> Vec<u8> {
    let mut child = Command::new("zstd")
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("zstd runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let file = file.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&file));
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success() && writing.join().expect("no panic").is_ok());
    done.stdout
}

/// Decompresses a file with two libraries, as people call them: both stop after the first frame
/// without an error.
async fn first_frame(file: &[u8]) -> [Vec<u8>; 2] {
    let mut rust = vec![];
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(file).expect("a frame");
    decoder.read_to_end(&mut rust).expect("decoded");
    let mut tokio = vec![];
    let mut decoder = async_compression::tokio::bufread::ZstdDecoder::new(file);
    tokio::io::AsyncReadExt::read_to_end(&mut decoder, &mut tokio)
        .await
        .expect("decoded");
    [rust, tokio]
}

#[test]
fn every_decoder_reads_the_nar_that_kubo_has() {
    let kubo = Kubo::start();
    let dir = trees();
    let program = publish(dir.path(), &["one"], &kubo);
    let narinfo = published(&program, &program.item());
    let (root, index) = root_and_index(&narinfo);
    let file = bytes(kubo.ipfs().args(["cat", &root.to_string()]));
    let nar = zstd(&file);
    assert_eq!(Sha256::of(&nar), narinfo.nar_hash());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for decoded in runtime.block_on(first_frame(&file)) {
        assert_eq!(Sha256::of(&decoded), narinfo.nar_hash());
    }
    // The program serves the same bytes over HTTP, and Kubo's gateway serves any range of them.
    let client = reqwest::blocking::Client::new();
    let entry = narinfo
        .entries()
        .iter()
        .find(|entry| !entry.is_ipfs())
        .expect("an HTTP entry");
    let plain = client
        .get(format!("{}/{}", program.url, entry.url))
        .send()
        .expect("a response");
    assert!(plain.bytes().expect("a body") == file);
    assert_eq!(entry.file_size, Some(file.len() as u64));
    let url = format!("{}/ipfs/{root}", kubo.gateway_url());
    for (from, to) in [
        (0, 5),
        (3, 70_000),
        (1_000_000, 1_100_001),
        (file.len() - 4, file.len() - 1),
    ] {
        let range = client
            .get(&url)
            .header("Range", format!("bytes={from}-{to}"));
        let part = range.send().expect("a response").bytes().expect("a body");
        assert!(part == file[from..=to], "{from}-{to}");
    }
    for pinned in [root, index] {
        output(
            kubo.ipfs()
                .args(["pin", "ls", "--type=recursive", &pinned.to_string()]),
        );
    }
    // The chunk index leads to the blocks of each piece.
    let block = bytes(kubo.ipfs().args(["block", "get", &index.to_string()]));
    let index = Index::decode(&block).expect("an index");
    let IndexBody::Pieces(pieces) = index.body else {
        panic!("few pieces");
    };
    for entry in covering(&pieces, 1_000_000..1_500_000) {
        let plain = piece(&kubo, entry);
        let start = entry.offset as usize;
        assert!(plain == nar[start..start + plain.len()]);
    }
}

/// Returns the content of a piece from Kubo's blocks.
fn piece(kubo: &Kubo, entry: &PieceEntry) -> Vec<u8> {
    let leaf = |cid: Cid| bytes(kubo.ipfs().args(["block", "get", &cid.to_string()]));
    let compressed: Vec<u8> = entry.cids().flat_map(leaf).collect();
    entry.open(&compressed).expect("a piece")
}

/// Two items share a file, so the second one adds only a few blocks to Kubo.
#[test]
fn a_second_item_adds_only_its_new_blocks_to_kubo() {
    let kubo = Kubo::start();
    let dir = trees();
    let size = || {
        let local = bytes(kubo.ipfs().args(["repo", "stat", "--size-only"]));
        let local = String::from_utf8(local).expect("text");
        let line = local
            .lines()
            .find_map(|line| line.strip_prefix("RepoSize:"));
        let size = line.and_then(|size| size.trim().parse::<u64>().ok());
        size.expect("a size")
    };
    let before = size();
    let program = publish(dir.path(), &["one"], &kubo);
    let one = published(&program, &program.item());
    drop(program);
    let first = size() - before;
    let program = publish(dir.path(), &["two"], &kubo);
    let two = published(&program, &program.item());
    let second = size() - before - first;
    assert_ne!(root_and_index(&one).0, root_and_index(&two).0);
    assert!(second * 5 < first, "{second} of {first}");
    // Both are complete.
    for narinfo in [&one, &two] {
        let file = bytes(
            kubo.ipfs()
                .args(["cat", &root_and_index(narinfo).0.to_string()]),
        );
        assert_eq!(Sha256::of(&zstd(&file)), narinfo.nar_hash());
    }
}
