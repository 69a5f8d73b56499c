//! `make bench-delta`: the time to index installed items, to look pieces up, and to fetch the
//! missing ones over a link with 25 ms of latency.
//!
//! Programs that differ only in their first bytes stand for a rebuild: many missing pieces of 2 KiB
//! between megabytes that are installed. `interplanar get` is timed against a plain `curl` of one
//! CAR, from the same Kubo and with as many leaves and bytes. There are two figures: the time on
//! the link, from the first request to the last byte; and the time of the whole program, which also
//! assembles a NAR of 66 MB. No figure fails a build.

use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use interplanar_server::installed::{Installed, MAX_BYTES};
use interplanar_server::store::{
    Source,
    trees::{Tree, Trees},
};
use interplanar_tests::cache::publish;
use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::slow_link::SlowLink;
use interplanar_tests::{noise, output};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const LATENCY: Duration = Duration::from_millis(25);
/// Bytes per second of the links.
const RATES: [Option<u64>; 2] = [None, Some(20_000_000 / 8)];
/// The number of programs of an item.
const PROGRAMS: u64 = 500;
/// Bytes of each program.
const PROGRAM: usize = 128 << 10;
/// Bytes at the start of each program that a rebuild changes.
const HEAD: usize = 2 << 10;

fn main() {
    // `cargo test --benches` only checks that this builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    fetching();
    looking_up();
}

/// Measures how fast an installed item of 1 GiB is indexed, and its pieces are looked up.
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
    let mut collector = PieceCollector(Cutter::new(parameters, References::default()), Vec::new());
    store.dump(&item, &mut collector).expect("a NAR");
    let wanted = collector.1;
    let size = item.nar_size as f64;
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

/// Cuts a NAR into pieces, and collects their hashes and lengths.
struct PieceCollector(Cutter, Vec<(Sha256, u32)>);

impl std::io::Write for PieceCollector {
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

/// The machines, servers and items of the fetches.
struct Setup {
    kubo: Kubo,
    publish: Program,
    client: Guix,
    relay: Relay,
    /// An item, its rebuild, and another version that shares nothing with them.
    items: Vec<String>,
}

impl Setup {
    fn new() -> Self {
        let (kubo, publisher, client) = (Kubo::start(), Guix::new(), Guix::new());
        let items = add(&publisher, &["1.0", "1.1", "2.0"]);
        client.authorize(&publisher.key());
        let publish = publish(&publisher.root, &kubo, &[]);
        for item in &items {
            drop(narinfo(&publish.url, item, |text| text.contains("ipfs://")));
        }
        assert_eq!(add(&client, &["1.0"])[0], items[0]);
        let relay = Relay::new(&kubo.gateway_url(), Fault::None);
        Self {
            kubo,
            publish,
            client,
            relay,
            items,
        }
    }

    /// Fetches an item over the link, without cached blocks. Returns the times of the program and
    /// on the link.
    fn get(&self, link: &SlowLink, item: &str, more: &[&str]) -> [Duration; 2] {
        let cached = ["/var/cache/get/blocks", "/var/cache/get/fetched"];
        output(self.client.root.command("rm").arg("-rf").args(cached));
        let mut get = self.client.root.command("interplanar");
        get.args(["get", item, "--output=/dev/null", "--quiet"])
            // Keeps the index of the installed item.
            .arg("--cache=/var/cache/get")
            .args([
                format!("--upstream={}", self.publish.url),
                format!("--gateway={}", link.url),
            ])
            .args(more);
        let _ = link.transfer_time();
        let whole = timed(&mut get);
        [whole, link.transfer_time()]
    }

    /// Adds a file with so many bytes and leaves, and returns the path of its CAR.
    fn one_car(&self, bytes: u64, leaves: u64) -> String {
        let content = noise(77, usize::try_from(bytes).expect("few"));
        let file = self.kubo.repo().file("car", &content);
        let chunker = format!("--chunker=size-{}", bytes / leaves);
        let mut add = self.kubo.ipfs();
        add.args(["add", "-Q", "--cid-version=1", &chunker])
            .arg(file);
        format!("/ipfs/{}?format=car", output(&mut add).trim())
    }
}

/// Fetches a path with `curl`. Returns the times of the program and on the link.
fn curl(link: &SlowLink, path: &str) -> [Duration; 2] {
    let _ = link.transfer_time();
    let url = format!("{}{path}", link.url);
    let whole = timed(Command::new("curl").args(["-sf", "-o", "/dev/null", &url]));
    [whole, link.transfer_time()]
}

/// Fetches a rebuild against one CAR of the same bytes, and an item that shares nothing against a
/// plain download.
fn fetching() {
    let setup = Setup::new();
    for rate in RATES {
        let link = SlowLink::new(&setup.relay.url, LATENCY, rate);
        let name = rate.map_or("unlimited".to_owned(), |rate| {
            format!("{} Mbit/s", rate * 8 / 1_000_000)
        });
        println!("{} ms away, {name}:", LATENCY.as_millis());
        // Indexes the installed item.
        setup.get(&link, &setup.items[1], &[]);
        for prefer in ["balance", "bytes", "time"] {
            rebuild(&setup, &link, &format!("--prefer={prefer}"));
        }
        unshared(&setup, &link, rate);
    }
}

fn rebuild(setup: &Setup, link: &SlowLink, prefer: &str) {
    let before = setup.relay.seen().len();
    setup.get(link, &setup.items[1], &[prefer]);
    let seen = setup.relay.seen().split_off(before);
    let bytes: u64 = seen.iter().map(|seen| seen.bytes).sum();
    let car = setup.one_car(bytes, PROGRAMS);
    let (mut ours, mut theirs) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..ROUNDS {
        let times = setup.get(link, &setup.items[1], &[prefer]);
        times
            .into_iter()
            .zip(&mut ours)
            .for_each(|(one, all)| all.push(one));
        let times = curl(link, &car);
        times
            .into_iter()
            .zip(&mut theirs)
            .for_each(|(one, all)| all.push(one));
    }
    let median = |times: Vec<Duration>| summary(times).0;
    let ([program, line], [curl, car]) = (ours.map(median), theirs.map(median));
    println!(
        "  a rebuild, {prefer}: {} KB in {} requests; on the link {:.2} of one CAR of the same bytes ({line:.0} and {car:.0} ms; wanted: 1.5), the programs {:.2} ({program:.0} and {curl:.0} ms)",
        bytes / 1000,
        seen.len(),
        line / car,
        program / curl,
    );
}

/// Fetches an item that shares nothing, so the chunk index is of no use.
fn unshared(setup: &Setup, link: &SlowLink, rate: Option<u64>) {
    let (mut ours, mut plain) = (vec![], vec![]);
    for _ in 0..rate.map_or(ROUNDS, |_| 1) {
        plain.push(setup.get(link, &setup.items[2], &["--no-delta"])[0]);
        ours.push(setup.get(link, &setup.items[2], &[])[0]);
    }
    let ((ours, _), (plain, _)) = (summary(ours), summary(plain));
    println!(
        "  nothing shared, against a plain download: {:.2} ({ours:.0} and {plain:.0} ms; wanted: 1.10)",
        ours / plain
    );
}

/// Adds versions of a package to the store, and returns their store paths.
fn add(machine: &Guix, versions: &[&str]) -> Vec<String> {
    for (number, version) in (1..).zip(versions) {
        for program in 0..PROGRAMS {
            // Versions of one major number are rebuilds of each other.
            let major = if version.starts_with('1') {
                0
            } else {
                1_000_000
            };
            let mut content = noise(major + program, PROGRAM);
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

/// Returns the median and the maximum, in milliseconds.
fn summary(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let worst = times.last().copied().unwrap_or_default();
    (millis(times[times.len() / 2]), millis(worst))
}
