//! `make bench-delta`: what it costs to know what installed items have, and to fetch the rest from 25 ms away.
//!
//! Programs whose heads alone differ stand for a rebuild: many pieces of 2 KiB between megabytes that are here. It is timed against one CAR with as many leaves and
//! bytes, from the same Kubo, by plain `curl`. Nothing here can fail a build.

use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use interplanar_server::installed::{Installed, MAX_BYTES};
use interplanar_server::store::{
    Source,
    trees::{Tree, Trees},
};
use interplanar_tests::far::far_away;
use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::{noise, output};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const LATENCY: Duration = Duration::from_millis(25);
/// Programs of a rebuild, and their bytes.
const PROGRAMS: u64 = 500;
const PROGRAM: usize = 128 << 10;
/// What a linker changes at the front of each.
const HEAD: usize = 2 << 10;

fn main() {
    // `cargo test --benches` only asks whether this builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    fetching();
    looking_up();
}

/// An installed item of 1 GiB: to index it, and to look its index up.
fn looking_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large-1.0");
    std::fs::create_dir(&path).expect("a folder");
    for file in 0..64 {
        std::fs::write(path.join(file.to_string()), noise(file, 16 << 20)).expect("a file");
    }
    let trees = [Tree { path, name: None }];
    let store: Arc<dyn Source> = Arc::new(Trees::open(&trees, "/gnu/store").expect("a store"));
    let item = store.items(None, 1).expect("items").remove(0);
    let parameters = Parameters::default();
    let mut cutting = Cutting(Cutter::new(parameters, References::default()), Vec::new());
    store.dump(&item, &mut cutting).expect("a NAR");
    let wanted = cutting.1;
    let size = item.nar_size as f64;
    // Another version of it, and what is in no way like it.
    let path = |name: &str| {
        let path = format!("/gnu/store/{}-{name}", "0".repeat(32));
        StorePath::parse(&path).expect("a path")
    };
    let open = || {
        let index = folder.path().join("index");
        let installed = Installed::of(vec![Arc::clone(&store)], &index, MAX_BYTES);
        Arc::new(installed.expect("an index"))
    };
    let look = |installed: &Arc<Installed>, name: &str, wanted: &[(Sha256, u32)]| {
        let start = Instant::now();
        let found = installed.pieces(installed.candidates(&path(name)), &parameters, wanted);
        (start.elapsed(), found)
    };
    let installed = open();
    let start = Instant::now();
    let indexer = installed.start().expect("a thread");
    while installed.progress().items.load(Ordering::Relaxed) == 0 {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let rate = size / 1e6 / start.elapsed().as_secs_f64();
    drop(indexer);
    println!("index an installed item of 1 GiB: {rate:.0} MB/s of one core (wanted: 400)");
    let installed = open();
    for (name, kind) in [
        ("large-1.1", "another version"),
        ("other-1.1", "another package"),
    ] {
        let one = || {
            let (time, found) = look(&installed, name, &wanted);
            assert!(wanted.iter().all(|(plain, _)| found.find(plain).is_some()));
            time
        };
        let (median, worst) = summary((0..21).map(|_| one()).collect());
        println!("look it up for {kind}: {median:.1} ms, {worst:.1} ms at worst (wanted: 2)");
    }
    let strange = wanted
        .iter()
        .map(|(plain, length)| (Sha256::of(plain.as_bytes()), *length));
    let strange: Vec<_> = strange.collect();
    let (median, worst) = summary(
        (0..21)
            .map(|_| look(&installed, "other-1.1", &strange).0)
            .collect(),
    );
    println!("look for as much that isn't there: {median:.1} ms, {worst:.1} ms at worst");
}

/// The pieces of a NAR.
struct Cutting(Cutter, Vec<(Sha256, u32)>);

impl std::io::Write for Cutting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut input = bytes;
        while let Some(cut) = self.0.push(&mut input).map_err(std::io::Error::other)? {
            if let Cut::Piece(piece) = cut {
                self.1
                    .push((Sha256::of(&piece.data), piece.data.len() as u32));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A rebuild from 25 ms away, against one CAR of the same bytes.
fn fetching() {
    let (kubo, publisher, client) = (Kubo::start(), Guix::new(), Guix::new());
    let items = add(&publisher, &["1.0", "1.1"]);
    client.authorize(&publisher.key());
    let publish = Program::inside(
        &publisher.root,
        &[
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--cache=/var/cache/publish",
            "--compression=zstd:3",
            &format!("--ipfs-api={}", kubo.api_url()),
        ],
    );
    for item in &items {
        drop(narinfo(&publish.url, item, |text| text.contains("ipfs://")));
    }
    let relay = Relay::new(&kubo.gateway_url(), Fault::None);
    let far = far_away(&relay.url, LATENCY);
    let get = |more: &[&str]| {
        let mut get = client.root.command("interplanar");
        get.args(["get", &items[1], "--output=/dev/null", "--quiet"])
            .args([
                format!("--upstream={}", publish.url),
                format!("--gateway={far}"),
            ])
            .args(more);
        get
    };
    let plain = timed(&mut get(&[]));
    let whole = relay.bytes();
    assert_eq!(add(&client, &["1.0"])[0], items[0]);
    // Indexes the installed item, which a cache remembers.
    let cached = ["--cache=/var/cache/get"];
    let before = relay.seen().len();
    let first = timed(&mut get(&cached));
    let seen = relay.seen().split_off(before);
    let bytes: u64 = seen.iter().map(|seen| seen.bytes).sum();
    let leaf = bytes / PROGRAMS;
    let car = kubo
        .repo()
        .file("car", &noise(77, usize::try_from(bytes).expect("few")));
    let mut add = kubo.ipfs();
    add.args([
        "add",
        "-Q",
        "--cid-version=1",
        &format!("--chunker=size-{leaf}"),
    ])
    .arg(car);
    let cid = output(&mut add);
    let car = format!("{far}/ipfs/{}?format=car", cid.trim());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        output(client.root.command("rm").args([
            "-rf",
            "/var/cache/get/blocks",
            "/var/cache/get/fetched",
        ]));
        ours.push(timed(&mut get(&cached)));
        theirs.push(timed(Command::new("curl").args([
            "-sf",
            "-o",
            "/dev/null",
            &car,
        ])));
    }
    let ((ours, _), (theirs, _)) = (summary(ours), summary(theirs));
    println!(
        "a rebuild, {} ms away: {} KB of {} KB fetched in {} requests",
        LATENCY.as_millis(),
        bytes / 1000,
        whole / 1000,
        seen.len()
    );
    println!(
        "its time against one CAR of the same bytes: {:.2} ({ours:.0} and {theirs:.0} ms; wanted: 1.5)",
        ours / theirs
    );
    println!(
        "its time against a whole fetch: {:.2}; with the installed item indexed: {:.2}",
        ours / millis(plain),
        millis(first) / millis(plain)
    );
}

/// Adds versions of a package to the store.
fn add(machine: &Guix, versions: &[&str]) -> Vec<String> {
    for (number, version) in (1..).zip(versions) {
        for program in 0..PROGRAMS {
            let mut content = noise(program, PROGRAM);
            content[..HEAD].copy_from_slice(&noise(number * 10_000 + program, HEAD));
            content[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
            machine
                .root
                .write(&format!("/root/tool-{version}/bin/{program}"), content);
        }
    }
    let add = |version: &&str| {
        let script = format!(
            "(use-modules (guix store)) (display (add-to-store (open-connection) \"tool-{version}\" #t \"sha256\" \"/root/tool-{version}\"))"
        );
        machine.root.write("/root/add.scm", script);
        output(
            machine
                .root
                .command("guix")
                .args(["repl", "--", "/root/add.scm"]),
        )
        .trim()
        .to_owned()
    };
    versions.iter().map(add).collect()
}

fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    drop(output(command));
    start.elapsed()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Median and worst, in milliseconds.
fn summary(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let worst = times.last().copied().unwrap_or_default();
    (millis(times[times.len() / 2]), millis(worst))
}
