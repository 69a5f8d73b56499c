//! The commands for people (`get`, `cat`, `ls`, `verify`, `add`), against a real Kubo.

use interplanar_core::block::Block;
use interplanar_core::cid::Version;
use interplanar_core::unixfs::DirectoryBuilder;
use interplanar_tests::block_gateway::{Attack, BlockGateway};
use interplanar_tests::kubo::Kubo;
use interplanar_tests::program::{Program, binary, narinfo};
use interplanar_tests::relay::{Fault, Relay};
use interplanar_tests::root::wait_until;
use interplanar_tests::{attempt, output};
use std::path::Path;
use std::process::Command;

/// Returns a command of the program under test.
fn interplanar(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    command
}

/// Runs a command, and returns its exit code.
fn exit_code(command: &mut Command) -> Option<i32> {
    command.output().expect("the program runs").status.code()
}

/// Makes a folder with a large file, a symlink, and a folder with a small file.
fn tree(folder: &Path) -> std::path::PathBuf {
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("sub")).expect("a folder");
    let large: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    std::fs::write(tree.join("large"), large).expect("a file");
    std::fs::write(tree.join("sub/zażółć"), "small").expect("a file");
    std::os::unix::fs::symlink("sub/zażółć", tree.join("link")).expect("a link");
    tree
}

#[test]
fn files_and_folders_are_fetched_listed_and_verified_past_a_corrupt_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = tree(folder.path());
    let kubo = Kubo::start();
    let mut add = kubo.ipfs();
    let root = output(
        add.args([
            "add",
            "-rQ",
            "-H",
            "--cid-version=1",
            "--chunker=size-1048576",
        ])
        .arg(&tree),
    );
    let url = format!("ipfs://{}", root.trim());
    let corrupt = Relay::new(&kubo.gateway_url(), Fault::Corrupt);
    let gateways = [
        format!("--gateway={}", corrupt.url),
        format!("--gateway={}", kubo.gateway_url()),
    ];
    let run = |arguments: &[&str]| {
        let mut command = interplanar(arguments);
        command.args(&gateways);
        command
    };

    let listed = output(&mut run(&["ls", &url]));
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let file = folder.path().join("fetched");
    let file_name = file.to_str().expect("UTF-8");
    output(&mut run(&[
        "get",
        &format!("{url}/large"),
        "--output",
        file_name,
    ]));
    assert!(
        std::fs::read(&file).expect("the file")
            == std::fs::read(tree.join("large")).expect("the file")
    );
    let small = output(&mut run(&[
        "cat",
        &format!("{url}/sub/za%C5%BC%C3%B3%C5%82%C4%87"),
    ]));
    assert_eq!(small, "small");
    let whole = folder.path().join("whole");
    output(&mut run(&[
        "get",
        &url,
        "--output",
        whole.to_str().expect("UTF-8"),
    ]));
    assert_eq!(
        output(Command::new("diff").arg("-r").arg(&tree).arg(&whole)),
        ""
    );
    a_folder_takes_one_request(&kubo, &tree, root.trim(), folder.path());
    let said = output(&mut run(&["verify", &format!("{url}/large")]));
    assert!(said.contains(": verified "), "{said}");

    // No gateway has the CID; only the corrupt gateway is left; the target is no CID.
    assert_eq!(
        exit_code(&mut run(&[
            "get",
            "ipfs://bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am",
            "--output=-"
        ])),
        Some(4)
    );
    let mut alone = interplanar(&["get", &format!("{url}/large"), "--output", file_name]);
    let (ok, _, said) = attempt(alone.arg(&gateways[0]));
    assert!(!ok && said.contains("gateway"), "{said}");
    assert_eq!(exit_code(&mut run(&["get", "nonsense"])), Some(2));
}

/// A folder is fetched with one request for its root and one for a CAR, not with one per file.
fn a_folder_takes_one_request(kubo: &Kubo, tree: &Path, root: &str, folder: &Path) {
    let counted = Relay::new(&kubo.gateway_url(), Fault::None);
    let target = folder.join("counted");
    let report = output(
        interplanar(&["get", root, "--json", "--output"])
            .arg(&target)
            .arg(format!("--gateway={}", counted.url)),
    );
    assert_eq!(
        output(Command::new("diff").arg("-r").arg(tree).arg(&target)),
        ""
    );
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert!(report["entries"].as_u64() > Some(4), "{report}");
    assert!(
        report["networkBytes"].as_u64() >= report["bytes"].as_u64(),
        "{report}"
    );
    assert_eq!(counted.count("dag-scope=all"), 1, "{:?}", counted.seen());
    assert_eq!(counted.count("/ipfs/"), 2, "{:?}", counted.seen());
}

/// Thirty folders, each with two links to the next, are 4 KB and more than 1,000 million entries.
#[test]
fn an_interrupt_ends_the_download_of_an_endless_folder_and_removes_it() {
    let mut blocks = vec![Block::raw("leaf".into())];
    let mut root = *blocks[0].cid();
    for _ in 0..30 {
        let mut directory = DirectoryBuilder::new(Version::V1);
        directory.add("a".into(), root, 1);
        directory.add("b".into(), root, 1);
        let built = directory.finish(&mut |block| blocks.insert(0, block));
        root = built.expect("a directory").cid;
    }
    let gateway = BlockGateway::new(&blocks, Attack::None);
    let folder = tempfile::tempdir().expect("a folder");
    let mut get = interplanar(&["get", &format!("ipfs://{root}"), "-o", "tree"])
        .arg(format!("--gateway={}", gateway.url))
        .current_dir(folder.path())
        .spawn()
        .expect("the program runs");
    let partial = || std::fs::read_dir(folder.path()).expect("a folder").next();
    wait_until("the first entries", || {
        let partial = partial().map(|entry| entry.expect("an entry").path());
        partial.is_some_and(|partial| partial.join("root/a/a/a/a").exists())
    });
    output(Command::new("kill").args(["-INT", &get.id().to_string()]));
    let mut status = None;
    wait_until("the end of the program", || {
        status = get.try_wait().expect("its state");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(130));
    assert!(partial().is_none());
}

#[test]
fn added_files_and_folders_have_the_cids_of_ipfs_add() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = tree(folder.path());
    let repo = interplanar_tests::kubo::Repo::new();
    for path in [tree.clone(), tree.join("large"), tree.join("sub")] {
        let mut add = repo.ipfs();
        let theirs = output(
            add.args([
                "add",
                "-rQ",
                "-H",
                "--only-hash",
                "--cid-version=1",
                "--chunker=size-1048576",
            ])
            .arg(&path),
        );
        let ours = output(interplanar(&["add", "--only-hash"]).arg(&path));
        assert_eq!(
            ours.split(' ').next(),
            Some(theirs.trim()),
            "{}",
            path.display()
        );
    }
}

#[test]
fn store_items_are_fetched_listed_and_verified_with_their_narinfo() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = tree(folder.path());
    let nix = interplanar_tests::nix::Nix::new();
    let key = nix.key("people-1");
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, nix.root.read("/root/nix.sec")).expect("a key");
    let publish = Program::outside(&[
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--store-dir=/nix/store",
        "--compression=zstd:3",
        &format!("--nix-key={}", key_file.display()),
        &format!("--cache={}", folder.path().join("cache").display()),
        tree.to_str().expect("UTF-8"),
    ]);
    let item = publish.item();
    narinfo(&publish.url, &item, |text| text.contains("ipfs://"));
    let run = |arguments: &[&str]| {
        let mut command = interplanar(arguments);
        command.args([
            &format!("--upstream={0}", publish.url),
            &format!("--gateway={0}", publish.url),
            &format!("--trusted-key={key}"),
        ]);
        command
    };
    let unpacked = folder.path().join("unpacked");
    output(&mut run(&[
        "get",
        &item,
        "--unpack",
        unpacked.to_str().expect("UTF-8"),
    ]));
    assert_eq!(
        output(Command::new("diff").arg("-r").arg(&tree).arg(&unpacked)),
        ""
    );
    assert!(output(&mut run(&["ls", &item])).contains("sub/zażółć"));
    assert_eq!(output(&mut run(&["cat", &item, "sub/zażółć"])), "small");
    assert!(output(&mut run(&["verify", &item])).contains(" verified"));
    assert_eq!(exit_code(&mut run(&["cat", &item, "absent"])), Some(4));
    assert_eq!(
        exit_code(&mut run(&["get", "00000000000000000000000000000000"])),
        Some(4)
    );

    // Somebody changed the narinfo.
    let text = narinfo(&publish.url, &item, |_| true).replace("NarSize: ", "NarSize: 1");
    let altered = folder.path().join("altered.narinfo");
    std::fs::write(&altered, text).expect("a file");
    assert_eq!(
        exit_code(&mut run(&["verify", altered.to_str().expect("UTF-8")])),
        Some(3)
    );
}
