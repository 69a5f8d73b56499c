//! Our UnixFS builder makes the DAGs of `ipfs add`, and our walker reads every DAG that `ipfs add`
//! writes.

use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, Version};
use interplanar_core::unixfs::{self, Budget, Builder, Directory, Profile, Walker};
use interplanar_tests::kubo::Repo;
use interplanar_tests::peer_version::KUBO;
use std::collections::HashMap;

/// Returns pseudorandom bytes, the same in each run.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

const PROFILES: [(&str, Profile, [&str; 3]); 4] = [
    (
        "size-262144, CIDv0",
        unixfs::SIZE_262144_V0,
        [
            "--chunker=size-262144",
            "--cid-version=0",
            "--raw-leaves=false",
        ],
    ),
    (
        "size-262144, CIDv1",
        unixfs::SIZE_262144_V1,
        [
            "--chunker=size-262144",
            "--cid-version=1",
            "--raw-leaves=true",
        ],
    ),
    (
        "size-1048576, CIDv0",
        unixfs::SIZE_1048576_V0,
        [
            "--chunker=size-1048576",
            "--cid-version=0",
            "--raw-leaves=false",
        ],
    ),
    (
        "size-1048576, CIDv1",
        unixfs::SIZE_1048576_V1,
        [
            "--chunker=size-1048576",
            "--cid-version=1",
            "--raw-leaves=true",
        ],
    ),
];

#[test]
fn our_builder_makes_the_cids_of_ipfs_add() {
    KUBO.expect();
    let repo = Repo::new();
    for length in [0, 1, 262_144, 262_145, 1_048_577, 100 << 20] {
        let bytes = content(length);
        let file = repo.file("content", &bytes);
        for (name, profile, options) in PROFILES {
            let mut builder = Builder::new(profile);
            for piece in bytes.chunks(100_003) {
                builder.push(piece, &mut |_| {});
            }
            let built = builder.finish(&mut |_| {});
            let mut add = repo.ipfs();
            add.args(["add", "-Q", "--only-hash"])
                .args(options)
                .arg(&file);
            let theirs = interplanar_tests::output(&mut add);
            assert_eq!(
                built.cid.to_string(),
                theirs.trim(),
                "{length} bytes, {name}"
            );
        }
    }
}

#[test]
fn our_walker_reads_every_shape_that_ipfs_add_writes() {
    let repo = Repo::new();
    let bytes = content(5_000_000);
    let file = repo.file("content", &bytes);
    let mut shapes = 0;
    for chunker in [
        "size-262144",
        "size-1000",
        "rabin",
        "rabin-512-1024-2048",
        "buzhash",
    ] {
        for layout in ["--trickle=false", "--trickle=true"] {
            for leaves in [
                ["--cid-version=0", "--raw-leaves=false"],
                ["--cid-version=0", "--raw-leaves=true"],
                ["--cid-version=1", "--raw-leaves=true"],
                ["--cid-version=1", "--raw-leaves=false"],
            ] {
                let mut add = repo.ipfs();
                add.args([
                    "add",
                    "-Q",
                    "--pin=false",
                    &format!("--chunker={chunker}"),
                    layout,
                ])
                .args(leaves)
                .arg(&file);
                let root = interplanar_tests::output(&mut add);
                let root = interplanar_core::cid::parse(root.trim()).expect("a CID");
                let blocks = repo.blocks(&root);
                let shape = format!("{chunker} {layout} {leaves:?}");
                assert!(
                    walk(Walker::new(root, Budget::default()), &blocks) == bytes,
                    "{shape}"
                );
                let (from, to) = (1_234_567_u64, 2_345_678_u64);
                let ranged = walk(
                    Walker::with_range(root, from, Some(to), Budget::default()),
                    &blocks,
                );
                assert!(ranged == bytes[1_234_567..=2_345_678], "{shape}, ranged");
                shapes += 1;
            }
        }
    }
    assert_eq!(shapes, 40);
}

/// A folder grows beyond the limit of plain directories and shrinks again, entry by entry as a
/// cache does. After each step, our directory has the CID that `ipfs add` gives the folder.
#[test]
fn a_directory_that_changes_entry_by_entry_has_the_cid_of_ipfs_add() {
    KUBO.expect();
    let repo = Repo::new();
    let folder = repo.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    let mut blocks: HashMap<Cid, Block> = HashMap::new();
    let mut directory = Directory::empty(Version::V1);
    let name = |n: u32| format!("{n:032}.narinfo");
    let text = |n: u32| bytes::Bytes::from(format!("StorePath: {n}\n"));
    let steps = [
        (0..1000, true),
        (1000..6000, true),
        (6000..6001, true),
        (100..101, false),
        (101..4600, false),
    ];
    for (range, put) in steps {
        for n in range.clone() {
            let (file, mut get) = (folder.join(name(n)), |cid: &Cid| blocks.get(cid).cloned());
            if put {
                std::fs::write(&file, text(n)).expect("a file");
                let block = Block::raw(text(n));
                let size = block.data().len() as u64;
                directory.put(name(n).into(), *block.cid(), size, &mut get)
            } else {
                std::fs::remove_file(&file).expect("the file existed");
                directory.remove(name(n).as_bytes(), &mut get)
            }
            .expect("all nodes are known");
        }
        let mut new = Vec::new();
        let mut get = |cid: &Cid| blocks.get(cid).cloned();
        let built = directory.finish(&mut get, &mut |block| new.push(block));
        blocks.extend(new.into_iter().map(|block| (*block.cid(), block)));
        let mut add = repo.ipfs();
        add.args(["add", "-rQ", "--only-hash", "--cid-version=1"])
            .arg(&folder);
        let theirs = interplanar_tests::output(&mut add);
        let ours = built.expect("all nodes are known").cid.to_string();
        assert_eq!(ours, theirs.trim(), "{range:?} {put}");
    }
}

/// Returns the bytes that a walker reads.
fn walk(mut walker: Walker, blocks: &HashMap<interplanar_core::cid::Cid, bytes::Bytes>) -> Vec<u8> {
    let mut read = Vec::new();
    while !walker.is_done() {
        for cid in walker.wants(16).expect("a sound DAG") {
            let data = blocks.get(&cid).expect("a block of the DAG").clone();
            let block = Block::verify(cid, data).expect("its hash");
            walker.push(block).expect("a node that Kubo wrote");
        }
        while let Some(piece) = walker.next() {
            read.extend_from_slice(&piece);
        }
    }
    read
}
