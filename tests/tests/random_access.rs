//! `interplanar cat` and `ls` of a store item fetch only the blocks that they need, not the whole
//! item.

use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_core::dedup::{self, Index, IndexBody, IndexBuilder, PieceEntry};
use interplanar_core::hash::Sha256;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, binary, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::{noise, output};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Bytes of each large file.
const LARGE: usize = 21_000_000;

/// An item of 64 MB on IPFS: three large files and a few hundred small ones.
struct Cache {
    dir: TempDir,
    kubo: Kubo,
    _publish: Program,
    item: String,
    /// The narinfo with all its fields.
    narinfo: String,
    key: String,
}

impl Cache {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let item = dir.path().join("item");
        for folder in ["bin", "lib", "share/doc"] {
            fs::create_dir_all(item.join(folder)).expect("a folder");
        }
        for n in 0..3 {
            fs::write(item.join(format!("lib/large-{n}")), noise(n, LARGE)).expect("a file");
        }
        for n in 0..300 {
            let text = format!("{n} ").repeat(n * 3);
            fs::write(item.join(format!("share/doc/{n}")), text).expect("a file");
        }
        fs::write(item.join("bin/foo"), "#!/bin/sh\n").expect("a file");
        fs::write(item.join("share/zażółć"), "last").expect("a file");
        std::os::unix::fs::symlink("foo", item.join("bin/link")).expect("a link");
        let nix = Nix::new();
        let key = nix.key("random-1");
        fs::write(dir.path().join("key"), nix.root.read("/root/nix.sec")).expect("a key");
        let kubo = Kubo::start();
        let publish = Program::outside(&[
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--store-dir=/nix/store",
            "--compression=zstd:1",
            "--publish-tree",
            &format!("--nix-key={}", dir.path().join("key").display()),
            &format!("--cache={}", dir.path().join("cache").display()),
            &format!("--ipfs-api={}", kubo.api_url()),
            item.to_str().expect("UTF-8"),
        ]);
        let item = publish.item();
        let all = |text: &str| text.contains("ChunkIndex: ") && text.contains("Tree: ");
        let narinfo = narinfo(&publish.url, &item, all);
        // Absolute URLs, so that another server can serve this narinfo.
        let narinfo = narinfo.replace("URL: nar/", &format!("URL: {}/nar/", publish.url));
        Self {
            dir,
            kubo,
            _publish: publish,
            item,
            narinfo,
            key,
        }
    }

    /// Returns the narinfo without some fields.
    fn without(&self, fields: &[&str]) -> String {
        let has = |line: &&str| {
            !fields
                .iter()
                .any(|field| line.starts_with(&format!("{field}: ")))
        };
        let lines = self.narinfo.lines().filter(has);
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Runs the program with an upstream and a gateway.
    fn run(&self, upstream: &str, gateway: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).args([
            &format!("--upstream={upstream}"),
            &format!("--gateway={gateway}"),
            &format!("--trusted-key={}", self.key),
        ]);
        command.output().expect("the program runs")
    }

    /// Returns the content of a file of the item.
    fn file(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("item").join(path)).expect("a file")
    }

    /// Returns the chunk index and its pieces.
    fn index(&self) -> (Index, Vec<PieceEntry>) {
        let mut lines = self.narinfo.lines();
        let root = lines.find_map(|line| line.strip_prefix("ChunkIndex: "));
        let mut get = self.kubo.ipfs();
        let block = get.args(["block", "get", root.expect("an index")]).output();
        let index = Index::decode(&block.expect("ipfs runs").stdout).expect("an index");
        let IndexBody::Pieces(pieces) = index.body.clone() else {
            panic!("few pieces");
        };
        (index, pieces)
    }

    /// Adds an index of other pieces to Kubo, and returns its CID.
    fn put_index(&self, index: &Index, pieces: Vec<PieceEntry>) -> Cid {
        let (mut builder, mut blocks) = (IndexBuilder::new(index.parameters), vec![]);
        let mut sink = |block: Block| blocks.push(block);
        for piece in pieces {
            builder.add(piece, &mut sink);
        }
        let root = builder.finish(&mut sink);
        for block in blocks {
            let path = self.kubo.repo().file("block", block.data());
            let mut put = self.kubo.ipfs();
            put.args(["block", "put", "--cid-codec=dag-cbor", "--mhtype=sha2-256"]);
            assert_eq!(output(put.arg(path)).trim(), block.cid().to_string());
        }
        root
    }
}

/// Starts an upstream that responds with this narinfo to every request, and returns its URL.
fn upstream(narinfo: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            let head = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty());
            assert!(head.count() > 0);
            let length = narinfo.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            // The client may have closed the connection.
            drop(stream.write_all((head + &narinfo).as_bytes()));
        }
    });
    url
}

/// Returns what a command wrote to standard error.
fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_small_file_of_a_large_item_takes_an_index_and_a_few_pieces() {
    let cache = Cache::new();
    let (_, pieces) = cache.index();
    let framing = pieces.iter().filter(|piece| piece.compressed < 100_000);
    let framing: u64 = framing.map(|piece| u64::from(piece.compressed)).sum();
    assert!(framing < 200_000, "{framing}");
    let of_index = upstream(cache.without(&["Tree"]));
    let of_tree = upstream(cache.narinfo.clone());
    let fetch = |upstream: &str, arguments: &[&str]| {
        let gateway = Relay::new(&cache.kubo.gateway_url(), Fault::None);
        let done = cache.run(upstream, &gateway.url, arguments);
        assert!(done.status.success(), "{}", errors(&done));
        (done.stdout.clone(), gateway.bytes(), errors(&done))
    };
    let inside = format!("{}/share/zażółć", cache.item);
    // The last file is the worst case: all framing is before it. The first one takes fewer bytes.
    let (content, transferred, told) = fetch(&of_index, &["cat", &inside]);
    assert_eq!(content, b"last");
    assert!(transferred < 300_000, "{transferred}");
    assert!(
        told.contains("verified against") && told.contains("--whole"),
        "{told}"
    );
    let (content, first, _) = fetch(&of_index, &["cat", &cache.item, "bin/foo"]);
    assert_eq!(content, b"#!/bin/sh\n");
    assert!(first < transferred, "{first} of {transferred}");
    let (content, by_path, told) = fetch(&of_tree, &["cat", &inside]);
    assert_eq!(content, b"last");
    assert!(by_path < 40_000, "{by_path}");
    assert!(told.contains("verified against"), "{told}");
    // Without an index, the file comes from the plain NAR.
    let of_plain = upstream(cache.without(&["Tree", "ChunkIndex"]));
    let (content, transferred, told) = fetch(&of_plain, &["cat", &inside]);
    assert_eq!(content, b"last");
    assert!(transferred < 700_000, "{transferred}");
    assert!(told.contains("verified against"), "{told}");
    // A large file takes its own pieces, and no others.
    for upstream in [&of_index, &of_tree, &of_plain] {
        let (content, transferred, _) = fetch(upstream, &["cat", &cache.item, "lib/large-1"]);
        assert!(content == cache.file("lib/large-1"));
        // The fetch engine requests a CAR before it requests a plain file.
        assert!(transferred < LARGE as u64 + (4 << 20), "{transferred}");
    }
    let (listed, transferred, _) = fetch(&of_index, &["ls", &cache.item, "--json"]);
    assert!(transferred < 300_000, "{transferred}");
    let (whole, transferred, told) = fetch(&of_index, &["ls", &cache.item, "--json", "--whole"]);
    assert!(listed == whole && listed.len() > 10_000);
    let (by_plain, _, _) = fetch(&of_plain, &["ls", &cache.item, "--json"]);
    assert!(by_plain == whole);
    assert!(transferred > 3 * LARGE as u64, "{transferred}");
    assert!(
        told.contains("signed NarHash") && !told.contains("--whole"),
        "{told}"
    );
    // These paths don't exist, or are no files.
    for path in ["bin/bar", "bin/link", "bin", "bin/foo/x"] {
        let done = cache.run(
            &of_index,
            &cache.kubo.gateway_url(),
            &["cat", &cache.item, path],
        );
        assert_eq!(
            (done.status.code(), done.stdout.len()),
            (Some(4), 0),
            "{path}: {}",
            errors(&done)
        );
    }
}

#[test]
fn a_wrong_index_costs_the_whole_nar_or_an_error_and_no_wrong_byte() {
    let cache = Cache::new();
    let (index, pieces) = cache.index();
    let gateway = cache.kubo.gateway_url();
    // Without the other hints, only the whole NAR is left.
    let text = cache.without(&["Tree", dedup::FIELD]);
    let plain = text
        .find("URL: ipfs://")
        .zip(text.find("Compression: none"));
    assert!(plain.is_some(), "{text}");
    let text = text.replace("URL: ipfs://", "URL: unknown://");
    let narinfo = |value: &str| format!("{text}{}: {value}\n", dedup::FIELD);
    let mut wrong_hash = pieces.clone();
    wrong_hash[0].plain = Sha256::of(b"another piece");
    let mut swapped = pieces.clone();
    swapped.swap(0, pieces.len() - 1);
    let (last, longer) = (pieces.len() - 1, pieces.len() - 2);
    let mut other_lengths = pieces.clone();
    other_lengths[last].length -= 1;
    other_lengths[longer].length += 1;
    let mut short = pieces.clone();
    short.pop();
    let absent = Block::raw("nobody has this".into()).cid().to_string();
    let wrong_indexes = [wrong_hash, swapped, other_lengths, short]
        .map(|pieces| cache.put_index(&index, pieces).to_string());
    let last_file = format!("{}/share/zażółć", cache.item);
    for index in wrong_indexes
        .iter()
        .chain([&absent, &"nonsense".to_owned()])
    {
        let upstream = upstream(narinfo(index));
        let done = cache.run(&upstream, &gateway, &["cat", &last_file]);
        assert!(done.status.success(), "{index}: {}", errors(&done));
        assert_eq!(done.stdout, b"last", "{index}");
        assert!(
            errors(&done).contains("has the signed NarHash"),
            "{}",
            errors(&done)
        );
    }
    // Another file replaces the plain NAR. The client also tries it for the whole NAR, sees that it is
    // no NAR, and takes the next source.
    let other = cache.kubo.repo().file("other", &noise(9, 3_000_000));
    let mut add = cache.kubo.ipfs();
    let other = output(add.args(["add", "-Q", "--cid-version=1"]).arg(other));
    let lines = cache
        .narinfo
        .lines()
        .filter(|line| !line.starts_with("Tree: "));
    let lines = lines.filter(|line| !line.starts_with("ChunkIndex: "));
    let lines = lines.map(|line| match line.starts_with("URL: ipfs://") {
        true => format!("URL: ipfs://{}\n", other.trim()),
        false => format!("{line}\n"),
    });
    let wrong_nar = upstream(lines.collect());
    let done = cache.run(&wrong_nar, &gateway, &["cat", &last_file]);
    let shown = errors(&done);
    assert_eq!(
        (done.status.code(), done.stdout.as_slice()),
        (Some(0), b"last".as_slice()),
        "{shown}"
    );
    assert!(shown.contains("the source sent wrong data"), "{shown}");
    assert!(shown.contains("has the signed NarHash"), "{shown}");
    // The file's second piece is wrong. By then, the first bytes of the file are already written.
    let large = noise(1, LARGE);
    let first = pieces
        .iter()
        .position(|piece| piece.compressed > 200_000)
        .expect("a large piece");
    let mut late = pieces;
    late[first + 2].plain = Sha256::of(b"another piece");
    let upstream = upstream(narinfo(&cache.put_index(&index, late).to_string()));
    let done = cache.run(&upstream, &gateway, &["cat", &cache.item, "lib/large-0"]);
    assert_eq!(done.status.code(), Some(3), "{}", errors(&done));
    assert!(errors(&done).contains("chunk index"), "{}", errors(&done));
    assert!(!done.stdout.is_empty() && noise(0, LARGE).starts_with(&done.stdout));
    // With `--whole`, the client uses no hints.
    let done = cache.run(
        &upstream,
        &gateway,
        &["cat", &cache.item, "lib/large-1", "--whole"],
    );
    assert!(
        done.status.success() && done.stdout == large,
        "{}",
        errors(&done)
    );
}
