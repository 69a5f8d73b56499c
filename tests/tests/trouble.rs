//! Failures while items are published: concurrent bakes, a full disk, a Kubo that dies, and garbage
//! collection under load.

use interplanar_core::cid::IpfsUrl;
use interplanar_core::dedup::TREE_FIELD;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, NarInfo};
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, get, narinfo};
use interplanar_tests::root::wait_until;
use interplanar_tests::{noise, output};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Makes folders of `length` bytes each. All share one half of their bytes.
fn trees(folder: &Path, count: u64, length: usize) -> Vec<String> {
    let shared = noise(0, length / 2);
    let tree = |n: u64| {
        let tree = folder.join(format!("tree-{n}"));
        fs::create_dir_all(&tree).expect("a folder");
        fs::write(tree.join("own"), noise(n + 1, length / 2)).expect("a file");
        fs::write(tree.join("shared"), &shared).expect("a file");
        tree.display().to_string()
    };
    (0..count).map(tree).collect()
}

fn publish(cache: &Path, more: &[&str], trees: &[String]) -> Program {
    let trees: Vec<PathBuf> = trees.iter().map(PathBuf::from).collect();
    let options = [&["--compression=zstd:1"], more].concat();
    Program::publish(cache, &options, &trees)
}

/// Returns the store paths of folders, which the program logs.
fn items(program: &Program, trees: &[String]) -> Vec<String> {
    let item = |tree: &String| {
        let name = format!("-{}", tree.rsplit('/').next().unwrap_or_default());
        let mut found = None;
        wait_until("a store path in the log", || {
            let log = program.log();
            let words = log.split(|c: char| c.is_whitespace() || "=\"\u{1b}".contains(c));
            let mut words = words.filter(|word| word.starts_with("/gnu/store/"));
            found = words.find(|word| word.ends_with(&name)).map(str::to_owned);
            found.is_some()
        });
        found.expect("a store path")
    };
    trees.iter().map(item).collect()
}

/// Fetches every NAR that a narinfo names, and asserts that it has the signed hash.
fn check(program: &Program, text: &str) {
    let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    for entry in info.entries() {
        let url = match IpfsUrl::parse(&entry.url) {
            Ok(url) => format!("{}/ipfs/{}", program.url, url.cid),
            Err(_) => format!("{}/{}", program.url, entry.url),
        };
        let answer = reqwest::blocking::get(&url).expect("an answer");
        assert_eq!(answer.status(), 200, "{url} of\n{text}");
        let packed = answer
            .bytes()
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        let nar = match entry.compression {
            Compression::None => packed.to_vec(),
            _ => zstd::decode_all(&packed[..]).expect("zstd"),
        };
        assert_eq!(Sha256::of(&nar), info.nar_hash(), "{url}");
    }
    if let Some(tree) = info.extra(TREE_FIELD) {
        // A missing block would break off the response.
        let url = format!("{}/ipfs/{tree}?format=car", program.url);
        let answer = reqwest::blocking::get(&url).expect("an answer");
        assert_eq!(answer.status(), 200, "{url} of\n{text}");
        let whole = answer.bytes();
        whole.unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

/// A file system in memory, which is unmounted when this is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(at: PathBuf, options: &str) -> Self {
        fs::create_dir(&at).expect("a folder");
        output(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "tmpfs"])
                .arg(&at),
        );
        Self(at)
    }

    fn limit(&self, options: &str) {
        let options = format!("remount,{options}");
        output(Command::new("mount").args(["-o", &options]).arg(&self.0));
    }

    fn df(&self, what: &str) -> u64 {
        let said = output(
            Command::new("df")
                .arg(format!("--output={what}"))
                .arg(&self.0),
        );
        let number = said
            .lines()
            .nth(1)
            .and_then(|line| line.trim().parse().ok());
        number.expect("a number")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // A program may still write to it; it ends with its test.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// First the bytes run out, and then the files. Baked items are served, no narinfo promises more,
/// and a failed bake frees its space.
#[test]
fn on_a_full_disk_no_partial_item_is_served_and_its_space_is_freed() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = trees(folder.path(), 2, 4 << 20);
    let large = folder.path().join("large");
    fs::create_dir(&large).expect("a folder");
    fs::write(large.join("file"), noise(9, 60 << 20)).expect("a file");
    let large = large.display().to_string();
    // A bake keeps 64 MiB of the disk free.
    let disk = Tmpfs::new(folder.path().join("disk"), "size=112m");
    let cache = disk.0.join("cache");

    let all = [small[0].clone(), large];
    let program = publish(&cache, &[], &all);
    let paths = items(&program, &all);
    let baked = narinfo(&program.url, &paths[0], |text| text.contains("ipfs://"));
    check(&program, &baked);
    let used = disk.df("used");
    narinfo_status(&program, &paths[1]);
    wait_until("a log line about the disk", || {
        program.log().contains("are free")
    });
    // The pack and the index of the blocks had grown.
    wait_until("freed space", || disk.df("used") < used + 2048);
    let (status, text) = narinfo_status(&program, &paths[1]);
    assert!(
        status == 404 || !text.contains("ipfs://"),
        "{status} {text}"
    );
    check(
        &program,
        &narinfo(&program.url, &paths[0], |text| text.contains("ipfs://")),
    );
    drop(program);

    // There is space, but no room for new files. `publish` bakes folders when it starts, so the
    // second folder is passed only now.
    disk.limit(&format!("nr_inodes={}", disk.df("iused") + 1));
    let program = publish(&cache, &[], &small);
    let paths = items(&program, &small);
    narinfo(&program.url, &paths[0], |text| text.contains("ipfs://"));
    wait_until("a bake that fails", || program.log().contains("ERROR"));
    let (status, text) = narinfo_status(&program, &paths[1]);
    assert!(
        status == 404 || !text.contains("ipfs://"),
        "{status} {text}"
    );
    drop(program);
    disk.limit("nr_inodes=1000");
    let program = publish(&cache, &[], &small);
    for path in &paths {
        check(
            &program,
            &narinfo(&program.url, path, |text| text.contains("ipfs://")),
        );
    }
}

/// Requests the narinfo of an item once.
fn narinfo_status(program: &Program, item: &str) -> (u16, String) {
    let base = item.rsplit('/').next().expect("a base name");
    get(&format!("{}/{}.narinfo", program.url, &base[..32]))
}

/// Kubo is killed during an import, and restarts as after a power cut.
#[test]
fn a_kubo_that_dies_in_an_import_gets_all_items_after_its_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let trees = trees(folder.path(), 3, 48 << 20);
    let mut kubo = Kubo::start();
    let api = format!("--ipfs-api={}", kubo.api_url());
    let blocks = |kubo: &Kubo| size(&kubo.repo().path().join("blocks"));
    let before = blocks(&kubo);
    let program = publish(&folder.path().join("cache"), &[&api], &trees);
    let paths = items(&program, &trees);
    for path in &paths {
        narinfo_status(&program, path);
    }
    // Kubo has some blocks, but not all.
    wait_until("the import", || blocks(&kubo) > before + (4 << 20));
    kubo.stop();
    let at_death = blocks(&kubo);
    for path in &paths {
        // HTTP clients notice nothing.
        check(
            &program,
            &narinfo(&program.url, path, |text| text.contains("FileSize")),
        );
    }
    assert!(
        !program.log().contains("ERROR"),
        "an item has no error while Kubo is down"
    );
    let kubo = kubo.restart();
    for path in &paths {
        let text = narinfo(&program.url, path, |text| text.contains("ipfs://"));
        let info = NarInfo::parse(text.as_bytes()).expect("a narinfo");
        let entry = info.entries().iter().find(|entry| entry.is_ipfs());
        let root = IpfsUrl::parse(&entry.expect("an entry").url)
            .expect("a CID")
            .cid;
        let mut list = kubo.ipfs();
        output(list.args(["pin", "ls", "--type=recursive", &root.to_string()]));
        let mut cat = kubo.ipfs();
        let mut cat = cat
            .args(["cat", &root.to_string()])
            .stdout(Stdio::piped())
            .spawn();
        let pipe = cat
            .as_mut()
            .expect("ipfs runs")
            .stdout
            .take()
            .expect("a pipe");
        let nar = zstd::decode_all(pipe).expect("zstd");
        assert!(cat.expect("ipfs runs").wait().expect("it ends").success());
        assert_eq!(Sha256::of(&nar), info.nar_hash());
    }
    assert!(
        blocks(&kubo) > at_death,
        "Kubo had all blocks already when it was killed"
    );
}

/// Returns the bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// The program deletes items as soon as no client requests them, while four clients request others.
/// No narinfo leads to an incomplete NAR.
#[test]
fn no_narinfo_leads_to_a_deleted_nar() {
    let folder = tempfile::tempdir().expect("a folder");
    let trees = trees(folder.path(), 12, 1 << 20);
    let cache = folder.path().join("cache");
    let program = publish(
        &cache,
        &["--ttl=2s", "--max-cache-size=1", "--publish-tree"],
        &trees,
    );
    let paths = items(&program, &trees);
    let start = Instant::now();
    // The clients request a few items at a time, so the others age.
    let request = |client: u64| {
        let mut baked = 0;
        for turn in 0_u64.. {
            let elapsed = start.elapsed();
            if elapsed > Duration::from_secs(30) {
                break;
            }
            let at = (elapsed.as_secs() / 2 + turn % 2 + client % 2) as usize % paths.len();
            let (status, text) = narinfo_status(&program, &paths[at]);
            if status == 200 {
                check(&program, &text);
                baked += u64::from(text.contains("ipfs://"));
            }
        }
        baked
    };
    let baked: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|client| scope.spawn(move || request(client)))
            .collect();
        let counts = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        counts.sum()
    });
    let log = program.log();
    let collected = log.matches("deleted unused items").count();
    assert!(
        baked > 20 && collected > 3,
        "{baked} NARs, {collected} collections\n{log}"
    );
    assert!(!log.contains("ERROR"), "{log}");
}

/// Items that share half of their bytes are baked at the same time.
#[test]
fn concurrent_bakes_share_blocks_and_every_item_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let trees = trees(folder.path(), 4, 8 << 20);
    let cache = folder.path().join("cache");
    let program = publish(&cache, &["--workers=2"], &trees);
    let paths = items(&program, &trees);
    std::thread::scope(|scope| {
        for path in &paths {
            scope.spawn(|| {
                check(
                    &program,
                    &narinfo(&program.url, path, |text| text.contains("ipfs://")),
                )
            });
        }
    });
    drop(program);
    let stored = size(&cache.join("blocks"));
    assert!(
        stored < (4 + 4 * 4 + 4) << 20,
        "the shared half is stored once: {stored}"
    );
}
