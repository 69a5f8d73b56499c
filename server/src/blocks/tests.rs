//! Tests what the block store promises, also after crashes.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use interplanar_core::block::Block;

use super::pack::HEADER;
use super::*;

fn block(seed: u64, length: usize) -> Block {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let data: Vec<u8> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    Block::raw(Bytes::from(data))
}

fn blocks(range: std::ops::Range<u64>, length: usize) -> Vec<Block> {
    range.map(|seed| block(seed, length)).collect()
}

fn assert_has(store: &BlockStore, expected: &[Block]) {
    for block in expected {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block.data()));
    }
}

/// Returns a copy of the store as a kill would leave it: the files as they are, without the
/// writer's last commit.
fn killed(store: BlockStore) -> tempfile::TempDir {
    let copy = copy_of(store.dir());
    drop(store);
    copy
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn first_pack(dir: &Path) -> std::path::PathBuf {
    dir.join("pack-00000001.car")
}

#[test]
fn blocks_can_be_read_before_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let all = blocks(0..50, 3000);
    let store = BlockStore::open(dir.path()).unwrap();
    store.put(&all).unwrap();
    assert_has(&store, &all);
    store.flush().unwrap();
    assert_has(&store, &all);
    let more = blocks(50..60, 10);
    store.put(&more).unwrap();
    drop(store);
    let store = BlockStore::open(dir.path()).unwrap();
    assert_has(&store, &all);
    assert_has(&store, &more);
    let stats = store.stats().unwrap();
    assert_eq!((stats.blocks, stats.bytes, stats.packs), (60, 150_100, 1));
    assert_eq!(store.size(all[0].cid()).unwrap(), Some(3000));
    assert_eq!(store.get(block(99, 5).cid()).unwrap(), None);
}

#[test]
fn the_same_block_is_stored_once_under_any_codec() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    let one = block(1, 1000);
    store.put(&[one.clone(), one.clone()]).unwrap();
    store.flush().unwrap();
    store.put(std::slice::from_ref(&one)).unwrap();
    store.flush().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.blocks, stats.bytes), (1, 1000));
    assert!(stats.pack_bytes < 1200);
    let dag_pb = Cid::new_v1(cid::DAG_PB, *one.cid().hash());
    assert_eq!(store.get(&dag_pb).unwrap().as_ref(), Some(one.data()));
    let identity = cid::parse("bafkqaddimvwgy3zao5xxe3debi").unwrap();
    assert!(store.has(&identity).unwrap());
    assert_eq!(store.get(&identity).unwrap().unwrap(), "hello world\n");
}

#[test]
fn a_second_writer_learns_who_has_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    let error = BlockStore::open(dir.path()).unwrap_err();
    assert!(matches!(&error, BlocksError::Locked { holder, .. }
        if holder.contains(&std::process::id().to_string())));
    let one = block(1, 10);
    store.put(std::slice::from_ref(&one)).unwrap();
    store.flush().unwrap();
    let reader = BlockStore::open_read_only(dir.path()).unwrap();
    assert_has(&reader, std::slice::from_ref(&one));
    assert!(matches!(reader.put(&[one]), Err(BlocksError::ReadOnly)));
    let empty = tempfile::tempdir().unwrap();
    let missing = BlockStore::open_read_only(empty.path());
    assert!(matches!(missing, Err(BlocksError::Missing(_))));
}

/// After a kill between the write and the commit of the index, the blocks are in the pack, but not
/// in the index.
#[test]
fn a_kill_before_the_index_commits_loses_nothing_that_reached_the_pack() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    let (old, new) = (blocks(0..5, 500), blocks(5..9, 500));
    store.put(&old).unwrap();
    store.flush().unwrap();
    store.put(&new).unwrap();
    let left = killed(store);
    let store = BlockStore::open(left.path()).unwrap();
    assert_has(&store, &old);
    assert_has(&store, &new);
}

#[test]
fn a_pack_torn_anywhere_in_its_tail_keeps_its_whole_sections() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    let (old, new) = (blocks(0..3, 90), blocks(3..6, 90));
    store.put(&old).unwrap();
    store.flush().unwrap();
    let indexed = store.stats().unwrap().pack_bytes;
    store.put(&new).unwrap();
    let left = killed(store);
    let length = std::fs::metadata(first_pack(left.path())).unwrap().len();
    let section = (length - indexed) / 3;
    for cut in indexed..=length {
        let torn = copy_of(left.path());
        let file = OpenOptions::new()
            .write(true)
            .open(first_pack(torn.path()))
            .unwrap();
        file.set_len(cut).unwrap();
        let store = BlockStore::open(torn.path()).unwrap();
        assert_has(&store, &old);
        let whole = usize::try_from((cut - indexed) / section).unwrap();
        assert_has(&store, &new[..whole]);
        for lost in &new[whole..] {
            assert_eq!(store.get(lost.cid()).unwrap(), None, "cut at {cut}");
        }
        // What follows is the same for every cut, and syncing is slow.
        if cut % 16 == 0 {
            store.put(&new).unwrap();
            store.flush().unwrap();
            drop(store);
            assert_has(&BlockStore::open(torn.path()).unwrap(), &new);
        }
    }
}

#[test]
fn a_pack_cut_below_what_was_indexed_loses_only_the_cut_off_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    let all = blocks(0..4, 90);
    store.put(&all).unwrap();
    drop(store);
    let length = std::fs::metadata(first_pack(dir.path())).unwrap().len();
    let header = HEADER.len() as u64;
    let section = (length - header) / 4;
    for cut in [
        0,
        1,
        header - 1,
        header,
        header + 1,
        length - section,
        length - 1,
    ] {
        let torn = copy_of(dir.path());
        let file = OpenOptions::new()
            .write(true)
            .open(first_pack(torn.path()))
            .unwrap();
        file.set_len(cut).unwrap();
        let store = BlockStore::open(torn.path()).unwrap();
        let whole = usize::try_from(cut.saturating_sub(header) / section).unwrap();
        assert_has(&store, &all[..whole]);
        for lost in &all[whole..] {
            assert_eq!(store.get(lost.cid()).unwrap(), None);
        }
        store.put(&all).unwrap();
        assert_has(&store, &all);
    }
}

#[test]
fn a_lost_index_is_rebuilt_and_a_lost_pack_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let all = blocks(0..20, 400);
    BlockStore::open(dir.path()).unwrap().put(&all).unwrap();
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let store = BlockStore::open(dir.path()).unwrap();
    assert_has(&store, &all);
    drop(store);
    std::fs::remove_file(first_pack(dir.path())).unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    assert_eq!(store.get(all[0].cid()).unwrap(), None);
    assert_eq!(store.stats().unwrap().blocks, 0);
    store.put(&all).unwrap();
    assert_has(&store, &all);
}

#[test]
fn wrong_data_on_disk_is_absent_and_can_be_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    let all = blocks(0..3, 200);
    store.put(&all).unwrap();
    store.flush().unwrap();
    let file = OpenOptions::new()
        .write(true)
        .open(first_pack(dir.path()))
        .unwrap();
    let end = store.stats().unwrap().pack_bytes;
    file.write_all_at(&[all[2].data()[199] ^ 1], end - 1)
        .unwrap();
    assert_eq!(store.get(all[2].cid()).unwrap(), None);
    assert!(!store.has(all[2].cid()).unwrap());
    assert_has(&store, &all[..2]);
    store.put(&all).unwrap();
    assert_has(&store, &all);
}

#[test]
fn a_pack_is_a_car_file_that_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    store.put(&blocks(0..3, 100)).unwrap();
    drop(store);
    let pack = std::fs::read(first_pack(dir.path())).unwrap();
    assert_eq!(pack[0] as usize, HEADER.len() - 1);
    assert!(pack.starts_with(HEADER));
    // varint(36 + 100), CIDv1 raw sha2-256
    assert_eq!(
        pack[HEADER.len()..][..6],
        [0x88, 0x01, 0x01, 0x55, 0x12, 0x20]
    );
}

#[test]
fn removed_blocks_are_absent_and_compaction_frees_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let all = blocks(0..10, 1000);
    let store = BlockStore::open(dir.path()).unwrap();
    store.put(&all).unwrap();
    let cids: Vec<Cid> = all[..7].iter().map(|block| *block.cid()).collect();
    assert_eq!(store.remove(&cids).unwrap(), 7);
    assert_eq!(store.remove(&cids).unwrap(), 0);
    assert_has(&store, &all[7..]);
    assert_eq!(store.get(&cids[0]).unwrap(), None);
    // The last pack is not compacted: start another one.
    store.inner.writer.as_ref().unwrap().next_pack().unwrap();
    let done = store.compact().unwrap();
    assert_eq!(done.packs, 1);
    assert!(done.bytes >= 7000, "{done:?}");
    assert!(!first_pack(dir.path()).exists());
    assert_has(&store, &all[7..]);
    drop(store);
    let store = BlockStore::open(dir.path()).unwrap();
    assert_has(&store, &all[7..]);
    assert_eq!(store.stats().unwrap().blocks, 3);
}

#[test]
fn many_threads_write_and_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                // Neighbouring threads write half of their blocks in common.
                for part in blocks(thread * 20..thread * 20 + 40, 700).chunks(5) {
                    store.put(part).unwrap();
                    store.flush().unwrap();
                    assert_has(&store, part);
                }
            });
        }
    });
    assert_eq!(store.stats().unwrap().blocks, 100);
}
