use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use interplanar_core::decompress::{Decoder, Limits};
use interplanar_core::dedup::{Index, IndexBody, PieceEntry, SmallPieces, frame};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::Listing;
use interplanar_core::narinfo::Compression;
use tempfile::TempDir;

use super::*;
use crate::store::binary_cache::BinaryCache;
use crate::store::trees::{Tree, Trees};
use crate::store::{Item, Source, SourceError};
use crate::task;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// Returns a folder with a tree of about 3 MiB that compresses a little.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir_all(root.join("sub")).unwrap();
    let words = (0..120_000_u64).map(|n| format!("{} ", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    fs::write(root.join("words"), words.collect::<String>()).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("sub/naïve ü"), "ü").unwrap();
    std::os::unix::fs::symlink("words", root.join("link")).unwrap();
    dir
}

fn source(dir: &TempDir) -> Arc<dyn Source> {
    let path = dir.path().join("tree");
    let tree = Tree { path, name: None };
    Arc::new(Trees::open(&[tree], "/gnu/store").unwrap())
}

fn only(source: &Arc<dyn Source>) -> Item {
    source.items(None, 2).unwrap().pop().unwrap()
}

fn config(dir: &Path, compressors: &[&str]) -> Config {
    Config {
        compressors: compressors.iter().map(|one| one.parse().unwrap()).collect(),
        workers: 2,
        ..Config::new(dir)
    }
}

fn nar(source: &Arc<dyn Source>, item: &Item) -> Vec<u8> {
    let mut nar = Vec::new();
    source.dump(item, &mut nar).unwrap();
    nar
}

fn content(baker: &Baker, baked: &Baked, one: &Representation) -> Vec<u8> {
    let hash_part = baked.record.item.store_path.hash_part();
    let pieces = Content::new(baker, hash_part, one.cid, 0..one.file_size);
    pieces.map(Result::unwrap).collect::<Vec<_>>().concat()
}

fn decoded(method: Compression, mut bytes: &[u8]) -> Vec<u8> {
    let limits = Limits {
        max_output: 1 << 30,
        max_window: 8 << 20,
    };
    let mut decoder = Decoder::new(method, limits).unwrap();
    let mut out = Vec::new();
    while !bytes.is_empty() {
        decoder.push(&mut bytes, &mut out).unwrap();
    }
    while !decoder.finish(&mut out).unwrap() {}
    out
}

#[tokio::test]
async fn every_compressor_keeps_the_nar_and_makes_the_same_cids_again() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let nar = nar(&source, &item);
    let methods = ["zstd:19", "zstd-whole:19", "gzip:6", "lzip:2", "none"];
    let mut cids = Vec::new();
    for cache in ["one", "two"] {
        let config = config(&dir.path().join(cache), &methods);
        let baker = Baker::open(Arc::clone(&source), config).unwrap();
        let baked = baker.bake(item.clone()).await.unwrap();
        assert_eq!(baked.record.representations.len(), 5);
        for one in &baked.record.representations {
            let bytes = content(&baker, &baked, one);
            assert_eq!(bytes.len() as u64, one.file_size);
            assert_eq!(Sha256::of(&bytes), one.file_hash);
            assert!(one.compression == Compression::None || bytes.len() < nar.len());
            assert_eq!(
                decoded(one.compression, &bytes),
                nar,
                "{:?}",
                one.compression
            );
            assert!(!one.published);
            cids.push(one.cid);
        }
        let listing = baker.listing(item.store_path.hash_part()).unwrap();
        let listing = Listing::from_json(std::str::from_utf8(&listing).unwrap()).unwrap();
        assert!(listing.lookup("sub/naïve ü".as_bytes()).is_some());
    }
    assert_eq!(cids[..5], cids[5..]);
}

/// Returns the pieces of an item from its chunk index.
fn pieces(baker: &Baker, baked: &Baked) -> Vec<PieceEntry> {
    let one = baked.record.representation(Compression::Zstd).unwrap();
    let index = baker.blocks().get(&one.index.unwrap()).unwrap().unwrap();
    let index = Index::decode(&index).unwrap();
    assert_eq!(index.nar_size, baked.record.item.nar_size);
    match index.body {
        IndexBody::Pieces(pieces) => pieces,
        IndexBody::Parts(_) => panic!("few pieces"),
    }
}

#[tokio::test]
async fn the_chunk_index_describes_each_piece() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let nar = nar(&source, &item);
    let config = config(&dir.path().join("cache"), &["zstd:5"]);
    let baker = Baker::open(source, config).unwrap();
    let baked = baker.bake(item).await.unwrap();
    let pieces = pieces(&baker, &baked);
    let mut plain = Vec::new();
    for piece in &pieces {
        let leaf = |cid| baker.blocks().get(&cid).unwrap().unwrap();
        let compressed: Vec<u8> = piece.cids().flat_map(leaf).collect();
        let decoded = frame::decode(&compressed, piece.length).unwrap();
        assert_eq!(Sha256::of(&decoded), piece.plain);
        plain.extend(decoded);
    }
    assert!(plain == nar);
    assert!(pieces.len() > 3);
}

/// The root of that file is known in advance, and the file is deleted and published with the item.
#[tokio::test]
async fn the_small_pieces_are_in_a_second_file() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let config = config(&dir.path().join("cache"), &["zstd:5", "zstd-whole"]);
    let baker = Baker::open(source, config).unwrap();
    let baked = baker.bake(item).await.unwrap();
    let all = pieces(&baker, &baked);
    let small = all.iter().filter(|piece| SmallPieces::has(piece));
    let leaf = |piece: &PieceEntry| baker.blocks().get(&piece.cids().next()?).ok()?;
    let expected: Vec<u8> = small.filter_map(leaf).flatten().collect();
    let [one, whole] = &baked.record.representations[..] else {
        panic!("two forms");
    };
    assert_eq!(one.small, SmallPieces::of(&all).map(|built| built.cid));
    assert_eq!(whole.small, None);
    let root = one.small.unwrap();
    assert!(baked.record.roots().contains(&root));
    let hash_part = baked.record.item.store_path.hash_part();
    let content = Content::new(&baker, hash_part, root, 0..expected.len() as u64);
    let read: Vec<u8> = content.flat_map(|bytes| bytes.unwrap()).collect();
    assert!(!read.is_empty() && read == expected);
}

/// Two items that share a file store it once.
#[tokio::test]
async fn shared_files_are_stored_once() {
    let dir = tree();
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::copy(
        dir.path().join("tree/words"),
        dir.path().join("other/renamed"),
    )
    .unwrap();
    let trees = ["tree", "other"].map(|name| Tree {
        path: dir.path().join(name),
        name: None,
    });
    let source: Arc<dyn Source> = Arc::new(Trees::open(&trees, "/gnu/store").unwrap());
    let baker = Baker::open(
        Arc::clone(&source),
        config(&dir.path().join("cache"), &["zstd"]),
    )
    .unwrap();
    let mut sizes = Vec::new();
    for item in source.items(None, 3).unwrap() {
        let before = baker.blocks().stats().unwrap().bytes;
        baker.bake(item).await.unwrap();
        sizes.push(baker.blocks().stats().unwrap().bytes - before);
    }
    assert!(sizes[0] > 1 << 20, "{sizes:?}");
    assert!(sizes[1] < sizes[0] / 100, "{sizes:?}");
}

#[tokio::test]
async fn the_form_of_pieces_is_added_to_the_one_stream_and_neither_is_lost() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let cache = dir.path().join("cache");
    let whole = {
        let baker = Baker::open(Arc::clone(&source), config(&cache, &["zstd-whole"])).unwrap();
        let baked = baker.bake(item.clone()).await.unwrap();
        baked.record.representations[0].clone()
    };
    assert_eq!(whole.index, None);
    let baker = reopen(&source, || config(&cache, &["zstd"])).await;
    let both = baker.bake(item).await.unwrap();
    assert_eq!(both.record.representations.len(), 2);
    assert_eq!(both.record.whole(Compression::Zstd), Some(&whole));
    let pieces = both.record.representation(Compression::Zstd).unwrap();
    assert!(pieces.index.is_some());
    assert_eq!(both.record.of("zstd:9".parse().unwrap()), Some(pieces));
    assert_eq!(both.record.of("zstd-whole".parse().unwrap()), Some(&whole));
    let json = both.record.to_json().unwrap();
    assert_eq!(Record::from_json(&json).as_ref(), Some(&both.record));
}

#[tokio::test]
async fn a_tree_keeps_its_listing_when_another_form_is_baked() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let nar = nar(&source, &item);
    let cache = dir.path().join("cache");
    let with_tree = || {
        let mut config = config(&cache, &["gzip"]);
        config.compressors.push(Compressor::TREE);
        config
    };
    let first = {
        let baker = Baker::open(Arc::clone(&source), with_tree()).unwrap();
        let baked = baker.bake(item.clone()).await.unwrap();
        let one = baked.record.of(Compressor::TREE).unwrap();
        assert!(content(&baker, &baked, one) == nar);
        one.clone()
    };
    let tree = first.tree.unwrap();
    let baker = reopen(&source, || config(&cache, &["zstd", "none"])).await;
    let more = baker.bake(item.clone()).await.unwrap();
    // The plain NAR exists already: it is that of the tree.
    assert_eq!(more.record.representations.len(), 3);
    assert_eq!(more.record.of(Compressor::NONE), Some(&first));
    let listing = baker.listing(item.store_path.hash_part()).unwrap();
    let listing = std::str::from_utf8(&listing).unwrap();
    assert!(listing.contains(&tree.to_string()));
    let json = more.record.to_json().unwrap();
    assert_eq!(Record::from_json(&json).as_ref(), Some(&more.record));
    // All its blocks are listed.
    let blocks = super::dag::blocks_of(baker.blocks(), &more.record.roots());
    assert_eq!(blocks.lost, None);
    let stored = baker.blocks().stats().unwrap().blocks;
    let distinct: std::collections::HashSet<_> = blocks.cids.iter().map(|cid| cid.hash()).collect();
    assert_eq!(distinct.len() as u64, stored);
}

#[tokio::test]
async fn a_hundred_concurrent_requests_cause_one_bake() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let baker = Baker::open(source, config(&dir.path().join("cache"), &["zstd"])).unwrap();
    let asking = (0..100).map(|_| baker.bake(item.clone()));
    let baked = futures_util::future::try_join_all(asking).await.unwrap();
    assert!(baked.iter().all(|one| one.record == baked[0].record));
    assert_eq!((baker.counts().baked, baker.counts().failed), (1, 0));
    // Later requests find the record.
    baker.bake(item).await.unwrap();
    assert_eq!(baker.counts().baked, 1);
}

#[tokio::test]
async fn leftovers_of_a_killed_bake_are_ignored() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let hash_part = item.store_path.hash_part();
    let cache = dir.path().join("cache");
    let (items, listings) = (cache.join("items"), cache.join("listings"));
    for folder in [&items, &listings] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(".unfinished-abc"), "{").unwrap();
    }
    fs::write(
        items.join(format!("{hash_part}.json")),
        "{\"version\": 1, \"storePath\":",
    )
    .unwrap();
    let baker = Baker::open(source, config(&cache, &["none"])).unwrap();
    assert!(baker.get(hash_part).is_none());
    assert_eq!(fs::read_dir(&listings).unwrap().count(), 0);
    baker.bake(item.clone()).await.unwrap();
    let names: Vec<_> = fs::read_dir(&items)
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    assert_eq!(names, [format!("{hash_part}.json").as_str()]);
    let json = fs::read(items.join(&names[0])).unwrap();
    assert_eq!(
        Record::from_json(&json).as_ref(),
        baker.get(hash_part).as_deref().map(|one| &one.record)
    );
    for end in 0..json.len() - 1 {
        assert_eq!(Record::from_json(&json[..end]), None, "{end}");
    }
}

#[tokio::test]
async fn a_record_survives_and_gets_more_forms() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let cache = dir.path().join("cache");
    let first = {
        let baker = Baker::open(Arc::clone(&source), config(&cache, &["none"])).unwrap();
        baker.bake(item.clone()).await.unwrap()
    };
    let baker = reopen(&source, || config(&cache, &["gzip", "none"])).await;
    let known = baker.get(item.store_path.hash_part()).unwrap();
    assert_eq!(known.record, first.record);
    assert!(!baker.is_complete(&known.record));
    let more = baker.bake(item).await.unwrap();
    assert_eq!(
        more.record.representations[0],
        first.record.representations[0]
    );
    assert_eq!(
        more.record.representations[1].compression,
        Compression::Gzip
    );
    assert!(baker.is_complete(&more.record));
}

/// Opens a cache again, once the workers of the previous baker have ended and released its lock.
async fn reopen(source: &Arc<dyn Source>, config: impl Fn() -> Config) -> Baker {
    loop {
        match Baker::open(Arc::clone(source), config()) {
            Err(BakeError::Blocks(_)) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let config = Config {
        min_free: u64::MAX,
        ..config(&dir.path().join("cache"), &["none"])
    };
    let baker = Baker::open(source, config).unwrap();
    let error = baker.bake(item.clone()).await.unwrap_err();
    assert!(
        matches!(
            error,
            BakeError::DiskFull {
                least: u64::MAX,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(baker.blocks().stats().unwrap().blocks, 0);
    assert!(baker.get(item.store_path.hash_part()).is_none());
    // The bake is not tried again at every request.
    assert_eq!(baker.bake(item).await.unwrap_err(), BakeError::Recent);
    assert_eq!(baker.counts().failed, 1);
}

#[tokio::test]
async fn a_changed_tree_is_not_baked_and_its_blocks_are_removed() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let words = dir.path().join("tree/words");
    let before = fs::read_to_string(&words).unwrap();
    let baker = Baker::open(
        Arc::clone(&source),
        config(&dir.path().join("cache"), &["none"]),
    )
    .unwrap();
    // Larger than a batch, so that blocks are stored before the wrong hash is found.
    fs::write(&words, before.repeat(4)).unwrap();
    let error = baker.bake(item.clone()).await.unwrap_err();
    assert!(
        matches!(error, BakeError::Source(SourceError::Changed(_))),
        "{error}"
    );
    // The size stays, so only the hash differs. A new baker, because a failed bake isn't tried
    // again for a while.
    fs::write(&words, before.replacen('0', "1", 1)).unwrap();
    drop(baker);
    let config = || config(&dir.path().join("cache"), &["none"]);
    let baker = reopen(&source, config).await;
    let error = baker.bake(item.clone()).await.unwrap_err();
    assert!(matches!(error, BakeError::NarHash { .. }), "{error}");
    assert_eq!(baker.blocks().stats().unwrap().blocks, 0);
    assert!(baker.get(item.store_path.hash_part()).is_none());
}

/// A store that panics when it reads the item with this name.
struct PanickingSource(Arc<dyn Source>, &'static str);

impl Source for PanickingSource {
    fn store_dir(&self) -> &str {
        self.0.store_dir()
    }

    fn find(&self, hash_part: &str) -> Result<Option<Item>, SourceError> {
        self.0.find(hash_part)
    }

    fn dump(&self, item: &Item, out: &mut dyn std::io::Write) -> Result<(), SourceError> {
        assert!(item.store_path.name() != self.1, "a bug");
        self.0.dump(item, out)
    }

    fn log(&self, base_name: &str) -> Result<Option<crate::store::Log>, SourceError> {
        self.0.log(base_name)
    }

    fn items(&self, after: Option<&str>, limit: usize) -> Result<Vec<Item>, SourceError> {
        self.0.items(after, limit)
    }
}

#[tokio::test]
async fn a_panic_fails_only_the_item_that_is_baked() {
    let dir = tempfile::tempdir().unwrap();
    let trees = ["bad", "good"].map(|name| {
        let path = dir.path().join(name);
        fs::write(&path, name).unwrap();
        Tree { path, name: None }
    });
    let trees: Arc<dyn Source> = Arc::new(Trees::open(&trees, "/gnu/store").unwrap());
    let items = trees.items(None, 3).unwrap();
    let source: Arc<dyn Source> = Arc::new(PanickingSource(trees, "bad"));
    let mut config = config(&dir.path().join("cache"), &["zstd:3", "none"]);
    // The thread that panics must bake the next item too.
    config.workers = 1;
    let baker = Baker::open(source, config).unwrap();
    let before = task::panics();
    for item in items.iter().cycle().take(4) {
        let expected = match item.store_path.name() {
            "bad" if baker.counts().failed == 0 => Err(task::WorkError::Panicked("baking").into()),
            "bad" => Err(BakeError::Recent),
            _ => Ok("good"),
        };
        let baked = baker.bake(item.clone()).await;
        let name = baked
            .as_ref()
            .map(|baked| baked.record.item.store_path.name());
        assert_eq!(name.map_err(Clone::clone), expected);
    }
    assert_eq!((baker.counts().baked, baker.counts().failed), (1, 1));
    assert!(task::panics() > before);
}

#[tokio::test]
async fn lost_blocks_are_found_and_baked_again() {
    let dir = tree();
    let source = source(&dir);
    let item = only(&source);
    let baker = Baker::open(source, config(&dir.path().join("cache"), &["gzip"])).unwrap();
    let baked = baker.bake(item.clone()).await.unwrap();
    let one = &baked.record.representations[0];
    baker.blocks().remove(&[one.cid]).unwrap();
    let hash_part = item.store_path.hash_part();
    let mut pieces = Content::new(&baker, hash_part, one.cid, 0..one.file_size);
    assert!(pieces.next().unwrap().is_err());
    assert!(pieces.next().is_none());
    assert!(baker.get(hash_part).is_none());
    let again = baker.bake(item).await.unwrap();
    assert_eq!(again.record, baked.record);
    assert_eq!(content(&baker, &again, one).len() as u64, one.file_size);
}

#[tokio::test]
async fn files_of_a_binary_cache_are_stored_unchanged() {
    let folder = PathBuf::from(FIXTURES).join("nix-2.34.8/xz");
    let source: Arc<dyn Source> = Arc::new(BinaryCache::open(&folder).unwrap());
    let item = only(&source);
    let prepared = source.prepared(&item).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let baker = Baker::open(source, config(dir.path(), &["zstd"])).unwrap();
    let baked = baker.bake(item.clone()).await.unwrap();
    let one = &baked.record.representations[0];
    assert_eq!(
        (one.compression, baked.record.representations.len()),
        (Compression::Xz, 1)
    );
    assert_eq!(
        content(&baker, &baked, one),
        fs::read(&prepared.files[0].path).unwrap()
    );
    assert_eq!(Some(one.file_hash), prepared.files[0].entry.file_hash);
    let narinfo =
        fs::read_to_string(folder.join(format!("{}.narinfo", item.store_path.hash_part())));
    assert_eq!(baked.record.narinfo, narinfo.ok());
    assert_eq!(
        baker.listing(item.store_path.hash_part()).unwrap(),
        fs::read(prepared.listing.unwrap()).unwrap()
    );
    assert!(baker.is_complete(&baked.record));
}

#[tokio::test]
async fn a_damaged_file_of_a_binary_cache_is_refused() {
    let (fixture, dir) = (
        PathBuf::from(FIXTURES).join("nix-2.34.8/xz"),
        tempfile::tempdir().unwrap(),
    );
    let name = "nar/1cgpmxrcmaf5pz7z3ry4ks1v2dc8l6lhi2lhyyqalqgxlaf8a6dq.nar.xz";
    fs::create_dir(dir.path().join("nar")).unwrap();
    for name in [
        "nix-cache-info",
        "bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo",
        name,
    ] {
        fs::copy(fixture.join(name), dir.path().join(name)).unwrap();
    }
    let mut bytes = fs::read(dir.path().join(name)).unwrap();
    bytes[100] ^= 1;
    fs::write(dir.path().join(name), bytes).unwrap();
    let source: Arc<dyn Source> = Arc::new(BinaryCache::open(dir.path()).unwrap());
    let item = only(&source);
    let baker = Baker::open(source, config(&dir.path().join("cache"), &["zstd"])).unwrap();
    let error = baker.bake(item).await.unwrap_err();
    assert!(matches!(error, BakeError::FileHash { .. }), "{error}");
    assert_eq!(baker.blocks().stats().unwrap().blocks, 0);
}

/// The narinfo has no FileHash, so the NAR itself is checked.
#[tokio::test]
async fn a_malformed_nar_of_a_binary_cache_is_refused_by_name() {
    let nar = PathBuf::from(FIXTURES)
        .join("nix-2.34.8/none/nar/0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar");
    let mut nar = fs::read(nar).unwrap();
    let at = nar.len();
    nar.push(0);
    let dir = tempfile::tempdir().unwrap();
    let hash_part = "bnfap3gvj3v0k345a5zkxwyd38m1f2s5";
    let narinfo = format!(
        "StorePath: /nix/store/{hash_part}-tree\nURL: x.nar\nCompression: none\n\
         NarHash: {}\nNarSize: {}\nReferences: \n",
        Sha256::of(&nar),
        nar.len(),
    );
    fs::write(dir.path().join("x.nar"), &nar).unwrap();
    fs::write(dir.path().join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    fs::write(dir.path().join(format!("{hash_part}.narinfo")), narinfo).unwrap();
    let source: Arc<dyn Source> = Arc::new(BinaryCache::open(dir.path()).unwrap());
    let item = only(&source);
    let baker = Baker::open(source, config(&dir.path().join("cache"), &["zstd"])).unwrap();
    let error = baker.bake(item.clone()).await.unwrap_err();
    let expected = BakeError::Nar {
        path: item.store_path,
        reason: format!("byte {at}: bytes follow the end of the archive"),
    };
    assert_eq!(error, expected);
    assert_eq!(baker.blocks().stats().unwrap().blocks, 0);
}

#[tokio::test]
async fn a_whole_store_can_be_baked() {
    let dir = tree();
    let paths = ["tree", "tree/sub", "tree/words"];
    let tree = |path: &&str| Tree {
        path: dir.path().join(path),
        name: None,
    };
    let trees: Vec<Tree> = paths.iter().map(tree).collect();
    let source: Arc<dyn Source> = Arc::new(Trees::open(&trees, "/gnu/store").unwrap());
    let config = config(&dir.path().join("cache"), &["zstd:1"]);
    let baker = Baker::open(Arc::clone(&source), config).unwrap();
    let all = baker.clone();
    tokio::task::spawn_blocking(move || all.bake_all())
        .await
        .unwrap()
        .unwrap();
    for item in source.items(None, 10).unwrap() {
        baker.bake(item).await.unwrap();
    }
    assert_eq!(
        baker.counts(),
        Counts {
            baked: 3,
            ..Counts::default()
        }
    );
}
