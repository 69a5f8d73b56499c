//! `--publish-tree`: an item is also a folder on IPFS. Its files have the CIDs of `ipfs add`, and
//! share the blocks of the plain NAR.

use interplanar_core::cid::{self, Cid};
use interplanar_core::dedup::TREE_FIELD;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, NarInfo};
use interplanar_tests::cache::{GuixCache, NIX_KEY, NixCache};
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, binary, get, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::web::run_script;
use interplanar_tests::{bytes, noise, output};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The options of `ipfs add` that make the CIDs of a tree.
const ADD: [&str; 4] = [
    "add",
    "--cid-version=1",
    "--raw-leaves",
    "--chunker=size-1048576",
];

/// Folders of Debian's Guile, with small files as programs have them.
const REAL: [&str; 2] = [
    "usr/share/guile/3.0/ice-9",
    "usr/lib/x86_64-linux-gnu/guile/3.0/ccache/ice-9",
];

/// Makes an item with files of many lengths, a program, symlinks, odd names and a folder that needs
/// sharding.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("item");
    let write = |name: &str, content: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("a file");
    };
    for length in [0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 3_500_000] {
        write(
            &format!("share/data/{length}"),
            &noise(length as u64, length),
        );
    }
    write("bin/program", &noise(1, 70_000));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(root.join("bin/program"), mode).expect("its mode");
    write("share/zażółć ☃/plain", b"text");
    for n in 0..5000 {
        write(&format!("share/many/{n:024}"), &noise(n, n as usize % 60));
    }
    fs::create_dir(root.join("empty")).expect("a folder");
    for (target, name) in [
        ("bin/program", "link"),
        ("nowhere", "dangling"),
        ("share", "data"),
    ] {
        std::os::unix::fs::symlink(target, root.join(name)).expect("a link");
    }
    dir
}

fn publish(dir: &Path, kubo: &Kubo) -> Program {
    start(dir, kubo, &["--compression=zstd:1", "--publish-tree"])
}

fn start(dir: &Path, kubo: &Kubo, options: &[&str]) -> Program {
    let api = format!("--ipfs-api={}", kubo.api_url());
    let options = [options, &[&api]].concat();
    Program::publish(&dir.join("cache"), &options, &[dir.join("item")])
}

/// Waits until Kubo has the item. Returns the narinfo, the root of the plain NAR, and the root of
/// the tree.
fn published(program: &Program, item: &str) -> (NarInfo, Cid, Cid) {
    let text = narinfo(&program.url, item, |text| text.contains("Tree: "));
    let narinfo = NarInfo::parse(text.as_bytes()).expect("a narinfo");
    let mut entries = narinfo.entries().iter();
    let entry = entries.find(|entry| entry.is_ipfs() && entry.compression == Compression::None);
    let url = cid::IpfsUrl::parse(&entry.expect("a plain NAR on IPFS").url).expect("a CID");
    let tree = cid::parse(narinfo.extra(TREE_FIELD).expect("a tree")).expect("a CID");
    (narinfo, url.cid, tree)
}

/// Returns the CID of every path of a folder, as `ipfs add -r --only-hash` prints them. The
/// folder's own path is empty.
fn added(folder: &Path) -> BTreeMap<String, String> {
    let repo = Repo::new();
    let mut add = repo.ipfs();
    add.args(ADD).args(["-r", "--hidden", "--only-hash"]);
    let printed = output(add.arg(folder));
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let entry = |line: &str| {
        let (cid, path) = line.strip_prefix("added ")?.split_once(' ')?;
        let path = path.strip_prefix(name)?.trim_start_matches('/');
        Some((path.to_owned(), cid.to_owned()))
    };
    printed.lines().filter_map(entry).collect()
}

/// Returns the CIDs of a `.ls` file by path.
fn listed(listing: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut pending = vec![(String::new(), &listing["root"])];
    while let Some((path, node)) = pending.pop() {
        let cid = node["cid"].as_str().expect("a CID").to_owned();
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        for (name, node) in node["entries"].as_object().into_iter().flatten() {
            pending.push((format!("{prefix}{name}"), node));
        }
        all.insert(path, cid);
    }
    all
}

#[test]
fn kubo_has_the_nar_and_every_file_under_the_cid_of_ipfs_add() {
    let kubo = Kubo::start();
    let dir = folder();
    let program = publish(dir.path(), &kubo);
    let item = program.item();
    let (narinfo, nar, tree) = published(&program, &item);
    let plain = bytes(kubo.ipfs().args(["cat", &nar.to_string()]));
    assert_eq!(plain.len() as u64, narinfo.nar_size());
    assert_eq!(Sha256::of(&plain), narinfo.nar_hash());
    let base = item.rsplit('/').next().expect("a base name");
    let client = reqwest::blocking::Client::new();
    let served = client.get(format!("{}/nar/{base}", program.url)).send();
    assert!(served.expect("a response").bytes().expect("a body") == plain);

    let (status, listing) = get(&format!("{}/{}.ls", program.url, &base[..32]));
    assert_eq!(status, 200);
    let listed = listed(&serde_json::from_str(&listing).expect("JSON"));
    let added = added(&dir.path().join("item"));
    assert_eq!(listed[""], tree.to_string());
    assert!(added.len() > 5010, "{}", added.len());
    let wrong: Vec<_> = added
        .iter()
        .filter(|(path, cid)| listed.get(*path) != Some(*cid))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    // No path is in only one of them.
    assert_eq!(listed.len(), added.len());

    for pinned in [nar, tree] {
        let mut list = kubo.ipfs();
        output(list.args(["pin", "ls", "--type=recursive", &pinned.to_string()]));
    }
    // Ranges of the NAR and of a file. Some cross from a file's content into framing.
    let url = format!("{}/ipfs", kubo.gateway_url());
    let file = noise(3_500_000, 3_500_000);
    for (path, whole, from, to) in [
        (nar.to_string(), &plain, 0, 100),
        (nar.to_string(), &plain, 60_000, 2_200_000),
        (nar.to_string(), &plain, plain.len() - 9, plain.len() - 1),
        (
            format!("{tree}/share/data/3500000"),
            &file,
            1_048_570,
            2_100_000,
        ),
    ] {
        let range = format!("bytes={from}-{to}");
        let part = client.get(format!("{url}/{path}")).header("Range", range);
        let part = part.send().expect("a response").bytes().expect("a body");
        assert!(part == whole[from..=to], "{path} {from}-{to}");
    }
}

#[test]
fn a_tree_is_browsed_in_kubos_gateway_in_helia_and_by_hand() {
    let kubo = Kubo::start();
    let dir = folder();
    let program = publish(dir.path(), &kubo);
    let (_, _, tree) = published(&program, &program.item());
    let url = format!("{}/ipfs/{tree}", kubo.gateway_url());
    let client = reqwest::blocking::Client::new();
    let html = client
        .get(format!("{url}/share/data/"))
        .header("Accept", "text/html");
    let html = html.send().expect("a response").text().expect("a page");
    for name in ["3500000", "4096", "4095"] {
        assert!(html.contains(&format!(">{name}</a>")), "{name}: {html}");
    }
    // A CAR of the tree makes a complete copy.
    let car = client
        .get(format!("{url}?format=car"))
        .send()
        .expect("a response");
    let path = dir.path().join("tree.car");
    fs::write(&path, car.bytes().expect("a CAR")).expect("a file");
    let repo = Repo::new();
    repo.import(&path);
    let restored = dir.path().join("restored");
    let mut get = repo.ipfs();
    output(get.args(["get", &tree.to_string(), "-o"]).arg(&restored));
    output(
        Command::new("diff")
            .args(["-r", "--no-dereference"])
            .arg(dir.path().join("item"))
            .arg(&restored),
    );

    let files = ["bin/program", "share/data/3500000", "share/zażółć ☃/plain"];
    let job = json!({ "gateway": kubo.gateway_url(), "root": tree.to_string(), "files": files });
    let seen = run_script("unixfs.mjs", &job);
    let mut added = added(&dir.path().join("item"));
    added.remove("");
    let entries: BTreeMap<String, String> =
        serde_json::from_value(seen["entries"].clone()).expect("CIDs by path");
    assert!(entries == added, "{} of {}", entries.len(), added.len());
    for path in files {
        let content = fs::read(dir.path().join("item").join(path)).expect("a file");
        assert_eq!(
            seen["files"][path]["sha256"],
            Sha256::of(&content).to_hex(),
            "{path}"
        );
    }

    // Our own commands read it too.
    let gateway = format!("--gateway={}", kubo.gateway_url());
    let interplanar =
        |arguments: &[&str]| bytes(Command::new(binary()).args(arguments).arg(&gateway));
    let file = interplanar(&["cat", &format!("ipfs://{tree}/bin/program")]);
    assert!(file == noise(1, 70_000));
    let said = interplanar(&["ls", &format!("ipfs://{tree}/share/many")]);
    assert_eq!(String::from_utf8_lossy(&said).lines().count(), 5000);
    let target = dir.path().join("got");
    let target = target.to_str().expect("UTF-8");
    interplanar(&["get", &format!("ipfs://{tree}"), "--output", target]);
    output(
        Command::new("diff")
            .args(["-r", "--no-dereference", target])
            .arg(dir.path().join("item")),
    );
}

/// The tree has some blocks that the NAR lacks.
#[test]
fn a_tree_adds_at_most_5_percent_to_its_nar() {
    let kubo = Kubo::start();
    let dir = tempfile::tempdir().expect("a folder");
    let copied = dir.path().join("item");
    let root = interplanar_tests::peer("sid-root");
    for real in REAL {
        let target = copied.join(real);
        fs::create_dir_all(&target).expect("a folder");
        output(
            Command::new("cp")
                .arg("-rLT")
                .arg(root.join(real))
                .arg(&target),
        );
    }
    let program = publish(dir.path(), &kubo);
    let (_, nar, tree) = published(&program, &program.item());
    let size = |roots: &[Cid]| {
        let mut stat = kubo.ipfs();
        stat.args(["dag", "stat", "--progress=false", "--enc=json"]);
        let said = output(stat.args(roots.iter().map(ToString::to_string)));
        let last = said.lines().last().expect("a line");
        let said: Value = serde_json::from_str(last).expect("JSON");
        said["TotalSize"].as_u64().expect("bytes")
    };
    let (alone, both) = (size(&[nar]), size(&[nar, tree]));
    assert!(
        both > alone && (both - alone) * 20 <= alone,
        "{alone} and {both}"
    );
}

/// A short NAR is one block, which is the same with and without a tree.
#[test]
fn an_item_that_was_published_without_a_tree_gets_it_later() {
    let kubo = Kubo::start();
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("item"), "hello\n").expect("a file");
    let pins = || {
        let mut list = kubo.ipfs();
        let said = output(list.args(["pin", "ls", "--type=recursive", "-q"]));
        said.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let before = pins();
    let program = start(dir.path(), &kubo, &["--compression=none"]);
    let item = program.item();
    let text = narinfo(&program.url, &item, |text| text.contains("ipfs://"));
    assert!(!text.contains("Tree: "), "{text}");
    drop(program);
    let program = start(dir.path(), &kubo, &["--publish-tree", "--compression=none"]);
    let (_, nar, tree) = published(&program, &item);
    drop(program);
    assert!(text.contains(&nar.to_string()), "{text}");
    // The CID that `echo hello | ipfs add --cid-version=1` prints.
    let expected = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";
    assert_eq!(tree.to_string(), expected);
    assert_eq!(bytes(kubo.ipfs().args(["cat", expected])), b"hello\n");
    let now = pins();
    let new: Vec<_> = now.difference(&before).cloned().collect();
    assert_eq!(new.len(), 2, "{new:?}");
    // `gc` unpins both with the item.
    let cache = format!("--cache={}", dir.path().join("cache").display());
    let api = format!("--ipfs-api={}", kubo.api_url());
    let gc = ["gc", &cache, &api, "--unused-for=0s", "--keep-for=0s"];
    output(Command::new(binary()).args(gc));
    assert_eq!(pins(), before);
}

#[test]
fn stock_guix_installs_an_item_with_a_tree() {
    let kubo = Kubo::start();
    let cache = GuixCache::new(&kubo, &["--publish-tree"]);
    for item in cache.all() {
        narinfo(&cache.publish.url, item, |text| text.contains("\nTree: "));
    }
    let front = Relay::new(&cache.publish.url, Fault::None);
    let client = cache.client(&[]);
    let (ok, said) = client.install(&cache.all(), &front.url);
    assert!(ok, "{said}");
    cache.assert_installed(&client);
    assert_eq!(front.count("/nar/"), 4, "{:?}", front.seen());
}

#[test]
fn stock_nix_installs_an_item_with_a_tree() {
    let kubo = Kubo::start();
    let cache = NixCache::with(&kubo, &["--publish-tree"]);
    let client = Nix::new();
    for item in cache.all() {
        narinfo(&cache.publish.url, item, |text| text.contains("\nTree: "));
        let (ok, said) = client.install(item, &cache.publish.url, &cache.key);
        assert!(ok, "{said}");
        assert_eq!(client.hash(item), cache.machine.hash(item), "{item}");
    }
    assert!(cache.key.starts_with(NIX_KEY));
}
