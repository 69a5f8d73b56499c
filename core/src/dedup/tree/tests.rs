use super::*;
use crate::dedup::cut::tests::seeded;
use crate::dedup::tests::read;
use crate::nar::{Encoder, Listing};
use crate::unixfs::{Budget, Content, Resolver};
use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec;

type Blocks = HashMap<Cid, Block>;

/// Encodes a NAR with small and large files, links and a sharded directory.
fn nar(shift: usize) -> Vec<u8> {
    let (mut encoder, mut nar) = (Encoder::new(), vec![]);
    let mut write = |event: Event<'_>| encoder.write(event, &mut nar).unwrap();
    let file = |write: &mut dyn FnMut(Event<'_>), name: &str, length: usize| {
        let content = seeded(name.len() as u64 + length as u64, length);
        let size = length as u64;
        write(Event::EntryStart {
            name: name.as_bytes(),
        });
        write(Event::FileStart {
            executable: length.is_multiple_of(2),
            size,
            offset: 0,
        });
        write(Event::FileData(&content));
        write(Event::FileEnd);
        write(Event::EntryEnd);
    };
    write(Event::DirectoryStart);
    write(Event::EntryStart { name: b"bin" });
    write(Event::DirectoryStart);
    file(&mut write, "4095", 4095);
    file(&mut write, "4096", 4096);
    file(&mut write, "large", 2_500_000);
    file(&mut write, "none", 0);
    write(Event::DirectoryEnd);
    write(Event::EntryEnd);
    file(&mut write, "changes", 100 + shift);
    write(Event::EntryStart { name: b"many" });
    write(Event::DirectoryStart);
    for n in 0..5000 {
        file(&mut write, &std::format!("{n:020}"), n % 90);
    }
    write(Event::DirectoryEnd);
    write(Event::EntryEnd);
    write(Event::EntryStart { name: b"self" });
    write(Event::Symlink {
        target: b"bin/large",
    });
    write(Event::EntryEnd);
    write(Event::DirectoryEnd);
    write(Event::End);
    nar
}

fn build(nar: &[u8], step: usize) -> (BuiltTree, Blocks) {
    let (mut builder, mut blocks) = (TreeBuilder::new(), Blocks::new());
    let mut sink = |block: Block| drop(blocks.insert(*block.cid(), block));
    for bytes in nar.chunks(step) {
        builder.push(bytes, &mut sink).unwrap();
    }
    let tree = builder.finish(&mut sink).unwrap();
    (tree, blocks)
}

fn resolve(root: Cid, path: &str, blocks: &Blocks) -> Cid {
    let path: Vec<String> = path.split('/').map(str::to_string).collect();
    let mut resolver = Resolver::new(root, path, Budget::default());
    while let Some(cid) = resolver.wants() {
        resolver.push(blocks[&cid].clone()).unwrap();
    }
    resolver.resolved().unwrap().cid
}

#[test]
fn both_views_are_complete_and_share_the_files() {
    let nar = nar(0);
    let (tree, blocks) = build(&nar, usize::MAX);
    assert!(read(tree.nar.cid, &blocks) == nar);
    for length in [0, 4095, 4096, 2_500_000] {
        let name = match length {
            0 => "none",
            2_500_000 => "large",
            4095 => "4095",
            _ => "4096",
        };
        let content = seeded(name.len() as u64 + length as u64, length);
        let mut alone = Builder::new(SIZE_1048576_V1);
        alone.push(&content, &mut drop);
        let alone = alone.finish(&mut drop);
        let cid = resolve(tree.root.cid, &std::format!("bin/{name}"), &blocks);
        assert_eq!(cid, alone.cid, "{name}");
        assert!(read(cid, &blocks) == content);
    }
    let link = resolve(tree.root.cid, "self", &blocks);
    assert_eq!(
        Content::decode(&blocks[&link]),
        Ok(Content::Symlink("bin/large".into()))
    );
    let many = resolve(tree.root.cid, "many", &blocks);
    assert!(matches!(
        Content::decode(&blocks[&many]),
        Ok(Content::Shard { .. })
    ));
    // No framing in inner nodes, and no identity CIDs.
    for block in blocks.values() {
        if let Ok(Content::File { data, .. }) = Content::decode(block) {
            assert!(data.is_empty());
        }
        assert_eq!(crate::cid::identity_data(block.cid()), None);
    }
}

#[test]
fn every_split_of_the_input_gives_the_same_tree() {
    let nar = nar(0);
    let (tree, blocks) = build(&nar, usize::MAX);
    for step in [1, 7, 4096, 100_001] {
        let (other, others) = build(&nar, step);
        assert!(other == tree && others == blocks, "{step}");
    }
}

#[test]
fn a_change_costs_its_own_run_and_the_nodes_above() {
    let ((_, one), (tree, other)) = (build(&nar(0), usize::MAX), build(&nar(8), usize::MAX));
    let new = other
        .values()
        .filter(|block| !one.contains_key(block.cid()));
    let new: usize = new.map(|block| block.data().len()).sum();
    assert!(read(tree.nar.cid, &other) == nar(8));
    // A run, its file, the root of the NAR and the root of the tree.
    assert!(new < 80_000, "{new}");
}

#[test]
fn the_cids_are_in_the_order_of_the_listing() {
    let nar = nar(0);
    let (tree, blocks) = build(&nar, usize::MAX);
    let (mut parser, mut listing, mut rest) = (Parser::new(), Listing::new(), nar.as_slice());
    while let Some(event) = parser.push(&mut rest).unwrap() {
        listing.push(event).unwrap();
    }
    assert_eq!(tree.cids.len(), listing.entries().len());
    let at = |path: &str| {
        let entry = listing.lookup(path.as_bytes()).unwrap();
        let index = listing
            .entries()
            .iter()
            .position(|one| std::ptr::eq(one, entry));
        tree.cids[index.unwrap()]
    };
    assert_eq!(at(""), tree.root.cid);
    for path in ["bin", "bin/large", "bin/none", "many", "self", "changes"] {
        assert_eq!(at(path), resolve(tree.root.cid, path, &blocks), "{path}");
    }
    let json = listing.to_json_with(&tree.cids);
    let large = std::format!("\"size\":2500000,\"cid\":\"{}\"", at("bin/large"));
    assert!(json.contains(&large));
    // Readers of Nix's listings ignore the `cid` fields.
    assert_eq!(Listing::from_json(&json), Some(listing));
}

#[test]
fn an_item_may_be_a_link_or_a_file() {
    for event in [
        Event::Symlink { target: b"x" },
        Event::FileStart {
            executable: false,
            size: 0,
            offset: 0,
        },
    ] {
        let (mut encoder, mut nar) = (Encoder::new(), vec![]);
        encoder.write(event, &mut nar).unwrap();
        if matches!(event, Event::FileStart { .. }) {
            encoder.write(Event::FileEnd, &mut nar).unwrap();
        }
        encoder.write(Event::End, &mut nar).unwrap();
        let (tree, blocks) = build(&nar, 3);
        assert!(read(tree.nar.cid, &blocks) == nar);
        assert_eq!(tree.cids, [tree.root.cid]);
    }
}

#[test]
fn a_truncated_nar_gives_no_tree() {
    let whole = nar(0);
    for length in [0, 1, 100, 9000, whole.len() - 1] {
        let mut builder = TreeBuilder::new();
        builder.push(&whole[..length], &mut drop).unwrap();
        let error = builder.finish(&mut drop);
        assert_eq!(
            error,
            Err(TreeError::Nar(NarError::Truncated { at: length as u64 }))
        );
    }
    let mut builder = TreeBuilder::new();
    let mut wrong = whole;
    wrong[0] = 0xff;
    let error = builder.push(&wrong, &mut drop);
    assert!(
        matches!(error, Err(TreeError::Nar(NarError::Token { .. }))),
        "{error:?}"
    );
}
