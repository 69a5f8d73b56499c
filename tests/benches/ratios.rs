//! `make bench`: throughput and memory of Interplanar, as ratios against a named program in the
//! same run.
//!
//! Each line has the median of several rounds. The programs take turns, so that noise hits both. No
//! figure fails a build.

use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::output;
use interplanar_tests::program::{Program, binary, free_port, narinfo};
use interplanar_tests::root::wait_until;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const MIB: u64 = 1 << 20;

fn main() {
    // `cargo test --benches` only checks that this builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    publishing(folder.path());
    fetching(folder.path());
    memory(folder.path());
    narinfos(folder.path());
}

/// Publishes an item without compression (hash, chunk, build the DAG, store), against `ipfs add` of
/// the same bytes.
fn publishing(folder: &Path) {
    let tree = folder.join("published");
    std::fs::create_dir(&tree).expect("a folder");
    let file = random_file(&tree.join("content"), 512 * MIB);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let repo = Repo::new();
        let mut add = repo.ipfs();
        add.args(["add", "-Q", "--chunker=size-1048576", "--cid-version=1"])
            .arg(&file);
        theirs.push(timed(|| drop(output(&mut add))));
        let cache = format!(
            "--cache={}",
            folder.join(format!("cache-{round}")).display()
        );
        let tree = tree.to_str().expect("UTF-8");
        // `publish` reads the folder once to compute its store path. An item of a store has its
        // hash already, so that time doesn't count.
        let program =
            Program::outside(&["publish", "--port=0", "--compression=none", &cache, tree]);
        let item = program.item();
        ours.push(timed(|| {
            drop(narinfo(&program.url, &item, |text| {
                text.contains("ipfs://")
            }));
        }));
        drop(program);
        drop(std::fs::remove_dir_all(
            folder.join(format!("cache-{round}")),
        ));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "publish, 512 MiB, compression none: {:.2} of the throughput of `ipfs add` ({:.0} against {:.0} MiB/s)",
        theirs.as_secs_f64() / ours.as_secs_f64(),
        512.0 / ours.as_secs_f64(),
        512.0 / theirs.as_secs_f64(),
    );
}

/// Fetches and verifies a file from Kubo's gateway on loopback, against a plain `curl` of the same
/// CID.
fn fetching(folder: &Path) {
    let kubo = Kubo::start();
    let file = random_file(&folder.join("fetched"), 400 * MIB);
    let mut add = kubo.ipfs();
    let cid = output(
        add.args(["add", "-Q", "--chunker=size-1048576", "--cid-version=1"])
            .arg(&file),
    );
    let cid = cid.trim();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut curl = Command::new("curl");
        curl.args([
            "-sf",
            "-o",
            "/dev/null",
            &format!("{}/ipfs/{cid}", kubo.gateway_url()),
        ]);
        theirs.push(timed(|| drop(output(&mut curl))));
        let mut get = Command::new(binary());
        get.args([
            "get",
            &format!("ipfs://{cid}"),
            "--output=/dev/null",
            "--quiet",
            &format!("--gateway={}", kubo.gateway_url()),
        ]);
        ours.push(timed(|| drop(output(&mut get))));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "verified fetch, 400 MiB: {:.2} of the throughput of plain `curl` ({:.0} against {:.0} MiB/s)",
        theirs.as_secs_f64() / ours.as_secs_f64(),
        400.0 / ours.as_secs_f64(),
        400.0 / theirs.as_secs_f64(),
    );
}

/// Measures the memory of `publish` and `proxy` above idle, for an item of 1 GiB.
fn memory(folder: &Path) {
    let tree = folder.join("large");
    std::fs::create_dir(&tree).expect("a folder");
    random_file(&tree.join("content"), 1024 * MIB);
    let cache = format!("--cache={}", folder.join("large-cache").display());
    let key = folder.join("key");
    let publish = Program::outside(&[
        "publish",
        "--port=0",
        "--compression=zstd:1",
        &cache,
        &format!("--nix-key={}", nix_key(&key)),
        "--store-dir=/nix/store",
    ]);
    let idle = resident(&publish, "VmRSS");
    drop(publish);
    let publish = Program::outside(&[
        "publish",
        "--port=0",
        "--compression=zstd:1",
        "--store-dir=/nix/store",
        &format!("--nix-key={}", key.display()),
        &cache,
        tree.to_str().expect("UTF-8"),
    ]);
    let item = publish.item();
    wait_until_long(|| {
        let base = item.rsplit('/').next().expect("a base name");
        reqwest::blocking::get(format!("{}/{}.narinfo", publish.url, &base[..32]))
            .is_ok_and(|answer| answer.text().is_ok_and(|text| text.contains("ipfs://")))
    });
    println!(
        "publish, an item of 1 GiB: {} MiB above idle at its peak",
        resident(&publish, "VmHWM").saturating_sub(idle)
    );

    let public = std::fs::read_to_string(key.with_extension("pub")).expect("the public key");
    let proxy = Program::outside(&[
        "proxy",
        "--port=0",
        &format!("--cache={}", folder.join("proxy-cache").display()),
        &format!("--upstream={}", publish.url),
        &format!("--gateway={}", publish.url),
        &format!("--trusted-key={}", public.trim()),
    ]);
    let idle = resident(&proxy, "VmRSS");
    let text = narinfo(&proxy.url, &item, |_| true);
    let nar = text
        .lines()
        .find_map(|line| line.strip_prefix("URL: "))
        .expect("an entry");
    output(Command::new("curl").args(["-sf", "-o", "/dev/null", &format!("{}/{nar}", proxy.url)]));
    println!(
        "proxy, an item of 1 GiB: {} MiB above idle at its peak",
        resident(&proxy, "VmHWM").saturating_sub(idle)
    );
}

/// Serves one narinfo to 200 clients, against nginx with the same bytes in a file.
fn narinfos(folder: &Path) {
    let tree = folder.join("small");
    std::fs::create_dir(&tree).expect("a folder");
    std::fs::write(tree.join("file"), "content").expect("a file");
    let cache = format!("--cache={}", folder.join("small-cache").display());
    let publish = Program::outside(&["publish", "--port=0", &cache, tree.to_str().expect("UTF-8")]);
    let item = publish.item();
    let text = narinfo(&publish.url, &item, |text| text.contains("ipfs://"));
    let base = item.rsplit('/').next().expect("a base name");
    let name = format!("{}.narinfo", &base[..32]);

    let site = folder.join("site");
    std::fs::create_dir(&site).expect("a folder");
    std::fs::write(site.join(&name), text).expect("a file");
    let port = free_port();
    let settings = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log /dev/null; events {{ worker_connections 1024; }}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {1}; default_type text/x-nix-narinfo; }} }}",
        folder.display(),
        site.display(),
    );
    std::fs::write(folder.join("nginx.conf"), settings).expect("its settings");
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut nginx = Command::new("nginx")
        .env("PATH", path)
        .args(["-c".as_ref(), folder.join("nginx.conf").as_os_str()])
        .spawn()
        .expect("nginx");
    let static_url = format!("http://127.0.0.1:{port}/{name}");
    wait_until("nginx", || reqwest::blocking::get(&static_url).is_ok());

    let (mut ours, mut theirs, mut errors) = (Vec::new(), Vec::new(), 0);
    for _ in 0..3 {
        let (rate, failed) = load(&format!("{}/{name}", publish.url));
        ours.push(rate);
        errors += failed;
        theirs.push(load(&static_url).0);
    }
    drop(nginx.kill());
    drop(nginx.wait());
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "narinfos, 200 clients: {:.2} of the requests per second of nginx with a file ({ours} against {theirs}), {errors} errors",
        f64::from(ours) / f64::from(theirs),
    );
}

/// Runs `wrk` with 200 connections. Returns requests per second, and failures.
fn load(url: &str) -> (u32, u32) {
    let report = output(Command::new("wrk").args(["-t2", "-c200", "-d5s", "--timeout=10s", url]));
    let number = |line: &str| {
        line.split(|c: char| !c.is_ascii_digit() && c != '.')
            .find_map(|word| word.parse::<f64>().ok())
    };
    let rate = report
        .lines()
        .find(|line| line.starts_with("Requests/sec"))
        .and_then(number)
        .expect("wrk's rate");
    let errors = report
        .lines()
        .filter(|line| line.contains("Socket errors") || line.contains("Non-2xx"))
        .flat_map(|line| {
            line.split(|c: char| !c.is_ascii_digit())
                .filter_map(|word| word.parse::<u32>().ok())
        })
        .sum();
    (rate as u32, errors)
}

/// Generates a Nix key pair in `path` and `path.pub`, and returns the path.
fn nix_key(path: &Path) -> String {
    let root = interplanar_tests::nix::Nix::new();
    let public = root.key("bench-1");
    std::fs::write(path, root.root.read("/root/nix.sec")).expect("a key");
    std::fs::write(path.with_extension("pub"), public).expect("a key");
    path.display().to_string()
}

/// Returns a field of `/proc/PID/status` of a process, in MiB.
fn resident(program: &Program, field: &str) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", program.id())).expect("its status");
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .expect("the field");
    let kib: u64 = line
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a number");
    kib / 1024
}

fn random_file(path: &Path, length: u64) -> PathBuf {
    let mut random = std::io::Read::take(
        std::fs::File::open("/dev/urandom").expect("urandom"),
        length,
    );
    let mut file = std::fs::File::create(path).expect("a file");
    std::io::copy(&mut random, &mut file).expect("random bytes");
    path.to_owned()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median<T: Ord + Copy>(mut figures: Vec<T>) -> T {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

/// As [`wait_until`], with ten minutes of patience.
fn wait_until_long(mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "waited ten minutes for a bake"
        );
        std::thread::park_timeout(Duration::from_millis(200));
    }
}
