use super::*;
use crate::block::Block;
use crate::cid::{Cid, IDENTITY, RAW, Version};
use crate::dag_pb::{Link, Node};
use bytes::Bytes;
use std::collections::HashMap;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

type Blocks = HashMap<Cid, Block>;

/// Generates bytes that look random and are the same in each run.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn build(bytes: &[u8], profile: Profile, step: usize) -> (Built, Blocks) {
    let mut blocks = Blocks::new();
    let mut builder = Builder::new(profile);
    let mut sink = |block: Block| drop(blocks.insert(*block.cid(), block));
    for piece in bytes.chunks(step) {
        builder.push(piece, &mut sink);
    }
    let built = builder.finish(&mut sink);
    (built, blocks)
}

fn walk(mut walker: Walker, blocks: &Blocks, ahead: usize) -> Result<Vec<u8>, UnixFsError> {
    let mut read = vec![];
    while !walker.is_done() {
        // In reverse, so that blocks arrive out of order.
        for cid in walker.wants(ahead)?.iter().rev() {
            walker.push(blocks[cid].clone())?;
        }
        while let Some(piece) = walker.next() {
            read.extend_from_slice(&piece);
        }
    }
    Ok(read)
}

/// CIDs by `ipfs add -Q --only-hash --chunker=size-N` (Kubo 0.43.0), first with `--cid-version=0
/// --raw-leaves=false`, then with `--cid-version=1`.
#[test]
fn cids_equal_those_of_ipfs_add() {
    let golden = [
        (
            262_144,
            0,
            "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        ),
        (
            262_144,
            1,
            "QmYgeDNcNoWGunNmxb2do8E5oMALcrxnzxCWLpzrWeBjZ4",
            "bafkreibcvwxqlcrmwzulcxfuyhzq47ghec56hdaumvcbnhntl67wga4jyq",
        ),
        (
            262_144,
            262_144,
            "QmXQ4ZkKirB2Zb6wHWAcnJCH8SYMhFX8VJti8DDSbecW6w",
            "bafkreidemtpffvxst7k3g26s3az3rhzz6jbsqfctdys3e3hyedvd2kzdcy",
        ),
        (
            262_144,
            262_145,
            "QmXvgfEzy3p9r74AY3dfHgymaRquR6BCDCLAXk7vkHN326",
            "bafybeihuvmmuxpnginsztsbeifrs6xb4mjkosxmyvrd3ud6h33evi7iqx4",
        ),
        (
            262_144,
            1_048_577,
            "QmWYXnTjAhyyaELoAWn3hHzzrJZEsejNpFBTkHQxn1tEsE",
            "bafybeiedbkcrqmkvabgfp2dyeazitdmmwn7cadlav7kaluzi4estqdwwvi",
        ),
        (
            1_048_576,
            262_145,
            "QmZaLrBCgcxBRPWVHpDNgWKCwqn2KaRYuZ3jb1VvJ5dsqj",
            "bafkreigmqgozm5c2rurnfn62c5hbd4vgaq6idftdddzsiaopcqtqfhweu4",
        ),
        (
            1_048_576,
            1_048_577,
            "QmaeAw3LBaHMdYZ743e6cSDE39PsXXQGMoriv8mo2MF4Np",
            "bafybeifj33pdgiqayh4uybeucizrmtesybzsua65zbusgyosoakged7mpq",
        ),
        // Three levels: 174 * 2 + 1 full leaves and a short one.
        (
            1000,
            349_005,
            "QmW2NTyFRCT2pwAASqRMtVBL1VGxS5593Pp53BMaSodFNj",
            "bafybeiejv3kmckddlve3xrpabcpgtg6ywcylqwofot2azplbfddlt2dzca",
        ),
    ];
    for (chunk, length, v0, v1) in golden {
        let bytes = content(length);
        for (profile, expected) in [(SIZE_262144_V0, v0), (SIZE_262144_V1, v1)] {
            let (built, blocks) = build(&bytes, Profile { chunk, ..profile }, 100_003);
            assert_eq!(built.cid.to_string(), expected, "{length} bytes in {chunk}");
            assert_eq!(built.size, length as u64);
            let total: u64 = blocks.values().map(|block| block.data().len() as u64).sum();
            assert_eq!(built.dag_size, total);
        }
    }
}

#[test]
fn every_split_of_the_input_gives_the_same_dag() {
    let bytes = content(1001);
    let profile = Profile {
        chunk: 100,
        links: 3,
        ..SIZE_262144_V1
    };
    let (whole, _) = build(&bytes, profile, bytes.len());
    for step in 1..300 {
        assert_eq!(build(&bytes, profile, step).0, whole, "{step}");
    }
}

#[test]
fn every_range_reads_back_with_every_read_ahead() {
    let bytes = content(1001);
    for profile in [SIZE_262144_V0, SIZE_262144_V1] {
        let (built, blocks) = build(
            &bytes,
            Profile {
                chunk: 100,
                links: 3,
                ..profile
            },
            77,
        );
        for ahead in [1, 3, 100] {
            assert_eq!(
                walk(Walker::new(built.cid, Budget::default()), &blocks, ahead),
                Ok(bytes.clone())
            );
        }
        for from in (0..1100).step_by(37) {
            for to in (from..1100).step_by(53) {
                let walker =
                    Walker::with_range(built.cid, from as u64, Some(to as u64), Budget::default());
                let expected = bytes.get(from..bytes.len().min(to + 1)).unwrap_or_default();
                assert_eq!(
                    walk(walker, &blocks, 4).as_deref(),
                    Ok(expected),
                    "{from}..={to}"
                );
            }
        }
    }
}

#[test]
fn a_range_wants_only_blocks_that_cover_it() {
    let (built, blocks) = build(
        &content(1000),
        Profile {
            chunk: 100,
            links: 10,
            ..SIZE_262144_V1
        },
        1000,
    );
    let mut walker = Walker::with_range(built.cid, 250, Some(399), Budget::default());
    walker.push(blocks[&built.cid].clone()).unwrap();
    assert_eq!(walker.wants(100).unwrap().len(), 2);
    assert_eq!(walker.size(), Some(1000));
}

#[test]
fn a_repeated_leaf_is_wanted_once_and_fills_every_position() {
    let (built, blocks) = build(
        &[7; 1000],
        Profile {
            chunk: 100,
            links: 20,
            ..SIZE_262144_V1
        },
        1000,
    );
    let mut walker = Walker::new(built.cid, Budget::default());
    walker.push(blocks[&built.cid].clone()).unwrap();
    let wanted = walker.wants(100).unwrap();
    assert_eq!(wanted.len(), 1);
    walker.push(blocks[&wanted[0]].clone()).unwrap();
    assert_eq!(walker.buffered(), 1000);
    assert_eq!(core::iter::from_fn(|| walker.next()).count(), 10);
    assert!(walker.is_done());
}

fn file(links: &[(Cid, u64)], filesize: u64, data: Option<&'static str>) -> Block {
    let blocksizes = links.iter().map(|(_, size)| *size).collect();
    let data = Data {
        filesize: Some(filesize),
        blocksizes,
        data: data.map(Bytes::from),
        ..Data::new(NodeType::File)
    };
    let links = links
        .iter()
        .map(|(cid, size)| Link {
            cid: *cid,
            name: Bytes::new(),
            tsize: *size,
        })
        .collect();
    Block::dag_pb(
        Node {
            links,
            data: Some(data.encode()),
        }
        .encode(),
        Version::V1,
    )
}

#[test]
fn data_of_inner_nodes_and_identity_cids_are_content() {
    let own = Cid::new_v1(
        RAW,
        ::cid::multihash::Multihash::wrap(IDENTITY, b"world").unwrap(),
    );
    let leaf = Block::raw("!".into());
    let root = file(&[(own, 5), (*leaf.cid(), 1)], 12, Some("hello "));
    let blocks = Blocks::from([(*root.cid(), root.clone()), (*leaf.cid(), leaf)]);
    assert_eq!(
        walk(Walker::new(*root.cid(), Budget::default()), &blocks, 9).as_deref(),
        Ok(&b"hello world!"[..])
    );
    assert_eq!(
        walk(Walker::new(own, Budget::default()), &blocks, 1).as_deref(),
        Ok(&b"world"[..])
    );
}

/// Eight blocks with 174^7 times the leaf: each level is a node with 174 links to the one below.
#[test]
fn a_bomb_of_repeated_nodes_is_bounded_by_its_output() {
    let leaf = Block::raw(Bytes::from(content(1000)));
    let (mut top, mut size) = (leaf.clone(), 1000_u64);
    let mut blocks = Blocks::from([(*leaf.cid(), leaf)]);
    for _ in 0..7 {
        let cid = *top.cid();
        top = file(&[(cid, size); 174], size * 174, None);
        size *= 174;
        blocks.insert(*top.cid(), top.clone());
    }
    let budget = Budget {
        output: 10_000_000,
        blocks: 20_000,
        ..Budget::default()
    };
    for ahead in [1, 32] {
        let walked = walk(Walker::new(*top.cid(), budget), &blocks, ahead);
        assert_eq!(walked, Err(UnixFsError::BudgetOutput));
    }
}

#[test]
fn a_claimed_size_over_the_budget_is_an_error_before_anything_below_is_wanted() {
    let leaf = Block::raw(Bytes::from(content(1000)));
    let root = file(&[(*leaf.cid(), 1000); 40], 40_000, None);
    let budget = Budget {
        output: 39_999,
        ..Budget::default()
    };
    let mut walker = Walker::new(*root.cid(), budget);
    assert_eq!(walker.push(root.clone()), Err(UnixFsError::BudgetOutput));
    // Only the range counts.
    let mut walker = Walker::with_range(*root.cid(), 1, Some(39_999), budget);
    assert_eq!(walker.push(root.clone()), Ok(()));
    assert_eq!(walker.budget().output, 0);
    // A node uses the blocks of all its children at once.
    let few = Budget {
        blocks: 40,
        ..Budget::default()
    };
    let mut walker = Walker::new(*root.cid(), few);
    assert_eq!(walker.push(root), Err(UnixFsError::BudgetBlocks));
}

#[test]
fn nodes_that_are_far_longer_than_their_content_are_an_error() {
    let empty = Block::raw(Bytes::new());
    let node = |n: usize| {
        let data: &str = ["a", "b", "c", "d", "e", "f", "g", "h", "i"][n];
        file(&vec![(*empty.cid(), 0); 25_000], 1, Some(data))
    };
    let nodes: Vec<Block> = (0..9).map(node).collect();
    let links: Vec<(Cid, u64)> = nodes.iter().map(|node| (*node.cid(), 1)).collect();
    let root = file(&links, 9, None);
    let mut blocks: Blocks = nodes
        .iter()
        .map(|node| (*node.cid(), node.clone()))
        .collect();
    blocks.insert(*root.cid(), root.clone());
    let budget = Budget {
        output: 9,
        ..Budget::default()
    };
    let walked = walk(Walker::new(*root.cid(), budget), &blocks, 4);
    assert_eq!(walked, Err(UnixFsError::BudgetNodes));
    // A caller that allows more content allows more nodes.
    let walked = walk(Walker::new(*root.cid(), Budget::default()), &blocks, 4);
    assert_eq!(walked.as_deref(), Ok(&b"abcdefghi"[..]));
}

/// Walks a file whose root links to the leaves with these numbers. Pushes the leaf 0 last. Returns
/// the steps that the walk took.
fn steps(leaves: impl Iterator<Item = u32>) -> u64 {
    let leaf = |number: u32| Block::raw(Bytes::copy_from_slice(&number.to_le_bytes()));
    let order: Vec<u32> = leaves.collect();
    let links: Vec<(Cid, u64)> = order.iter().map(|n| (*leaf(*n).cid(), 4)).collect();
    let root = file(&links, links.len() as u64 * 4, None);
    let mut walker = Walker::new(*root.cid(), Budget::default());
    walker.push(root).unwrap();
    let later = order.iter().filter(|number| **number != 0);
    for number in later.chain([&0]) {
        assert!(!walker.wants(32).unwrap().is_empty());
        if walker.is_wanted(leaf(*number).cid()) {
            walker.push(leaf(*number)).unwrap();
        }
    }
    let mut read = Vec::new();
    while let Some(piece) = walker.next() {
        read.extend_from_slice(&piece);
    }
    assert!(walker.is_done());
    let expected: Vec<u8> = order
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    assert!(read == expected);
    walker.steps
}

#[test]
fn a_walk_takes_steps_in_proportion_to_its_positions() {
    type Shape = fn(u32) -> u32;
    let shapes: [Shape; 4] = [
        // The first leaf is missing while all others arrive.
        |at| at,
        // One leaf fills half of the positions, in front of different ones.
        |at| at.saturating_sub(2000),
        // A few leaves alternate.
        |at| at % 31,
        // The missing leaf is at every other position.
        |at| if at % 2 == 0 { 0 } else { at },
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        let positions = 4000;
        let steps = steps((0..positions).map(shape));
        // At most 16 positions for each of 32 blocks, for each block that is pushed.
        let most = u64::from(positions) * 16 * 33;
        assert!(steps <= most, "shape {number}: {steps}");
    }
    // In order, each position is found once and filled twice: as a link and as a leaf.
    let (built, blocks) = build(
        &content(40_000),
        Profile {
            chunk: 10,
            ..SIZE_262144_V1
        },
        40_000,
    );
    let mut walker = Walker::new(built.cid, Budget::default());
    while !walker.is_done() {
        for cid in walker.wants(1).unwrap() {
            walker.push(blocks[&cid].clone()).unwrap();
        }
        while walker.next().is_some() {}
    }
    assert!(walker.steps <= 3 * 4024 + 10, "{}", walker.steps);
}

#[test]
fn wrong_sizes_are_errors() {
    let leaf = Block::raw("1234".into());
    let of = |root: &Block| {
        walk(
            Walker::new(*root.cid(), Budget::default()),
            &Blocks::from([(*root.cid(), root.clone()), (*leaf.cid(), leaf.clone())]),
            1,
        )
    };
    assert_eq!(
        of(&file(&[(*leaf.cid(), 4)], 5, None)),
        Err(UnixFsError::Sizes)
    );
    assert_eq!(
        of(&file(&[(*leaf.cid(), 3)], 3, None)),
        Err(UnixFsError::Sizes)
    );
    assert_eq!(
        of(&file(&[(*leaf.cid(), u64::MAX), (*leaf.cid(), 2)], 1, None)),
        Err(UnixFsError::Sizes)
    );
    let no_size = Data {
        filesize: Some(4),
        ..Data::new(NodeType::File)
    };
    let link = Link {
        cid: *leaf.cid(),
        name: Bytes::new(),
        tsize: 4,
    };
    let node = Node {
        links: vec![link],
        data: Some(no_size.encode()),
    };
    assert_eq!(
        of(&Block::dag_pb(node.encode(), Version::V1)),
        Err(UnixFsError::Sizes)
    );
}

#[test]
fn budgets_end_a_walk() {
    let (built, blocks) = build(
        &content(1000),
        Profile {
            chunk: 10,
            links: 2,
            ..SIZE_262144_V1
        },
        1000,
    );
    let walk = |budget| walk(Walker::new(built.cid, budget), &blocks, 4);
    let budget = Budget::default();
    assert_eq!(
        walk(Budget {
            blocks: 10,
            ..budget
        }),
        Err(UnixFsError::BudgetBlocks)
    );
    assert_eq!(
        walk(Budget { depth: 3, ..budget }),
        Err(UnixFsError::BudgetDepth)
    );
    assert_eq!(
        walk(Budget {
            output: 999,
            ..budget
        }),
        Err(UnixFsError::BudgetOutput)
    );
    assert!(
        walk(Budget {
            output: 1000,
            ..budget
        })
        .is_ok()
    );
}

#[test]
fn an_unwanted_block_leaves_the_walker_unchanged() {
    let (built, blocks) = build(
        &content(1000),
        Profile {
            chunk: 100,
            ..SIZE_262144_V1
        },
        1000,
    );
    let mut walker = Walker::new(built.cid, Budget::default());
    assert_eq!(
        walker.push(Block::raw("other".into())),
        Err(UnixFsError::Unexpected)
    );
    assert_eq!(
        super::tests::walk(walker, &blocks, 4).map(|read| read.len()),
        Ok(1000)
    );
}

#[test]
fn other_nodes_than_files_are_refused() {
    let directory = Block::dag_pb(
        Node {
            links: vec![],
            data: Some(Data::new(NodeType::Directory).encode()),
        }
        .encode(),
        Version::V1,
    );
    let mut walker = Walker::new(*directory.cid(), Budget::default());
    assert_eq!(
        walker.push(directory),
        Err(UnixFsError::NotAFile {
            kind: NodeType::Directory
        })
    );
    let cbor = Cid::new_v1(0x71, *Block::raw("x".into()).cid().hash());
    let mut walker = Walker::new(cbor, Budget::default());
    assert_eq!(
        walker.push(Block::verify(cbor, "x".into()).unwrap()),
        Err(UnixFsError::Codec { codec: 0x71 })
    );
}

fn directory(entries: &[(String, Cid, u64)], version: Version) -> (Built, Blocks) {
    let mut blocks = Blocks::new();
    let mut builder = DirectoryBuilder::new(version);
    for (name, cid, size) in entries {
        builder.add(name.clone().into(), *cid, *size);
    }
    let built = builder
        .finish(&mut |block| drop(blocks.insert(*block.cid(), block)))
        .unwrap();
    (built, blocks)
}

use std::string::String;

/// CID by `ipfs add -rQ --only-hash --cid-version=1` of files f0, f1 and f2 that hold their digits.
#[test]
fn a_plain_directory_equals_that_of_ipfs_add() {
    let entry = |n: u8| (format!("f{n}"), *Block::raw(n.to_string().into()).cid(), 1);
    let (built, blocks) = directory(&[entry(2), entry(0), entry(1)], Version::V1);
    assert_eq!(
        built.cid.to_string(),
        "bafybeiew7s3tfrzlicbgzhtmochwrlu45eqsingqgxneg5o5rurkgedhie"
    );
    assert_eq!(list(built.cid, &blocks), ["f0", "f1", "f2"]);
    assert_eq!(resolve(built.cid, "f1", &blocks), Ok(entry(1).1));
    assert_eq!(
        resolve(built.cid, "f3", &blocks),
        Err(UnixFsError::NotFound { index: 0 })
    );
}

/// CID by `ipfs add -rQ --only-hash --cid-version=1` of 6,000 files file-0000…, each with content
/// `x`.
#[test]
fn a_large_directory_is_sharded_as_by_ipfs_add() {
    let leaf = *Block::raw("x".into()).cid();
    let entries: Vec<_> = (0..6000)
        .map(|n| (format!("file-{n:04}"), leaf, 1))
        .collect();
    let (built, blocks) = directory(&entries, Version::V1);
    assert_eq!(
        built.cid.to_string(),
        "bafybeicmio22ymvomylipteuhxjf767q72sgcy63v3ekpf3pdbkrdgwc2y"
    );
    let mut names = list(built.cid, &blocks);
    names.sort();
    assert!(names.iter().eq(entries.iter().map(|(name, ..)| name)));
    for (name, ..) in entries.iter().step_by(97) {
        assert_eq!(resolve(built.cid, name, &blocks), Ok(leaf));
    }
    assert_eq!(
        resolve(built.cid, "file-6000", &blocks),
        Err(UnixFsError::NotFound { index: 0 })
    );
}

fn list(root: Cid, blocks: &Blocks) -> Vec<String> {
    let mut entries = Entries::new(root, Budget::default());
    let mut names = vec![];
    while !entries.is_done() {
        for cid in entries.wants(10) {
            entries.push(&blocks[&cid]).unwrap();
        }
        while let Some(entry) = entries.next() {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        }
    }
    names
}

fn resolve(root: Cid, path: &str, blocks: &Blocks) -> Result<Cid, UnixFsError> {
    let path = path.split('/').map(String::from).collect();
    let mut resolver = Resolver::new(root, path, Budget::default());
    while let Some(cid) = resolver.wants() {
        resolver.push(blocks[&cid].clone())?;
    }
    Ok(resolver.resolved().unwrap().cid)
}
