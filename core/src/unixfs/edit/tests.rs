use super::*;
use crate::unixfs::{Budget, Entries};
use std::collections::{BTreeMap, HashMap};
use std::format;
use std::string::String;
use std::vec;

type Blocks = HashMap<Cid, Block>;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn leaf(number: u64) -> (Cid, u64) {
    let block = Block::raw(Bytes::copy_from_slice(&number.to_le_bytes()));
    (*block.cid(), 8)
}

/// Builds the directory with the same entries at once.
fn whole(entries: &BTreeMap<String, (Cid, u64)>) -> (Built, Blocks) {
    let mut builder = DirectoryBuilder::new(Version::V1);
    let mut blocks = Blocks::new();
    for (name, (cid, tsize)) in entries {
        builder.add(name.clone().into(), *cid, *tsize);
    }
    let sink = &mut |block: Block| drop(blocks.insert(*block.cid(), block));
    let built = builder.finish(sink).unwrap();
    (built, blocks)
}

/// A directory, its blocks, and the entries that it should have.
struct Model {
    directory: Directory,
    blocks: Blocks,
    entries: BTreeMap<String, (Cid, u64)>,
}

impl Model {
    fn new() -> Self {
        Self {
            directory: Directory::empty(Version::V1),
            blocks: Blocks::new(),
            entries: BTreeMap::new(),
        }
    }

    fn put(&mut self, name: String, value: (Cid, u64)) {
        let blocks = &self.blocks;
        let get = &mut |cid: &Cid| blocks.get(cid).cloned();
        let old = self
            .directory
            .put(name.clone().into(), value.0, value.1, get);
        assert_eq!(old, Ok(self.entries.insert(name, value)));
    }

    fn remove(&mut self, name: &str) {
        let blocks = &self.blocks;
        let get = &mut |cid: &Cid| blocks.get(cid).cloned();
        let old = self.directory.remove(name.as_bytes(), get);
        assert_eq!(old, Ok(self.entries.remove(name)));
    }

    /// Finishes the directory and compares it with one that is built at once. Returns the number of
    /// new nodes and their bytes.
    fn finish(&mut self) -> (Built, usize, usize) {
        let mut new = vec![];
        let blocks = &self.blocks;
        let get = &mut |cid: &Cid| blocks.get(cid).cloned();
        let built = self
            .directory
            .finish(get, &mut |block| new.push(block))
            .unwrap();
        assert_eq!(new.last().map(|block| *block.cid()), Some(built.cid));
        let bytes = new.iter().map(|block| block.data().len()).sum();
        let count = new.len();
        self.blocks
            .extend(new.into_iter().map(|block| (*block.cid(), block)));
        assert_eq!(built, whole(&self.entries).0);
        (built, count, bytes)
    }

    fn reopen(&mut self, root: Cid) {
        let get = &mut |cid: &Cid| self.blocks.get(cid).cloned();
        self.directory = Directory::open(&root, get).unwrap();
    }
}

#[test]
fn any_sequence_of_changes_gives_the_nodes_of_a_directory_built_at_once() {
    let mut state = 7;
    let mut model = Model::new();
    // Grow beyond the limit of plain directories, hover around it, then shrink to nothing.
    for (rounds, of_ten) in [(12, 9), (12, 5), (40, 1)] {
        for _ in 0..rounds {
            for _ in 0..600 {
                let name = format!("name-{}", random(&mut state) % 9000);
                if random(&mut state) % 10 < of_ten {
                    model.put(name, leaf(random(&mut state) % 50));
                } else if let Some(existing) = model
                    .entries
                    .range(name.clone()..)
                    .next()
                    .map(|(name, _)| name.clone())
                {
                    model.remove(&existing);
                } else {
                    model.remove(&name);
                }
            }
            let (built, ..) = model.finish();
            if random(&mut state).is_multiple_of(2) {
                model.reopen(built.cid);
            }
        }
    }
    let all: Vec<String> = model.entries.keys().cloned().collect();
    for name in all {
        model.remove(&name);
    }
    assert!(model.directory.is_empty());
    model.finish();
}

#[test]
fn growing_and_shrinking_passes_both_forms() {
    let mut model = Model::new();
    let mut sharded = vec![];
    for step in 0..2 {
        for number in 0..7000 {
            let name = format!("file-{number}");
            if step == 0 {
                model.put(name, leaf(number));
            } else {
                model.remove(&name);
            }
            if number % 500 == 499 {
                model.finish();
                sharded.push(matches!(
                    model.directory.root,
                    DirectoryForm::Sharded { .. }
                ));
            }
        }
    }
    assert!(sharded.contains(&true) && sharded.first() == Some(&false));
    assert_eq!(sharded.last(), Some(&false));
}

#[test]
fn one_more_entry_rewrites_the_nodes_on_its_path_only() {
    let mut model = Model::new();
    for number in 0..20_000 {
        model.put(format!("{number:032}.narinfo"), leaf(number));
    }
    let (built, ..) = model.finish();
    model.reopen(built.cid);
    model.put("x".into(), leaf(0));
    let (_, count, bytes) = model.finish();
    assert!(
        count <= 4 && bytes < 100_000,
        "{count} nodes, {bytes} bytes"
    );
    // If nothing changed, only the root is sent; it always is.
    assert_eq!(model.finish().1, 1);
}

#[test]
fn a_missing_node_is_named_and_nothing_changes() {
    let mut model = Model::new();
    for number in 0..20_000 {
        model.put(format!("{number}"), leaf(number));
    }
    let (built, ..) = model.finish();
    let nothing = &mut |_: &Cid| None;
    let root = built.cid;
    assert_eq!(
        Directory::open(&root, nothing).err(),
        Some(DirectoryError::Missing { cid: root })
    );
    let error = model.directory.put("12".into(), root, 0, nothing);
    assert!(matches!(error, Err(DirectoryError::Missing { .. })));
    let error = model.directory.remove(b"12", nothing);
    assert!(matches!(error, Err(DirectoryError::Missing { .. })));
    assert!(matches!(
        model.directory.get(b"12", nothing),
        Err(DirectoryError::Missing { .. })
    ));
    assert_eq!(model.finish().0, built);
}

#[test]
fn entries_read_back_one_by_one_and_as_a_list() {
    let mut model = Model::new();
    for number in 0..6000 {
        model.put(format!("{number}"), leaf(number));
    }
    let (built, ..) = model.finish();
    let get = &mut |cid: &Cid| model.blocks.get(cid).cloned();
    assert_eq!(model.directory.get(b"17", get), Ok(Some(leaf(17))));
    assert_eq!(model.directory.get(b"6000", get), Ok(None));
    let mut entries = Entries::new(built.cid, Budget::default());
    let mut count = 0;
    while !entries.is_done() {
        for cid in entries.wants(16) {
            entries.push(&model.blocks[&cid]).unwrap();
        }
        while entries.next().is_some() {
            count += 1;
        }
    }
    assert_eq!(count, 6000);
}

#[test]
fn other_nodes_and_other_fanouts_are_refused() {
    let file = Block::raw("x".into());
    let error = Directory::open(file.cid(), &mut |_| Some(file.clone())).err();
    assert!(matches!(
        error,
        Some(DirectoryError::UnixFs(UnixFsError::NotADirectory { .. }))
    ));
    let shard = Content::Shard {
        fanout: 16,
        links: vec![],
    };
    assert!(matches!(Shard::of(shard), Err(UnixFsError::Shard)));
}
