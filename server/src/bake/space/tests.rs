use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use tempfile::TempDir;

use super::super::running_totals::{RunningTotals, Totals};
use super::super::snapshot::{InKubo, SnapshotChanges, SnapshotItem};
use super::super::{Baker, Config};
use super::*;
use crate::store::trees::{Tree, Trees};
use crate::store::{Item, Source};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns bytes that never repeat and hardly compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        data.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    data.truncate(length);
    data
}

/// Three baked items. Each has a file that all share and one of its own.
struct Baked {
    dir: TempDir,
    source: Arc<dyn Source>,
    items: Vec<Item>,
}

impl Baked {
    async fn new(ages: [Duration; 3]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = noise(99, 2_000_000);
        let mut trees = Vec::new();
        for name in ["one", "two", "three"] {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("shared"), &shared).unwrap();
            fs::write(
                path.join("own"),
                noise(name.len() as u64 + name.as_bytes()[1] as u64, 300_000),
            )
            .unwrap();
            trees.push(Tree { path, name: None });
        }
        let source: Arc<dyn Source> = Arc::new(Trees::open(&trees, "/gnu/store").unwrap());
        let config = Config {
            compressors: vec!["zstd".parse().unwrap()],
            workers: 1,
            ..Config::new(dir.path().join("cache"))
        };
        let baker = Baker::open(Arc::clone(&source), config).unwrap();
        let mut items = source.items(None, 10).unwrap();
        items.sort_by_key(|item| {
            ["one", "two", "three"]
                .iter()
                .position(|name| *name == item.store_path.name())
        });
        for (item, age) in items.iter().zip(ages) {
            baker.bake(item.clone()).await.unwrap();
            asked(dir.path(), item, age);
        }
        drop(baker);
        let baked = Self { dir, source, items };
        // The workers keep the lock a little longer.
        drop(baked.open().await);
        baked
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("cache")
    }

    async fn open(&self) -> Cache {
        loop {
            match Cache::open(&self.folder()) {
                Err(BakeError::Blocks(_)) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }

    fn name(&self, index: usize) -> StorePath {
        self.items[index].store_path.clone()
    }
}

/// Sets when an item was last requested.
fn asked(dir: &Path, item: &Item, ago: Duration) {
    let record = format!("cache/items/{}.json", item.store_path.hash_part());
    let file = File::open(dir.join(record)).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

fn unused_for(time: Duration) -> Policy {
    Policy {
        unused_for: Some(time),
        max_bytes: None,
        keep_for: HOUR,
    }
}

fn no_pins(_: &[Cid]) -> bool {
    panic!("nothing is pinned");
}

#[tokio::test]
async fn shared_and_unique_bytes_are_counted_separately() {
    let baked = Baked::new([3 * HOUR, 2 * HOUR, HOUR]).await;
    let report = Cache::open_read_only(&baked.folder())
        .unwrap()
        .usage()
        .unwrap();
    let paths: Vec<StorePath> = report
        .items
        .iter()
        .map(|one| one.store_path.clone())
        .collect();
    assert_eq!(paths, [baked.name(0), baked.name(1), baked.name(2)]);
    for one in &report.items {
        assert!((2_300_000..2_400_000).contains(&one.stored), "{one:?}");
        assert!((300_000..350_000).contains(&one.unique), "{one:?}");
        assert!(!one.damaged);
    }
    assert!(
        (2_900_000..3_100_000).contains(&report.stored),
        "{report:?}"
    );
    assert_eq!(report.other, 0);
}

#[tokio::test]
async fn unused_items_are_deleted_and_shared_blocks_stay() {
    let baked = Baked::new([100 * HOUR, 50 * HOUR, 2 * HOUR]).await;
    let cache = baked.open().await;
    let imported = Block::raw(noise(1234, 1000).into());
    cache.blocks.put(std::slice::from_ref(&imported)).unwrap();
    cache.blocks.flush().unwrap();
    let before = cache.usage().unwrap();

    assert_eq!(
        cache.victims(&unused_for(40 * HOUR)).unwrap(),
        [baked.name(0), baked.name(1)]
    );
    let done = cache.collect(&unused_for(60 * HOUR), &mut no_pins).unwrap();
    assert_eq!(done.items, [baked.name(0)]);
    let after = cache.usage().unwrap();
    assert_eq!(after.items.len(), 2);
    assert!(after.items.iter().all(|one| !one.damaged));
    assert_eq!(before.stored - after.stored, before.items[0].unique);
    assert_eq!(after.other, 1000);

    let done = cache.collect(&unused_for(HOUR), &mut no_pins).unwrap();
    assert_eq!(done.items, [baked.name(1), baked.name(2)]);
    assert_eq!(cache.blocks.stats().unwrap().bytes, 1000);
    assert!(cache.blocks.has(imported.cid()).unwrap());
    // There is one pack, which is also the one that is written to.
    assert!(done.blocks > 2);
}

#[tokio::test]
async fn recently_requested_items_stay_above_the_limit() {
    let baked = Baked::new([10 * HOUR, HOUR / 2, HOUR / 2]).await;
    let cache = baked.open().await;
    let policy = Policy {
        unused_for: None,
        max_bytes: Some(0),
        keep_for: HOUR,
    };
    assert_eq!(cache.victims(&policy).unwrap(), [baked.name(0)]);
}

#[tokio::test]
async fn no_more_is_deleted_than_needed() {
    let baked = Baked::new([30 * HOUR, 20 * HOUR, 10 * HOUR]).await;
    let cache = baked.open().await;
    let stored = cache.usage().unwrap().stored;
    let most = |max_bytes| Policy {
        unused_for: None,
        max_bytes: Some(max_bytes),
        keep_for: HOUR,
    };
    assert_eq!(cache.victims(&most(stored)).unwrap(), []);
    assert_eq!(cache.victims(&most(stored - 1)).unwrap(), [baked.name(0)]);
    assert_eq!(
        cache.victims(&most(stored - 500_000)).unwrap(),
        [baked.name(0), baked.name(1)]
    );
    assert_eq!(cache.victims(&most(0)).unwrap().len(), 3);
    cache
        .collect(&most(stored - 500_000), &mut no_pins)
        .unwrap();
    assert!(cache.usage().unwrap().stored <= stored - 500_000);
}

#[tokio::test]
async fn items_stay_if_kubo_does_not_unpin_them_and_shared_pins_stay() {
    let baked = Baked::new([30 * HOUR, 20 * HOUR, 10 * HOUR]).await;
    let cache = baked.open().await;
    let mut pins = Vec::new();
    for item in &baked.items[..2] {
        let hash_part = item.store_path.hash_part();
        let publish = |record: &mut Record| record.representations[0].published = true;
        cache.records.update(hash_part, publish).unwrap();
        pins.push(cache.records.get(hash_part).unwrap().record.pins());
        asked(baked.dir.path(), item, 30 * HOUR);
    }
    let done = cache
        .collect(&unused_for(25 * HOUR), &mut |_| false)
        .unwrap();
    assert_eq!(done.items, []);
    assert_eq!(done.pinned.len(), 2);
    assert!(cache.usage().unwrap().items.iter().all(|one| !one.damaged));

    let mut unpinned = Vec::new();
    let done = cache
        .collect(&unused_for(25 * HOUR), &mut |asked| {
            unpinned.push(asked.to_vec());
            asked == pins[0].as_slice()
        })
        .unwrap();
    assert_eq!(
        (done.items, done.pinned),
        (vec![baked.name(0)], vec![baked.name(1)])
    );
    unpinned.sort();
    let mut expected = pins.clone();
    expected.sort();
    assert_eq!(unpinned, expected);
}

#[tokio::test]
async fn a_wrong_block_is_found_and_fetched_or_its_items_are_baked_again() {
    let baked = Baked::new([3 * HOUR, 2 * HOUR, HOUR]).await;
    let cache = baked.open().await;
    let whole = cache.check(&mut |_| {}, &mut |_| None).unwrap();
    assert_eq!((whole.wrong, whole.repaired, whole.items.len()), (0, 0, 0));
    let report = cache.usage().unwrap();
    let kept = cache.parts().all().unwrap();
    let leaves = super::super::dag::blocks_of(&cache.blocks, &kept[1].roots()).cids;
    let own = leaves
        .iter()
        .filter(|cid| cache.blocks.size(cid).unwrap().unwrap() > 100_000)
        .find(|cid| {
            let other = super::super::dag::blocks_of(&cache.blocks, &kept[0].roots()).cids;
            !other.contains(cid)
        })
        .copied()
        .unwrap();
    let good = Block::verify(own, cache.blocks.get(&own).unwrap().unwrap()).unwrap();
    let pack = baked.folder().join("blocks/pack-00000001.car");

    for refetched in [true, false] {
        let mut bytes = fs::read(&pack).unwrap();
        // A block that was fetched again is behind the one it replaces.
        let at = bytes
            .windows(64)
            .rposition(|window| window == &good.data()[..64])
            .unwrap();
        bytes[at + 5] ^= 1;
        fs::write(&pack, &bytes).unwrap();
        let mut hashed = 0;
        let done = cache
            .check(&mut |bytes| hashed += bytes, &mut |cid| {
                assert_eq!(*cid, own);
                refetched.then(|| good.clone())
            })
            .unwrap();
        assert_eq!((done.wrong, done.repaired), (1, u64::from(refetched)));
        assert_eq!(hashed, report.stored);
        let lost: Vec<StorePath> = (!refetched).then(|| baked.name(1)).into_iter().collect();
        assert_eq!(done.items, lost);
        assert_eq!(cache.blocks.has(&own).unwrap(), refetched);
    }
    assert_eq!(cache.usage().unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_running_publish_deletes_only_items_that_have_left_the_store() {
    let baked = Baked::new([30 * HOUR, 30 * HOUR, 30 * HOUR]).await;
    let config = || Config {
        compressors: vec!["zstd".parse().unwrap()],
        workers: 1,
        ..Config::new(baked.folder())
    };
    let baker = Baker::open(Arc::clone(&baked.source), config()).unwrap();
    let done = baker.collect(&unused_for(HOUR), &mut no_pins).unwrap();
    assert_eq!(done.items, []);
    drop(baker);
    // The same cache, for a store that has only the third item.
    let path = baked.dir.path().join("three");
    let third = Trees::open(&[Tree { path, name: None }], "/gnu/store").unwrap();
    drop(baked.open().await);
    let baker = Baker::open(Arc::new(third), config()).unwrap();
    let done = baker.collect(&unused_for(HOUR), &mut no_pins).unwrap();
    assert_eq!(done.items.len(), 2);
    assert!(!done.items.contains(&baked.name(2)));
    let hash_part = baked.items[2].store_path.hash_part();
    assert!(baker.get(hash_part).is_some());
    // Serving a narinfo counts as a request.
    baker.serve(&baker.get(hash_part).unwrap());
    let now = || {
        baker
            .inner
            .records
            .served(hash_part)
            .unwrap()
            .elapsed()
            .unwrap()
    };
    while now() > HOUR {
        tokio::task::yield_now().await;
    }
}

/// Makes a snapshot of all items.
fn snapshot(cache: &Cache) -> Cid {
    let all = cache.parts().all().unwrap();
    let mut put = all.iter().map(|item| {
        let path = &item.record.item.store_path;
        let url = format!("nar/zstd/{}", path.base_name());
        let narinfo = format!(
            "StorePath: {path}\nURL: {url}\nCompression: zstd\nNarHash: {}\nNarSize: 1\nReferences: \n",
            item.record.item.nar_hash
        );
        SnapshotItem {
            hash_part: item.hash_part.clone(),
            narinfo: narinfo.into(),
            files: vec![(url, item.record.representations[0].cid)],
        }
    });
    let changes = SnapshotChanges {
        files: vec![("nix-cache-info", b"StoreDir: /gnu/store\n".to_vec())],
        keep_for: HOUR,
        ..SnapshotChanges::default()
    };
    let mut held = cache.snapshots.hold();
    held.apply(changes, &mut put).unwrap().unwrap()
}

#[tokio::test]
async fn a_deleted_item_leaves_the_snapshot_and_its_blocks_stay_until_the_last_one_expires() {
    let baked = Baked::new([100 * HOUR, 50 * HOUR, 2 * HOUR]).await;
    let cache = baked.open().await;
    let before = cache.usage().unwrap();
    let root = snapshot(&cache);
    let with = cache.usage().unwrap();
    assert!((500..10_000).contains(&with.snapshots), "{with:?}");
    assert_eq!((with.stored, with.other), (before.stored, 0));

    let policy = Policy {
        keep_for: Duration::ZERO,
        ..unused_for(60 * HOUR)
    };
    let done = cache.collect(&policy, &mut no_pins).unwrap();
    assert_eq!((done.items, done.bytes), (vec![baked.name(0)], 0));
    assert_eq!(cache.snapshots.hold().listed().unwrap().len(), 2);
    // All blocks of the old snapshot exist, and their bytes count as soon to be freed.
    let walked = super::super::dag::blocks_of(&cache.blocks, &[root]);
    assert_eq!(walked.lost, None);
    assert!(walked.cids.iter().all(|cid| cache.blocks.has(cid).unwrap()));
    let after = cache.usage().unwrap();
    assert!(after.snapshots > before.items[0].unique, "{after:?}");
    let most = Policy {
        max_bytes: Some(before.stored),
        unused_for: None,
        ..policy
    };
    assert_eq!(cache.victims(&most).unwrap(), []);

    // The snapshot has expired.
    let done = cache
        .collect(&unused_for(1000 * HOUR), &mut no_pins)
        .unwrap();
    assert!(done.items.is_empty() && done.blocks > 2, "{done:?}");
    assert!(!cache.blocks.has(&root).unwrap());
    let last = cache.usage().unwrap();
    assert!(last.snapshots < 10_000 && last.other == 0, "{last:?}");
    assert!(last.items.iter().all(|one| !one.damaged));
}

#[tokio::test]
async fn a_snapshot_stays_until_kubo_unpins_it() {
    let baked = Baked::new([HOUR, HOUR, HOUR]).await;
    let cache = baked.open().await;
    let root = snapshot(&cache);
    // A snapshot that was forgotten because it lost blocks.
    let forgotten = *Block::raw("forgotten".into()).cid();
    let kubo = InKubo {
        pinned: vec![root, forgotten],
        ..InKubo::default()
    };
    cache.snapshots.hold().set_in_kubo(kubo).unwrap();
    let gone = vec![baked.items[0].store_path.hash_part().to_owned()];
    let removed = cache.snapshots.hold().remove(gone, Duration::ZERO);
    removed.unwrap();
    let never = unused_for(1000 * HOUR);
    cache.collect(&never, &mut |_| false).unwrap();
    assert!(cache.blocks.has(&root).unwrap());
    assert_eq!(cache.snapshots.hold().in_kubo().pinned, [root, forgotten]);
    let mut asked = Vec::new();
    let mut unpin = |pins: &[Cid]| {
        asked.extend_from_slice(pins);
        true
    };
    cache.collect(&never, &mut unpin).unwrap();
    assert_eq!(asked, [root, forgotten]);
    assert!(!cache.blocks.has(&root).unwrap());
    assert!(cache.snapshots.hold().in_kubo().pinned.is_empty());
}

#[tokio::test]
async fn a_snapshot_that_lost_a_block_is_repaired_or_forgotten() {
    let baked = Baked::new([HOUR, HOUR, HOUR]).await;
    let cache = baked.open().await;
    let root = snapshot(&cache);
    let block = Block::verify(root, cache.blocks.get(&root).unwrap().unwrap()).unwrap();
    cache.blocks.remove(&[root]).unwrap();
    let checked = cache.check(&mut |_| {}, &mut |_| Some(block.clone()));
    let checked = checked.unwrap();
    assert_eq!((checked.repaired, checked.snapshots), (1, 0));
    cache.blocks.remove(&[root]).unwrap();
    let lost = cache.check(&mut |_| {}, &mut |_| None).unwrap();
    assert_eq!((lost.snapshots, lost.items.len()), (1, 0));
    assert_eq!(cache.snapshots.hold().root(), None);
}

#[tokio::test]
async fn totals_follow_when_items_are_added_changed_and_deleted() {
    let baked = Baked::new([3 * HOUR, 2 * HOUR, HOUR]).await;
    let config = Config {
        compressors: vec!["zstd".parse().unwrap()],
        workers: 1,
        ..Config::new(baked.folder())
    };
    let baker = Baker::open(Arc::clone(&baked.source), config).unwrap();
    assert_eq!(baker.space().unwrap(), None);
    baker.count().unwrap();
    let records = baked.items.iter().map(|item| {
        let hash_part = item.store_path.hash_part();
        baker.get(hash_part).unwrap()
    });
    let records: Vec<_> = records.collect();
    let expected = |records: &[Arc<crate::bake::Baked>]| Totals {
        items: records.len() as u64,
        nar_bytes: records.iter().map(|one| one.record.item.nar_size).sum(),
        offered_bytes: records
            .iter()
            .flat_map(|one| &one.record.representations)
            .map(|form| form.file_size)
            .sum(),
    };
    let (totals, disk) = baker.space().unwrap().unwrap();
    assert_eq!(totals, expected(&records));
    // Three items share two megabytes, and the disk has them once.
    assert!(totals.offered_bytes > 6_800_000, "{totals:?}");
    assert!((2_900_000..3_200_000).contains(&disk), "{disk}");
    let gone = baked.items[1].store_path.hash_part();
    baker.inner.records.remove(gone).unwrap();
    baker.inner.records.remove(gone).unwrap();
    let left = [Arc::clone(&records[0]), Arc::clone(&records[2])];
    assert_eq!(baker.space().unwrap().unwrap().0, expected(&left));
    baker.bake(baked.items[1].clone()).await.unwrap();
    assert_eq!(baker.space().unwrap().unwrap().0, expected(&records));
    let kept = baked.items[0].store_path.hash_part();
    let changed = baker.inner.records.update(kept, Record::unpublish);
    assert!(changed.unwrap());
    assert_eq!(baker.space().unwrap().unwrap().0, expected(&records));
}

#[tokio::test]
async fn a_record_that_changes_during_the_count_is_counted_once() {
    let baked = Baked::new([HOUR; 3]).await;
    let cache = Cache::open_read_only(&baked.folder()).unwrap();
    let all = cache.parts().all().unwrap();
    let [one, two, three] = all.as_slice() else {
        panic!("{}", all.len())
    };
    let count = |records: &[&Record]| {
        let mut running_totals = RunningTotals::default();
        running_totals.begin((0..records.len()).map(|index| index.to_string()));
        for (index, record) in records.iter().enumerate() {
            running_totals.count(&index.to_string(), Some(record));
        }
        running_totals.totals().unwrap()
    };
    let mut running_totals = RunningTotals::default();
    // Before `begin`, changes are ignored.
    running_totals.change("one", None, Some(&one.record));
    assert_eq!(
        (running_totals.totals(), running_totals.next()),
        (None, None)
    );
    running_totals.begin(["one", "two", "lost"].map(String::from).into_iter());
    running_totals.change("one", Some(&one.record), Some(&three.record));
    running_totals.change("two", Some(&two.record), None);
    running_totals.change("three", None, Some(&one.record));
    assert_eq!(running_totals.totals(), None);
    assert_eq!(running_totals.next().as_deref(), Some("lost"));
    running_totals.count("lost", None);
    // This record was counted already.
    running_totals.count("two", Some(&two.record));
    assert_eq!(
        running_totals.totals(),
        Some(count(&[&three.record, &one.record]))
    );
}
