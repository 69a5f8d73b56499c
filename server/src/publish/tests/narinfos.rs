//! Compares narinfos with those of Guix and Nix.

use super::*;
use crate::bake::Compressor;
use interplanar_core::dedup::{FIELD, TREE_FIELD};
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::NarInfo;
use interplanar_core::trust::TrustedKeys;

fn parse(answer: &Answer) -> NarInfo {
    NarInfo::parse(&answer.body).unwrap()
}

fn urls(narinfo: &NarInfo) -> Vec<&str> {
    narinfo
        .entries()
        .iter()
        .map(|entry| entry.url.as_str())
        .collect()
}

/// Returns an item as a Guix store would describe it, from Guix's own narinfo of it.
fn item(narinfo: &NarInfo) -> Item {
    Item {
        store_path: narinfo.store_path().clone(),
        nar_hash: narinfo.nar_hash(),
        nar_size: narinfo.nar_size(),
        references: narinfo.references().to_vec(),
        deriver: narinfo.deriver().map(str::to_owned),
        system: Some("x86_64-linux".to_owned()),
        ca: None,
        signatures: Vec::new(),
    }
}

#[test]
fn unbaked_items_have_the_narinfos_of_guix_publish() {
    let keys = config(Path::new("/nonexistent")).keys;
    let public = keys.guix.as_ref().unwrap().1.public_key().clone();
    let narinfo_writer = NarinfoWriter {
        dialect: Dialect::Guix,
        nar_path: NarPath::new("nar"),
        keys: keys.into(),
        host: "vm".to_owned(),
        gateways: Vec::new(),
        published_only: false,
    };
    let compressors = ["gzip", "lzip", "zstd"].map(|one| one.parse().unwrap());
    let trusted = TrustedKeys {
        guix: vec![public],
        nix: Vec::new(),
    };
    let mut seen = 0;
    for entry in fs::read_dir(fixture("guix-1.5.0")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "narinfo")
        {
            continue;
        }
        seen += 1;
        let theirs = NarInfo::parse(&fs::read(&path).unwrap()).unwrap();
        let text = narinfo_writer
            .unbaked(&item(&theirs), &compressors)
            .unwrap();
        let ours = NarInfo::parse(&text).unwrap();
        assert_eq!(ours.signed_text(), theirs.signed_text());
        assert!(ours.guix_signature().unwrap().starts_with("1;vm;"));
        let but_signature = |info: &NarInfo| {
            let text = info.to_string();
            let lines = text.lines().filter(|line| !line.starts_with("Signature: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(but_signature(&ours), but_signature(&theirs));
        trusted.verify(&ours).unwrap();
    }
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn guix_reads_http_entries_before_ipfs_ones() {
    let fixture = Fixture::new("/gnu/store", |config| {
        config.bake.compressors = vec!["zstd".parse().unwrap(), "gzip".parse().unwrap()];
        config.gateways = vec!["http://127.0.0.1:8080/".to_owned()];
        config.nar_path = "deep/nars".to_owned();
    });
    fixture.bake("large").await;
    let narinfo = parse(&fixture.get(&fixture.narinfo_path("large")).await);
    let base = fixture.item("large").store_path.base_name().to_owned();
    let record = fixture.publisher.baker().get(&base[..32]).unwrap();
    let [zstd, gzip] = &record.record.representations[..] else {
        panic!("two")
    };
    assert_eq!(
        urls(&narinfo),
        [
            format!("http://127.0.0.1:8080/ipfs/{}", zstd.cid),
            format!("http://127.0.0.1:8080/ipfs/{}", gzip.cid),
            format!("deep/nars/zstd/{base}"),
            format!("deep/nars/gzip/{base}"),
            format!("ipfs://{}", zstd.cid),
            format!("ipfs://{}", gzip.cid),
        ]
    );
    assert!(
        narinfo
            .entries()
            .iter()
            .all(|entry| entry.file_size.is_some())
    );
    assert_eq!(
        fixture
            .get(&format!("/deep/nars/zstd/{base}"))
            .await
            .body
            .len() as u64,
        zstd.file_size
    );
}

/// Both zstd forms have entries and paths. The chunk index is named where no signature covers it.
#[tokio::test]
async fn both_zstd_forms_are_offered() {
    let fixture = Fixture::new("/gnu/store", |config| {
        let both = ["zstd", "zstd-whole"];
        config.bake.compressors = both.map(|one| one.parse().unwrap()).into();
    });
    let unbaked = parse(&fixture.get(&fixture.narinfo_path("large")).await);
    assert_eq!(unbaked.extra(FIELD), None);
    fixture.bake("large").await;
    let narinfo = parse(&fixture.get(&fixture.narinfo_path("large")).await);
    let base = fixture.item("large").store_path.base_name().to_owned();
    let record = fixture.publisher.baker().get(&base[..32]).unwrap();
    let [pieces, whole] = &record.record.representations[..] else {
        panic!("two")
    };
    assert_eq!(
        urls(&narinfo),
        [
            format!("nar/zstd/{base}"),
            format!("nar/zstd-whole/{base}"),
            format!("ipfs://{}", pieces.cid),
            format!("ipfs://{}", whole.cid),
        ]
    );
    let index = pieces.index.map(|cid| cid.to_string());
    assert_eq!(narinfo.extra(FIELD), index.as_deref());
    assert!(!narinfo.signed_text().unwrap().contains(FIELD));
    let nar = fixture.nar("large");
    for (path, one) in [("zstd/", pieces), ("zstd-whole/", whole)] {
        let answer = fixture.get(&fixture.nar_path(path, "large")).await;
        assert_eq!(Sha256::of(&answer.body), one.file_hash);
        assert_eq!(zstd::decode_all(&answer.body[..]).unwrap(), nar);
    }
}

/// The plain NAR of a tree must not make clients fetch more: it is offered once it is baked, behind
/// smaller files.
#[tokio::test]
async fn a_tree_is_offered_beside_the_chosen_methods() {
    for store in ["/gnu/store", "/nix/store"] {
        let fixture = Fixture::new(store, |config| {
            config.bake.compressors.push(Compressor::TREE);
        });
        let base = fixture.item("large").store_path.base_name().to_owned();
        let unbaked = parse(&fixture.get(&fixture.narinfo_path("large")).await);
        assert_eq!(urls(&unbaked), [format!("nar/gzip/{base}")]);
        fixture.bake("large").await;
        let narinfo = parse(&fixture.get(&fixture.narinfo_path("large")).await);
        let record = fixture.publisher.baker().get(&base[..32]).unwrap();
        let [gzip, plain] = &record.record.representations[..] else {
            panic!("two")
        };
        let (gzip, plain, tree) = (
            format!("ipfs://{}", gzip.cid),
            format!("ipfs://{}", plain.cid),
            plain.tree.unwrap().to_string(),
        );
        let http = [format!("nar/gzip/{base}"), format!("nar/{base}")];
        let expected = match store {
            // Guix takes the smallest file, the first one of equals; ipfs: comes last.
            "/gnu/store" => [http.clone(), [gzip, plain]].concat(),
            // Nix takes the last entry.
            _ => [[gzip, plain], [http[1].clone(), http[0].clone()]].concat(),
        };
        assert_eq!(urls(&narinfo), expected);
        assert!(narinfo.entries().iter().all(|one| one.file_size.is_some()));
        assert_eq!(narinfo.extra(TREE_FIELD), Some(tree.as_str()));
        if let Some(signed) = narinfo.signed_text() {
            assert!(!signed.contains(&tree));
        }
        let nar = fixture.get(&fixture.nar_path("", "large")).await;
        assert_eq!(Sha256::of(&nar.body), narinfo.nar_hash());
        let listing = fixture.get(&format!("/{}.ls", &base[..32])).await;
        assert!(listing.text().contains(&format!("\"cid\":\"{tree}\"")));
    }
}

#[tokio::test]
async fn nix_takes_the_last_entry_which_is_http() {
    let fixture = Fixture::new("/nix/store", |config| {
        let all = ["zstd", "none", "lzip"];
        config.bake.compressors = all.map(|one| one.parse().unwrap()).into();
    });
    let base = fixture.item("large").store_path.base_name().to_owned();
    let unbaked = fixture.get(&fixture.narinfo_path("large")).await;
    assert_eq!(
        urls(&parse(&unbaked)).last(),
        Some(&format!("nar/zstd/{base}").as_str())
    );
    fixture.bake("large").await;
    let narinfo = parse(&fixture.get(&fixture.narinfo_path("large")).await);
    let urls = urls(&narinfo);
    assert_eq!(urls.len(), 6);
    assert!(urls[..3].iter().all(|url| url.starts_with("ipfs://")));
    assert_eq!(
        urls[3..],
        [
            format!("nar/lzip/{base}"),
            format!("nar/{base}"),
            format!("nar/zstd/{base}")
        ]
    );
    assert!(
        narinfo
            .entries()
            .iter()
            .all(|entry| entry.file_hash.is_some())
    );
    let key = nix::SecretKey::from_seed("test-1", &[7; 32])
        .unwrap()
        .public_key();
    assert_eq!(
        fixture.get("/signing-key.pub").await.text(),
        format!("{key}\n")
    );
    let trusted = TrustedKeys {
        guix: Vec::new(),
        nix: vec![key],
    };
    trusted.verify(&narinfo).unwrap();
}

#[tokio::test]
async fn compressed_files_are_not_compressed_again() {
    let fixture = Fixture::new("/gnu/store", |_| {});
    let size = format!("FileSize: {}\n", fixture.nar("packed.tar.gz").len());
    let narinfo = fixture.get(&fixture.narinfo_path("packed.tar.gz")).await;
    let base = fixture
        .item("packed.tar.gz")
        .store_path
        .base_name()
        .to_owned();
    let entry = format!("URL: nar/{base}\nCompression: none\n{size}");
    assert!(narinfo.text().ends_with(&entry), "{}", narinfo.text());
    fixture.bake("packed.tar.gz").await;
    assert!(
        fixture
            .get(&fixture.narinfo_path("packed.tar.gz"))
            .await
            .text()
            .contains(&entry)
    );
}

#[tokio::test]
async fn only_what_is_in_kubo_is_offered_where_there_is_one() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let fixture = Fixture::new("/gnu/store", |config| {
        config.kubo = Some(Kubo::new(&url).unwrap())
    });
    let shutdown = Shutdown::new();
    fixture.publisher.start(&shutdown);
    fixture.bake("small").await;
    let narinfo = fixture.get(&fixture.narinfo_path("small")).await;
    assert!(narinfo.text().contains("FileSize: ") && !narinfo.text().contains("ipfs://"));
    assert!(
        fixture
            .get("/metrics")
            .await
            .text()
            .contains("interplanar_kubo_up 0\n")
    );
    shutdown.cancel();
}
