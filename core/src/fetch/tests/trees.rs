//! Directories with everything below them.

use super::super::outline::OutlineWalker;
use super::super::target::TreeWalk;
use super::super::tree_walk::TreeWalker;
use super::super::*;
use super::network::{Blocks, Network, Outcome, Script, build, noise, url_of};
use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::unixfs::{Budget, DirectoryBuilder, Profile, SIZE_262144_V1, UnixFsError};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const SMALL: Profile = Profile {
    chunk: 1000,
    links: 8,
    ..SIZE_262144_V1
};

fn directory(entries: &[(&str, Cid)], blocks: &mut Blocks) -> Cid {
    let mut directory = DirectoryBuilder::new(Version::V1);
    for (name, cid) in entries {
        let size = blocks.get(cid).map_or(1, |data| data.len() as u64);
        directory.add(String::from(*name).into(), *cid, size);
    }
    let mut sink = |block: Block| {
        let (cid, data) = block.into_parts();
        blocks.insert(cid, data);
    };
    directory.finish(&mut sink).unwrap().cid
}

/// Makes nested directories with files of many sizes, some equal and some empty. Also returns the
/// paths and contents of all files.
fn tree() -> (Cid, BTreeMap<String, Vec<u8>>, Blocks) {
    let (mut blocks, mut files) = (Blocks::new(), BTreeMap::new());
    let mut directories = vec![];
    for name in ["a", "b"] {
        let mut entries = vec![];
        for n in 0..60_usize {
            let content = match n {
                0 | 1 => vec![],
                2 | 3 => noise(3000),
                _ => noise(n * 97 + usize::from(name == "b")),
            };
            let cid = build(SMALL, &content, &mut blocks).cid;
            entries.push((format!("file-{n:02}"), cid));
            files.insert(format!("{name}/deep/file-{n:02}"), content);
        }
        let entries: Vec<(&str, Cid)> = entries.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        let deep = directory(&entries, &mut blocks);
        directories.push((name, directory(&[("deep", deep)], &mut blocks)));
    }
    let content = noise(500_000);
    directories.push(("large", build(SMALL, &content, &mut blocks).cid));
    files.insert("large".into(), content);
    directories.push(("none", directory(&[], &mut blocks)));
    (directory(&directories, &mut blocks), files, blocks)
}

/// Returns the files that were fetched.
fn files(outcome: &Outcome) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (index, (entry, start)) in outcome.entries.iter().enumerate() {
        let end = outcome.entries.get(index + 1).map(|(_, start)| *start);
        let content = &outcome.content[*start..end.unwrap_or(outcome.content.len())];
        let path = String::from_utf8(entry.path.to_vec()).unwrap();
        match entry.kind {
            TreeKind::File { size } => {
                assert_eq!(size, content.len() as u64, "{path}");
                assert!(files.insert(path, content.to_vec()).is_none());
            }
            _ => assert!(content.is_empty(), "{path}"),
        }
    }
    files
}

#[test]
fn one_request_fetches_everything_below_a_directory() {
    let (root, expected, blocks) = tree();
    let network = Network::new(blocks, &[Script::Honest]);
    for local in [false, true] {
        let options = Options {
            local,
            ..Options::default()
        };
        let outcome = network.fetch_tree(&url_of(root), options);
        assert_eq!(outcome.faults(), []);
        assert!(files(&outcome) == expected);
        assert_eq!(outcome.requests.len(), 1, "{:?}", outcome.requests);
        assert!(outcome.requests[0].1.ends_with("?format=car&dag-scope=all"));
        let paths: Vec<&[u8]> = outcome.entries.iter().map(|(one, _)| &*one.path).collect();
        assert_eq!(paths[..3], [b"".as_slice(), b"a", b"a/deep"]);
        assert_eq!(paths.last(), Some(&b"none".as_slice()));
    }
}

#[test]
fn a_file_is_a_tree_of_one_entry_and_a_path_selects_a_subtree() {
    let (root, expected, blocks) = tree();
    let network = Network::new(blocks, &[Script::Honest]);
    let mut url = url_of(root);
    url.path = vec!["a".into(), "deep".into()];
    let outcome = network.fetch_tree(&url, Options::default());
    assert_eq!(files(&outcome).len(), 60);
    url.path = vec!["large".into()];
    let outcome = network.fetch_tree(&url, Options::default());
    assert_eq!(outcome.entries.len(), 1);
    assert!(outcome.content == expected["large"]);
}

#[test]
fn a_sharded_directory_is_complete() {
    let mut blocks = Blocks::new();
    let one = build(SMALL, b"one", &mut blocks).cid;
    let names: Vec<String> = (0..6000)
        .map(|n| format!("a rather long name {n:05}"))
        .collect();
    let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), one)).collect();
    let root = directory(&entries, &mut blocks);
    assert!(blocks.len() > 100);
    let network = Network::new(blocks, &[Script::Honest]);
    let outcome = network.fetch_tree(&url_of(root), Options::default());
    let files = files(&outcome);
    assert_eq!(files.len(), 6000);
    assert!(files.values().all(|content| content == b"one"));
    assert_eq!(outcome.requests.len(), 1);
}

#[test]
fn whatever_gateways_do_a_tree_is_complete_or_an_error() {
    let (root, expected, blocks) = tree();
    let missing: Vec<Cid> = blocks.keys().step_by(7).copied().collect();
    for script in [
        Script::CorruptFrom(0),
        Script::CorruptFrom(40),
        Script::EndAfter(30_000),
        Script::BreakAfter(200_000),
        Script::HangAfter(9000),
        Script::Hang,
        Script::Html,
        Script::HtmlInDisguise,
        Script::Flood,
        Script::Oversize,
        Script::Status(404),
        Script::NoCar(400),
        Script::NoConnection,
        Script::Backwards,
        Script::Twice,
        Script::WithUnrelated,
        Script::Lacks(missing),
    ] {
        let options = Options::default();
        let network = Network::new(blocks.clone(), &[script.clone(), Script::Honest]);
        let outcome = network.fetch_tree(&url_of(root), options.clone());
        assert!(outcome.result.is_ok(), "{script:?}: {:?}", outcome.result);
        assert!(files(&outcome) == expected, "{script:?}");
        assert!(
            outcome.most_held <= options.max_buffer + (2 << 20),
            "{script:?}"
        );
        // This gateway alone gives the whole tree, or a part of it and an error.
        let alone = Network::new(blocks.clone(), core::slice::from_ref(&script));
        let outcome = alone.fetch_tree(&url_of(root), options);
        if outcome.result.is_ok() {
            assert!(files(&outcome) == expected, "{script:?}");
        }
    }
}

#[test]
fn a_tree_stays_within_its_budget_and_its_names_stay_inside_it() {
    let (root, _, mut blocks) = tree();
    let fetch = |root: Cid, budget: Budget, blocks: &Blocks| {
        let network = Network::new(blocks.clone(), &[Script::Honest]);
        let options = Options {
            budget,
            ..Options::default()
        };
        let outcome = network.fetch_tree(&url_of(root), options);
        match outcome.result.unwrap_err() {
            FetchError::Walk(error) => error,
            other => panic!("{other}"),
        }
    };
    let all = Budget::default();
    let few = Budget { blocks: 50, ..all };
    assert_eq!(fetch(root, few, &blocks), UnixFsError::BudgetBlocks);
    let short = Budget {
        output: 100_000,
        ..all
    };
    assert_eq!(fetch(root, short, &blocks), UnixFsError::BudgetOutput);
    let flat = Budget { depth: 2, ..all };
    assert_eq!(fetch(root, flat, &blocks), UnixFsError::BudgetDepth);
    // Ten directories, each ten times in the one above it: ten thousand million entries.
    let mut bomb = root;
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|n| format!("{n}")).collect();
        let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), bomb)).collect();
        bomb = directory(&entries, &mut blocks);
    }
    let some = Budget {
        blocks: 20_000,
        ..all
    };
    assert_eq!(fetch(bomb, some, &blocks), UnixFsError::BudgetBlocks);
    for name in ["..", ".", "", "a/b", "nul\0"] {
        let root = directory(&[(name, root)], &mut blocks);
        assert_eq!(fetch(root, all, &blocks), UnixFsError::Name, "{name:?}");
    }
}

fn walk_error(fetch: impl Fn(Options) -> Outcome, budget: Budget) -> UnixFsError {
    let outcome = fetch(Options {
        budget,
        ..Options::default()
    });
    match outcome.result.unwrap_err() {
        FetchError::Walk(error) => error,
        other => panic!("{other}"),
    }
}

/// Makes 30 directories, each with two links to the next: 4 KB, and more than 1,000 million entries.
fn doubled() -> (Cid, Blocks) {
    let mut blocks = Blocks::new();
    let mut root = build(SMALL, b"leaf", &mut blocks).cid;
    for _ in 0..30 {
        root = directory(&[("a", root), ("b", root)], &mut blocks);
    }
    (root, blocks)
}

#[test]
fn the_entries_of_a_small_dag_come_out_one_by_one_up_to_the_budget() {
    let (root, blocks) = doubled();
    assert!(blocks.values().map(|data| data.len()).sum::<usize>() < 4096);
    let network = Network::new(blocks, &[Script::Honest]);
    let (tree, outline) = (
        |options| network.fetch_tree(&url_of(root), options),
        |options| network.fetch_outline(&url_of(root), options),
    );
    let some = Budget {
        entries: 40_000,
        ..Budget::default()
    };
    assert_eq!(walk_error(tree, some), UnixFsError::BudgetEntries);
    assert_eq!(walk_error(outline, some), UnixFsError::BudgetEntries);
    let short = Budget {
        names: 400_000,
        ..Budget::default()
    };
    assert_eq!(walk_error(tree, short), UnixFsError::BudgetNames);
    assert_eq!(walk_error(outline, short), UnixFsError::BudgetNames);
    let options = || Options {
        budget: some,
        ..Options::default()
    };
    for outcome in [tree(options()), outline(options())] {
        // Most entries came out before the error, and few were held at a time.
        assert!(outcome.entries.len() > 10_000, "{}", outcome.entries.len());
        assert!(outcome.most_held < 500_000, "{}", outcome.most_held);
        assert!(outcome.requests.len() <= 31, "{}", outcome.requests.len());
    }
}

#[test]
fn the_target_of_a_symlink_counts_as_a_name() {
    let mut blocks = Blocks::new();
    let mut sink = |block: Block| {
        let (cid, data) = block.into_parts();
        blocks.insert(cid, data);
    };
    let link = crate::unixfs::symlink(&[b'x'; 4000], Version::V1, &mut sink).cid;
    let names: Vec<String> = (0..100).map(|n| format!("{n}")).collect();
    let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), link)).collect();
    let root = directory(&entries, &mut blocks);
    let network = Network::new(blocks, &[Script::Honest]);
    let (tree, outline) = (
        |options| network.fetch_tree(&url_of(root), options),
        |options| network.fetch_outline(&url_of(root), options),
    );
    let short = Budget {
        names: 300_000,
        ..Budget::default()
    };
    assert_eq!(walk_error(tree, short), UnixFsError::BudgetNames);
    assert_eq!(walk_error(outline, short), UnixFsError::BudgetNames);
    assert_eq!(tree(Options::default()).entries.len(), 101);
}

#[test]
fn a_directory_of_100_000_entries_is_complete() {
    let mut blocks = Blocks::new();
    let one = build(SMALL, b"one", &mut blocks).cid;
    let mut builder = DirectoryBuilder::new(Version::V1);
    for n in 0..100_000 {
        builder.add(format!("file {n:06}").into(), one, 3);
    }
    let mut sink = |block: Block| {
        let (cid, data) = block.into_parts();
        blocks.insert(cid, data);
    };
    let root = builder.finish(&mut sink).unwrap().cid;
    let walks: [alloc::boxed::Box<dyn TreeWalk>; 2] = [
        alloc::boxed::Box::new(TreeWalker::new(root, Budget::default(), 32)),
        alloc::boxed::Box::new(OutlineWalker::new(root, Budget::default())),
    ];
    for mut walk in walks {
        let mut files = 0;
        while !walk.is_done() {
            while let Some(piece) = walk.next().unwrap() {
                let file = |entry: &TreeEntry| entry.kind == TreeKind::File { size: 3 };
                files += usize::from(matches!(piece, TreePiece::Entry(entry) if file(&entry)));
            }
            for cid in walk.wants(32).unwrap() {
                // A block that was wanted may already be here.
                if walk.is_wanted(&cid) {
                    let block = Block::verify(cid, blocks[&cid].clone()).unwrap();
                    walk.push(block).unwrap();
                }
            }
        }
        assert_eq!(files, 100_000);
    }
}

/// Returns the entries sorted by path.
fn sorted(outcome: &Outcome) -> Vec<&TreeEntry> {
    let mut entries: Vec<&TreeEntry> = outcome.entries.iter().map(|(entry, _)| entry).collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries
}

#[test]
fn an_outline_has_the_entries_of_the_tree_and_fetches_no_leaf() {
    let (root, _, mut blocks) = tree();
    let mut sink = |block: Block| {
        let (cid, data) = block.into_parts();
        blocks.insert(cid, data);
    };
    let link = crate::unixfs::symlink(b"a/deep", Version::V1, &mut sink).cid;
    let hash = ::cid::multihash::Multihash::wrap(crate::cid::IDENTITY, b"inline").unwrap();
    let inline = Cid::new_v1(crate::cid::RAW, hash);
    let entries = [
        ("again", root),
        ("inline", inline),
        ("link", link),
        ("tree", root),
    ];
    let root = directory(&entries, &mut blocks);
    let network = Network::new(blocks, &[Script::Honest, Script::Honest]);
    let whole = network.fetch_tree(&url_of(root), Options::default());
    let outcome = network.fetch_outline(&url_of(root), Options::default());
    assert_eq!(outcome.result.as_ref().map(|_| ()), Ok(()));
    assert_eq!(sorted(&outcome), sorted(&whole));
    assert!(outcome.content.is_empty());
    let asked: Vec<&str> = outcome
        .requests
        .iter()
        .map(|(_, url, _)| url.as_str())
        .collect();
    assert!(
        asked.iter().all(|url| url.ends_with("?format=raw")),
        "{asked:?}"
    );
    let nodes = |entry: &&TreeEntry| entry.cid.codec() == crate::cid::DAG_PB;
    let entries = sorted(&whole);
    let nodes: alloc::collections::BTreeSet<Cid> = entries
        .into_iter()
        .filter(nodes)
        .map(|entry| entry.cid)
        .collect();
    assert_eq!(asked.len(), nodes.len());
    // Each directory ten times in the one above it.
    let mut blocks = network.blocks;
    let mut bomb = root;
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|n| format!("{n}")).collect();
        let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), bomb)).collect();
        bomb = directory(&entries, &mut blocks);
    }
    let network = Network::new(blocks, &[Script::Honest]);
    let few = Budget {
        names: 1 << 20,
        ..Budget::default()
    };
    assert_eq!(
        walk_error(|options| network.fetch_outline(&url_of(bomb), options), few),
        UnixFsError::BudgetNames
    );
}

#[test]
fn an_outline_of_a_sharded_directory_is_complete_and_that_of_a_file_has_one_entry() {
    let mut blocks = Blocks::new();
    let one = build(SMALL, b"one", &mut blocks).cid;
    let names: Vec<String> = (0..6000)
        .map(|n| format!("a rather long name {n:05}"))
        .collect();
    let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), one)).collect();
    let shards = directory(&entries, &mut blocks);
    let root = directory(&[("one", shards), ("other", shards)], &mut blocks);
    let network = Network::new(blocks, &[Script::Honest]);
    let outcome = network.fetch_outline(&url_of(root), Options::default());
    assert_eq!(outcome.result.as_ref().map(|_| ()), Ok(()));
    let entries = sorted(&outcome);
    assert_eq!(entries.len(), 3 + 12_000);
    assert_eq!(entries[2].kind, TreeKind::File { size: 3 });
    let mut url = url_of(root);
    url.path = vec!["one".into(), names[7].clone()];
    let outcome = network.fetch_outline(&url, Options::default());
    assert_eq!(outcome.entries.len(), 1);
    assert_eq!(outcome.entries[0].0.path, "");
}

#[test]
fn whatever_gateways_do_an_outline_is_complete_or_an_error() {
    let (root, _, blocks) = tree();
    let honest = Network::new(blocks.clone(), &[Script::Honest]);
    let expected = honest.fetch_outline(&url_of(root), Options::default());
    for script in [
        Script::CorruptFrom(0),
        Script::CorruptFrom(3),
        Script::Hang,
        Script::Html,
    ] {
        let network = Network::new(blocks.clone(), &[script.clone(), Script::Honest]);
        let outcome = network.fetch_outline(&url_of(root), Options::default());
        assert_eq!(outcome.result.as_ref().map(|_| ()), Ok(()), "{script:?}");
        assert_eq!(sorted(&outcome), sorted(&expected), "{script:?}");
        let alone = Network::new(blocks.clone(), std::slice::from_ref(&script));
        let outcome = alone.fetch_outline(&url_of(root), Options::default());
        assert!(outcome.result.is_err(), "{script:?}");
    }
}
