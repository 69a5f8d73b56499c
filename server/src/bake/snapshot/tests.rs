use super::*;
use interplanar_core::block::Block;
use interplanar_core::cid::Version;
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::unixfs::{Content, Directory};
use std::collections::BTreeMap;

const KEEP: Duration = Duration::from_secs(3600);

/// A cache folder with a block store, and no items.
struct Cache {
    dir: tempfile::TempDir,
    blocks: BlockStore,
}

impl Cache {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blocks = BlockStore::open(&dir.path().join("blocks")).unwrap();
        Self { dir, blocks }
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::open(self.dir.path(), self.blocks.clone())
    }

    fn get(&self, cid: &Cid) -> Option<Block> {
        Block::verify(*cid, self.blocks.get(cid).unwrap()?).ok()
    }

    /// Returns all files of a directory by their paths.
    fn files(&self, root: &Cid) -> BTreeMap<String, Cid> {
        let mut files = BTreeMap::new();
        let mut open = vec![(String::new(), *root, false)];
        while let Some((path, cid, in_shard)) = open.pop() {
            let content = Content::decode(&self.get(&cid).unwrap()).unwrap();
            let (links, skip) = match content {
                Content::Directory(links) => (links, 0),
                Content::Shard { links, .. } => (links, 2),
                _ => {
                    files.insert(path, cid);
                    continue;
                }
            };
            for Link { cid, name, .. } in links {
                let name = String::from_utf8(name[skip..].to_vec()).unwrap();
                let slash = if path.is_empty() || name.is_empty() || in_shard && name.is_empty() {
                    ""
                } else {
                    "/"
                };
                open.push((format!("{path}{slash}{name}"), cid, skip == 2));
            }
        }
        files
    }
}

fn hash_part(number: u32) -> String {
    // Nix's base 32 has digits, but not e, o, t and u.
    format!("{number:032}")
}

fn entry(cache: &Cache, number: u32, method: &str) -> SnapshotItem {
    let block = Block::raw(format!("nar {number} {method}").into());
    cache.blocks.put(std::slice::from_ref(&block)).unwrap();
    let (hash_part, url) = (
        hash_part(number),
        format!("nar/{method}/{}-a%2Bb", hash_part(number)),
    );
    let narinfo = format!(
        "StorePath: /nix/store/{hash_part}-a+b\nURL: {url}\nCompression: {method}\nNarHash: sha256:{}\nNarSize: 96\nReferences: \n",
        "0".repeat(52)
    );
    SnapshotItem {
        hash_part,
        narinfo: narinfo.into(),
        files: vec![(url, *block.cid())],
    }
}

fn changes(remove: &[u32]) -> SnapshotChanges {
    SnapshotChanges {
        files: vec![("nix-cache-info", b"StoreDir: /nix/store\n".to_vec())],
        remove: remove.iter().map(|number| hash_part(*number)).collect(),
        settings: "s".to_owned(),
        keep_for: KEEP,
        ..SnapshotChanges::default()
    }
}

#[test]
fn items_are_added_and_removed_without_leftovers() {
    let cache = Cache::new();
    let snapshots = cache.snapshots();
    let mut held = snapshots.hold();
    let mut put = [entry(&cache, 1, "zstd"), entry(&cache, 2, "gzip")].into_iter();
    let first = held.apply(changes(&[]), &mut put).unwrap().unwrap();
    let names: Vec<String> = cache.files(&first).into_keys().collect();
    let (one, two) = (hash_part(1), hash_part(2));
    assert_eq!(
        names,
        [
            format!("{one}.narinfo"),
            format!("{two}.narinfo"),
            format!("nar/gzip/{two}-a+b"),
            format!("nar/zstd/{one}-a+b"),
            "nix-cache-info".to_owned()
        ]
    );
    assert_eq!(held.listed().unwrap().len(), 2);
    // Adding the same item again keeps the root.
    let mut put = [entry(&cache, 2, "gzip")].into_iter();
    assert_eq!(held.apply(changes(&[]), &mut put), Ok(None));
    // With another compression, nothing stays in the folder of the first.
    let mut put = [entry(&cache, 2, "xz")].into_iter();
    let second = held.apply(changes(&[1]), &mut put).unwrap().unwrap();
    let names: Vec<String> = cache.files(&second).into_keys().collect();
    assert_eq!(
        names,
        [
            format!("{two}.narinfo"),
            format!("nar/xz/{two}-a+b"),
            "nix-cache-info".to_owned()
        ]
    );
    // With the last item, its folders are removed.
    held.remove(vec![two], KEEP).unwrap();
    let last = held.root().unwrap();
    assert_eq!(
        cache.files(&last).into_keys().collect::<Vec<_>>(),
        ["nix-cache-info"]
    );
    assert_eq!(held.roots(), [last, first, second]);
}

#[test]
fn a_restart_continues_and_a_malformed_state_is_no_snapshot() {
    let cache = Cache::new();
    let snapshots = cache.snapshots();
    let mut put = (1..4).map(|number| entry(&cache, number, "zstd"));
    let root = snapshots.hold().apply(changes(&[]), &mut put).unwrap();
    let again = cache.snapshots();
    assert_eq!(again.hold().root(), root);
    assert_eq!(again.hold().settings(), "s");
    assert_eq!(again.hold().listed().unwrap().len(), 3);
    let kubo = InKubo {
        id: "12D3".to_owned(),
        pinned: Vec::from_iter(root),
        ..InKubo::default()
    };
    again.hold().set_in_kubo(kubo.clone()).unwrap();
    assert_eq!(cache.snapshots().hold().in_kubo(), &kubo);
    std::fs::write(cache.dir.path().join("snapshot.json"), "{").unwrap();
    assert_eq!(cache.snapshots().hold().root(), None);
}

#[test]
fn adding_an_item_to_many_makes_a_few_blocks() {
    let cache = Cache::new();
    let snapshots = cache.snapshots();
    let mut held = snapshots.hold();
    let mut put = (0..6000).map(|number| entry(&cache, number, "zstd"));
    let before = held.apply(changes(&[]), &mut put).unwrap().unwrap();
    let mut put = [entry(&cache, 6000, "zstd")].into_iter();
    let after = held.apply(changes(&[]), &mut put).unwrap().unwrap();
    let new = new_blocks(&cache.blocks, after, Some(before), "nar").unwrap();
    // The root and its shards, the folder of NARs, that of the method and its shards, and narinfos.
    assert!(new.len() <= 12, "{}", new.len());
    let all = new_blocks(&cache.blocks, after, None, "nar").unwrap();
    assert!(all.len() > 6000 && new.iter().all(|cid| all.contains(cid)));
    // The result equals a directory that is built at once.
    let other = Cache::new();
    let (snapshots, mut put) = (
        other.snapshots(),
        (0..=6000).map(|number| entry(&other, number, "zstd")),
    );
    let whole = snapshots.hold().apply(changes(&[]), &mut put).unwrap();
    assert_eq!(whole, Some(after));
    // Files in the folder of NARs are not sent with the directory.
    let nar = entry(&cache, 1, "zstd").files[0].1;
    assert!(!all.contains(&nar) && cache.files(&after).values().any(|cid| *cid == nar));
}

#[test]
fn a_lost_node_is_named_and_the_snapshot_stays() {
    let cache = Cache::new();
    let snapshots = cache.snapshots();
    let mut held = snapshots.hold();
    let mut put = [entry(&cache, 1, "zstd")].into_iter();
    let root = held.apply(changes(&[]), &mut put).unwrap().unwrap();
    cache.blocks.remove(&[root]).unwrap();
    let mut put = [entry(&cache, 2, "zstd")].into_iter();
    assert_eq!(
        held.apply(changes(&[]), &mut put),
        Err(DirectoryError::Missing { cid: root }.into())
    );
    assert_eq!(held.root(), Some(root));
    held.forget(&root).unwrap();
    assert_eq!(cache.snapshots().hold().root(), None);
}

#[test]
fn links_contain_the_bytes_of_all_blocks_below() {
    let cache = Cache::new();
    let snapshots = cache.snapshots();
    let mut held = snapshots.hold();
    let mut put = [entry(&cache, 1, "zstd")].into_iter();
    let root = held.apply(changes(&[]), &mut put).unwrap().unwrap();
    let mut directory = Directory::open(&root, &mut |cid| cache.get(cid)).unwrap();
    let (nar, size) = directory.get(b"nar", &mut |_| None).unwrap().unwrap();
    let node = Node::decode(cache.get(&nar).unwrap().data()).unwrap();
    let below: u64 = node.links.iter().map(|link| link.tsize).sum();
    assert_eq!(size, below + cache.get(&nar).unwrap().data().len() as u64);
    let empty = directory.remove(b"nar", &mut |_| None).unwrap();
    assert_eq!((empty, nar.version()), (Some((nar, size)), Version::V1));
}
