//! Imports whole CARs, torn ones and ones with wrong blocks.

use super::super::Exit;
use super::*;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;

fn blocks(count: u8) -> Vec<Block> {
    (0..count)
        .map(|seed| Block::raw(Bytes::from(vec![seed; 3000])))
        .collect()
}

fn car_of(blocks: &[Block]) -> Vec<u8> {
    let mut bytes = car::header(&[*blocks[0].cid()]);
    for block in blocks {
        bytes.extend(car::block_prefix(block.cid(), block.data().len()));
        bytes.extend_from_slice(block.data());
    }
    bytes
}

struct Cache {
    dir: tempfile::TempDir,
}

impl Cache {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn import(&self, files: &[&[u8]]) -> Result<(), Failure> {
        let mut paths = Vec::new();
        for (index, bytes) in files.iter().enumerate() {
            let path = self.dir.path().join(format!("{index}.car"));
            std::fs::write(&path, bytes).unwrap();
            paths.push(path);
        }
        import(&Args {
            files: paths,
            cache: self.dir.path().join("cache"),
            json: true,
        })
    }

    fn store(&self) -> BlockStore {
        BlockStore::open(&self.dir.path().join("cache").join(BLOCKS)).unwrap()
    }
}

#[test]
fn blocks_of_several_files_are_stored_once() {
    let (cache, all) = (Cache::new(), blocks(20));
    cache
        .import(&[&car_of(&all[..12]), &car_of(&all[8..])])
        .unwrap();
    let store = cache.store();
    assert_eq!(store.stats().unwrap().blocks, 20);
    for block in &all {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block.data()));
    }
    let counts = read::import(&car_of(&all)[..], &store, &mut |_| {}).unwrap();
    assert_eq!(
        (counts.blocks, counts.new_blocks, counts.new_bytes),
        (20, 0, 0)
    );
    assert_eq!(counts.roots, [*all[0].cid()]);
    assert_eq!(
        report::json("-", &counts)["roots"][0],
        all[0].cid().to_string()
    );
}

#[test]
fn a_wrong_block_is_refused_and_what_came_before_stays() {
    let (cache, all) = (Cache::new(), blocks(3));
    let mut bytes = car_of(&all);
    *bytes.last_mut().unwrap() ^= 1;
    let failure = cache.import(&[&bytes]).unwrap_err();
    assert_eq!(failure.exit, Exit::Verification);
    assert!(format!("{:#}", failure.error).contains(&all[2].cid().to_string()));
    let store = cache.store();
    assert!(store.has(all[1].cid()).unwrap());
    assert!(!store.has(all[2].cid()).unwrap());
}

/// Asserts that no part of the message says the same as another.
fn assert_said_once(failure: &Failure) {
    let text = failure.text();
    let parts: Vec<&str> = text.split(": ").collect();
    for (index, part) in parts.iter().enumerate() {
        assert!(!parts[..index].contains(part), "{text}");
    }
}

#[test]
fn torn_and_missing_files_are_failures() {
    let (cache, all) = (Cache::new(), blocks(2));
    let bytes = car_of(&all);
    for cut in [0, 1, 20, bytes.len() - 1] {
        let failure = cache.import(&[&bytes[..cut]]).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed, "cut at {cut}");
        assert_said_once(&failure);
    }
    let failure = import(&Args {
        files: vec![cache.dir.path().join("nothing.car")],
        cache: cache.dir.path().join("cache"),
        json: false,
    })
    .unwrap_err();
    assert_eq!(failure.exit, Exit::NotFound);
}

#[test]
fn the_cause_of_a_failure_is_said_once() {
    let (cache, all) = (Cache::new(), blocks(3));
    let mut wrong = car_of(&all);
    *wrong.last_mut().unwrap() ^= 1;
    assert_said_once(&cache.import(&[&wrong]).unwrap_err());
    // Another process writes to the store.
    let store = cache.store();
    assert_said_once(&cache.import(&[&car_of(&all)]).unwrap_err());
    drop(store);
    // The index can't be opened.
    let index = cache
        .dir
        .path()
        .join("cache")
        .join(BLOCKS)
        .join("index.sqlite");
    std::fs::remove_file(&index).unwrap();
    std::fs::create_dir(&index).unwrap();
    assert_said_once(&cache.import(&[&car_of(&all)]).unwrap_err());
    assert_said_once(&cache.import(&[b"not a CAR".as_slice()]).unwrap_err());
}
