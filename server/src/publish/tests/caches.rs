//! Publishes binary caches with their own files and narinfos.

use super::*;
use crate::bake::Compressor;
use crate::store::binary_cache::BinaryCache;
use interplanar_core::dedup::TREE_FIELD;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;

/// The items in the fixtures.
const NAME: &str = "tree";
const HASH: &str = "bnfap3gvj3v0k345a5zkxwyd38m1f2s5";

fn published(compression: &str, change: impl FnOnce(&mut Config)) -> Fixture {
    let source: Arc<dyn Source> =
        Arc::new(BinaryCache::open(&fixture(&format!("nix-2.34.8/{compression}"))).unwrap());
    Fixture::of(tempfile::tempdir().unwrap(), source, |config| {
        config.keys = Keys::default();
        change(config);
    })
}

#[tokio::test]
async fn signatures_and_files_stay_and_urls_point_here() {
    for (compression, url) in [("xz", "nar/xz/"), ("zstd", "nar/zstd/"), ("none", "nar/")] {
        let fixture = published(compression, |_| {});
        let original = fs::read(super::fixture(&format!(
            "nix-2.34.8/{compression}/{HASH}.narinfo"
        )))
        .unwrap();
        let original = NarInfo::parse(&original).unwrap();
        let path = format!("/{HASH}.narinfo");
        for state in ["unbaked", "baked"] {
            let answer = fixture.get(&path).await;
            let narinfo = NarInfo::parse(&answer.body).unwrap();
            assert_eq!(
                narinfo.signatures(),
                original.signatures(),
                "{compression} {state}"
            );
            assert_eq!(narinfo.fingerprint(), original.fingerprint());
            let last = narinfo.entries().last().unwrap();
            assert_eq!(last.url, format!("{url}{HASH}-{NAME}"));
            assert_eq!(last.file_hash, original.entries()[0].file_hash);
            let file = fixture.get(&format!("/{}", last.url)).await;
            let own = super::fixture(&format!("nix-2.34.8/{compression}"))
                .join(&original.entries()[0].url);
            assert_eq!(file.body, fs::read(own).unwrap());
            let part = fixture
                .ask(
                    Method::GET,
                    &format!("/{}", last.url),
                    &[("range", "bytes=1-2")],
                )
                .await;
            assert_eq!(
                (part.status, &part.body[..]),
                (StatusCode::PARTIAL_CONTENT, &file.body[1..3])
            );
            fixture.bake(NAME).await;
        }
        let baked = NarInfo::parse(&fixture.get(&path).await.body).unwrap();
        assert!(baked.entries()[0].is_ipfs());
    }
}

/// The cache's signature stays. Beside its files, the plain NAR is offered over the blocks of the
/// tree.
#[tokio::test]
async fn a_tree_is_made_from_the_compressed_file_of_a_cache() {
    for compression in ["xz", "none"] {
        let fixture = published(compression, |config| {
            config.bake.compressors.push(Compressor::TREE);
        });
        let path = format!("/{HASH}.narinfo");
        let unbaked = NarInfo::parse(&fixture.get(&path).await.body).unwrap();
        fixture.bake(NAME).await;
        let baked = NarInfo::parse(&fixture.get(&path).await.body).unwrap();
        assert_eq!(baked.signatures(), unbaked.signatures());
        assert_eq!(baked.fingerprint(), unbaked.fingerprint());
        let record = fixture.publisher.baker().get(HASH).unwrap();
        let one = record.record.of(Compressor::TREE).unwrap();
        let tree = one.tree.unwrap().to_string();
        assert_eq!(baked.extra(TREE_FIELD), Some(tree.as_str()));
        let plain = fixture.get(&format!("/nar/{HASH}-{NAME}")).await;
        assert_eq!(Sha256::of(&plain.body), baked.nar_hash());
        // Each method once over IPFS and once over HTTP; Nix takes the latter.
        let methods = if compression == "none" { 1 } else { 2 };
        assert_eq!(baked.entries().len(), 2 * methods);
        let last = baked.entries().last().unwrap();
        assert_eq!(last.compression.as_str(), compression);
        assert!(!last.is_ipfs());
        let listing = fixture.get(&format!("/{HASH}.ls")).await;
        assert!(listing.text().contains(&tree));
        // All that was requested is baked.
        assert!(fixture.publisher.baker().is_complete(&record.record));
    }
}

#[tokio::test]
async fn a_key_adds_its_signature() {
    let fixture = published("xz", |config| {
        config.keys.nix = vec![nix::SecretKey::from_seed("ours-1", &[1; 32]).unwrap()];
    });
    let answer = fixture.get(&format!("/{HASH}.narinfo")).await;
    let narinfo = NarInfo::parse(&answer.body).unwrap();
    let names: Vec<_> = narinfo
        .signatures()
        .iter()
        .map(|one| one.split(':').next().unwrap())
        .collect();
    assert_eq!(names, ["test-1", "ours-1"]);
}
