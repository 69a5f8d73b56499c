//! `make bench-web`: the npm package against a plain `fetch` and @helia/verified-fetch, as ratios
//! in the same run.
//!
//! Each line has the median of several rounds. The programs take turns, so that noise hits all of
//! them. The first rounds warm up and don't count; modules and nodes are made before the clock
//! starts. No figure fails a build. `scripts/bench-web node` measures one part: sizes, decoding,
//! node, chromium or small.

use interplanar_core::decompress::{Decoder, Limits};
use interplanar_core::narinfo::Compression;
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::slow_link::SlowLink;
use interplanar_tests::web::run_script;
use interplanar_tests::{checkout, output};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Processes of each kind.
const ROUNDS: usize = 5;
/// Fetches of a process that count.
const COUNTED: usize = 3;
/// Fetches of a process that warm it up.
const WARM: usize = 2;
const LATENCY: Duration = Duration::from_millis(25);

fn main() {
    // `cargo test --benches` only checks that this builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let folder = tempfile::tempdir().expect("a folder");
    let package = build(folder.path(), "full");
    if wanted("sizes") {
        sizes(folder.path(), &package);
    }
    if wanted("decoding") {
        decoding(folder.path(), &package);
    }
    let repo = Repo::new();
    let bytes = random(100 << 20);
    let files = [
        ("1 MiB", add(&repo, &bytes, "--chunker=size-1048576")),
        ("256 KiB", add(&repo, &bytes, "--chunker=size-262144")),
    ];
    let small: Vec<Value> = (0..WARM + COUNTED).map(|n| small_files(&repo, n)).collect();
    let kubo = Kubo::with(repo);
    for (blocks, cid) in &files {
        if wanted("node") {
            in_node(&package, &kubo, blocks, cid);
        }
        if wanted("chromium") {
            in_chromium(&package, &kubo, blocks, cid);
        }
    }
    if wanted("small") {
        many_small(&package, &kubo, &small);
    }
}

/// Builds the package with some features, and returns its folder.
fn build(folder: &Path, features: &str) -> PathBuf {
    let folder = folder.join(features);
    let mut build = Command::new(checkout().join("scripts/wasm"));
    output(build.arg(&folder).arg(features));
    folder
}

fn sizes(folder: &Path, full: &Path) {
    let fetcher = build(folder, "bindings");
    let zstd = build(folder, "zstd");
    let packages = [fetcher.as_path(), zstd.as_path(), full];
    let scripts = run_script("sizes.mjs", &json!({ "packages": packages }));
    let bytes = |of: &Value| of.as_f64().expect("bytes");
    let kb = |bytes: f64| bytes / 1000.0;
    println!(
        "gzipped: @helia/verified-fetch, http only {:.0} KB, its default {:.0} KB",
        kb(bytes(&scripts["http"])),
        kb(bytes(&scripts["whole"])),
    );
    let whats = [
        ("fetcher", 100),
        ("with zstd", 150),
        ("with all decoders and signatures", 300),
    ];
    for (index, (what, budget)) in whats.into_iter().enumerate() {
        let mut gzip = Command::new("gzip");
        let module = packages[index].join("interplanar_bg.wasm");
        let module = gzip.args(["-9", "-c"]).arg(module).output();
        let module = module.expect("gzip runs").stdout.len() as f64;
        let glue = bytes(&scripts["glue"][index]);
        println!(
            "gzipped: {what} {:.1} KB, of which {:.1} KB are JavaScript, of {budget} KB",
            kb(module + glue),
            kb(glue),
        );
    }
}

/// Runs the ways of fetching in turns. Returns the median milliseconds and MiB of each.
fn measure(ways: &[&str], processes: usize, job: &Value) -> Vec<(f64, f64)> {
    let mut all = vec![(Vec::new(), Vec::new()); ways.len()];
    for _ in 0..processes {
        for (way, (times, memory)) in ways.iter().zip(&mut all) {
            let mut job = job.clone();
            job["what"] = json!(way);
            let result = run_script("bench.mjs", &job);
            times.extend(numbers(&result["ms"]));
            memory.push(result["mib"].as_f64().expect("a number"));
        }
    }
    let medians = all.into_iter();
    medians
        .map(|(times, memory)| (median(times), median(memory)))
        .collect()
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list").iter();
    list.map(|number| number.as_f64().expect("a number"))
        .collect()
}

fn in_node(package: &Path, kubo: &Kubo, blocks: &str, cid: &str) {
    let sets = vec![json!({ "cids": [cid] }); WARM + COUNTED];
    let job =
        json!({ "package": package, "gateway": kubo.gateway_url(), "sets": sets, "warm": WARM });
    let whats = ["plain", "ours", "theirs, session", "theirs"];
    let measured = measure(&whats, ROUNDS, &job);
    let (plain_ms, plain_mib) = measured[0];
    for (what, (ms, mib)) in whats.iter().zip(&measured) {
        println!(
            "Node, 100 MiB in blocks of {blocks}: {what} {:.2} of the time of a plain fetch ({ms:.0} ms), {:.2} of its memory ({mib:.0} MiB)",
            ms / plain_ms,
            mib / plain_mib,
        );
    }
}

fn in_chromium(package: &Path, kubo: &Kubo, blocks: &str, cid: &str) {
    let job =
        json!({ "package": package, "gateway": kubo.gateway_url(), "cid": cid, "rounds": ROUNDS });
    let result = run_script("chromium.mjs", &job);
    let of = |name: &str| median(numbers(&result[name]));
    for what in ["ours", "theirs"] {
        println!(
            "Chromium, 100 MiB in blocks of {blocks}: {what} {:.2} of the time of a plain fetch ({:.0} against {:.0} ms)",
            of(what) / of("plain"),
            of(what),
            of("plain"),
        );
    }
    println!(
        "Chromium: {:.0} ms from instantiation to the first verified byte of a kept block",
        of("start")
    );
}

/// Adds a directory of 300 files of 4 KiB. Returns its CID and those of the files.
fn small_files(repo: &Repo, n: usize) -> Value {
    let folder = repo.path().join(format!("files/small {n}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for n in 0..300 {
        std::fs::write(folder.join(format!("file-{n}")), random(4096)).expect("a file");
    }
    let mut add = repo.ipfs();
    let said = output(
        add.args(["add", "-r", "-q", "--cid-version=1"])
            .arg(&folder),
    );
    let mut cids: Vec<&str> = said.lines().collect();
    let directory = cids.pop().expect("the directory, last");
    json!({ "root": directory, "cids": cids })
}

/// Fetches many small files. Each process gets other files, so none is cached.
fn many_small(package: &Path, kubo: &Kubo, sets: &[Value]) {
    let distant = SlowLink::new(&kubo.gateway_url(), LATENCY, None).url;
    let job = json!({ "package": package, "gateway": distant, "sets": sets, "warm": WARM });
    let mut whats = vec!["ours, as a tree", "plain", "ours", "theirs, session"];
    let mut measured = measure(&whats, ROUNDS, &job);
    // This way takes ten seconds for each set.
    let few = json!({ "package": package, "gateway": distant, "sets": &sets[..2], "warm": 1 });
    let apart = "theirs, session, one after another";
    measured.extend(measure(&[apart], 1, &few));
    whats.push(apart);
    let (ours_ms, _) = measured[0];
    for (what, (ms, _)) in whats.iter().zip(&measured) {
        println!(
            "Node, 300 files of 4 KiB, {} ms away: {what} {:.2} of the time of one tree ({ms:.0} ms)",
            LATENCY.as_millis(),
            ms / ours_ms,
        );
    }
}

/// Measures each decoder in WebAssembly, against the same code as native code.
fn decoding(folder: &Path, package: &Path) {
    let plain = folder.join("plain");
    // Some 40 MB of programs and text that every Debian has.
    output(Command::new("sh").arg("-c").arg(format!(
        "tar -C /usr -cf - lib/git-core share/perl share/doc bin 2>/dev/null | head -c 40000000 > {}",
        plain.display()
    )));
    let size = std::fs::metadata(&plain).expect("a file").len();
    for (method, command) in [
        (Compression::Gzip, "gzip -6 -c"),
        (Compression::Zstd, "zstd -q -9 -c"),
        (Compression::Lzip, "lzip -3 -c"),
        (Compression::Xz, "xz -3 -c"),
    ] {
        // These names differ from those of the packages' folders.
        let file = folder.join(format!("plain.{}", method.as_str()));
        output(Command::new("sh").arg("-c").arg(format!(
            "{command} {} > {}",
            plain.display(),
            file.display()
        )));
        let sets = vec![json!({}); WARM + COUNTED];
        let job = json!({ "package": package, "sets": sets, "warm": WARM, "file": file, "method": method.as_str(), "size": size });
        let wasm_ms = measure(&["decode"], ROUNDS, &job)[0].0;
        let bytes = std::fs::read(&file).expect("a file");
        let native_ms = median((0..3).map(|_| natively(method, &bytes, size)).collect());
        println!(
            "decoding {}: WebAssembly {:.2} of the native time ({:.0} against {:.0} MB/s)",
            method.as_str(),
            wasm_ms / native_ms,
            size as f64 / wasm_ms / 1000.0,
            size as f64 / native_ms / 1000.0,
        );
    }
}

/// Returns the milliseconds that the native decoder takes.
fn natively(method: Compression, bytes: &[u8], size: u64) -> f64 {
    let limits = Limits {
        max_output: size,
        max_window: 8 << 20,
    };
    let start = Instant::now();
    let mut decoder = Decoder::new(method, limits).expect("a decoder");
    let (mut input, mut out) = (bytes, Vec::new());
    while !input.is_empty() {
        decoder.push(&mut input, &mut out).expect("its format");
        out.clear();
    }
    while !decoder.finish(&mut out).expect("its end") {
        out.clear();
    }
    start.elapsed().as_secs_f64() * 1000.0
}

fn add(repo: &Repo, bytes: &[u8], chunker: &str) -> String {
    let file = repo.file("content", bytes);
    let mut add = repo.ipfs();
    let cid = output(
        add.args(["add", "-Q", "--cid-version=1", chunker])
            .arg(file),
    );
    cid.trim().to_owned()
}

fn random(length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let urandom = std::fs::File::open("/dev/urandom").expect("urandom");
    urandom
        .take(length)
        .read_to_end(&mut bytes)
        .expect("random bytes");
    bytes
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
