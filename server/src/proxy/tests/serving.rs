use super::*;
use crate::cli::capture;
use crate::net::client::tests::peers::{Fault, TestFile};
use crate::net::server;
use crate::proxy::nar::BodySink;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use interplanar_core::block::Block;
use interplanar_core::cid::Version;
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::hash::Sha256;
use interplanar_core::install::Answer;
use interplanar_core::nar::{Encoder, Event};
use interplanar_core::narinfo::{Compression, Draft, Entry};
use interplanar_core::store_path::StorePath;
use interplanar_core::unixfs::{Data, NodeType};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub(crate) const TREE: &str = "agkhnj5wmbrb40rigsyf6ynkdi22d89g";
const ITEMS: [&str; 3] = [
    "agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree",
    "rcff5adc6nm3b2y1lx9flnpqksfm7ka5-greet-1.0",
    "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r-hello.txt",
];

/// A cache with one item, signed with its own key. Tests add files and entries.
pub(crate) struct Cache {
    pub(crate) files: Files,
    pub(crate) keys: TrustedKeys,
    secret: nix::SecretKey,
    nar: Vec<u8>,
}

impl Cache {
    /// Makes a cache with a file of `size` bytes.
    fn new(size: usize) -> Self {
        let content: Vec<u8> = (0..size)
            .map(|index| (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3])
            .collect();
        let (mut encoder, mut nar) = (Encoder::new(), Vec::new());
        let start = Event::FileStart {
            executable: false,
            size: size as u64,
            offset: 0,
        };
        for event in [start, Event::FileData(&content), Event::FileEnd, Event::End] {
            encoder.write(event, &mut nar).unwrap();
        }
        Self::of(nar)
    }

    /// Makes a cache whose item has this NAR, well-formed or not.
    pub(crate) fn of(nar: Vec<u8>) -> Self {
        let secret = nix::SecretKey::from_seed("test-2", &[1; 32]).unwrap();
        let keys = TrustedKeys {
            guix: Vec::new(),
            nix: vec![secret.public_key()],
        };
        Self {
            files: Files::default(),
            keys,
            secret,
            nar,
        }
    }

    /// Publishes the NAR at `nar/a`, without compression.
    pub(crate) fn publish_plain(&self) {
        self.files.set("nar/a", self.nar.clone());
        self.publish(&[("nar/a", Compression::None)]);
    }

    fn publish(&self, entries: &[(&str, Compression)]) {
        let entry = |(url, compression): &(&str, Compression)| Entry {
            url: (*url).to_owned(),
            compression: *compression,
            file_size: None,
            file_hash: None,
        };
        let draft = Draft {
            store_path: StorePath::parse(&format!("/nix/store/{TREE}-tree")).unwrap(),
            entries: entries.iter().map(entry).collect(),
            nar_hash: Sha256::of(&self.nar),
            nar_size: self.nar.len() as u64,
            references: Vec::new(),
            deriver: None,
            system: None,
            ca: None,
            signatures: Vec::new(),
            extra: vec![],
        };
        let narinfo = draft.sign_nix(std::slice::from_ref(&self.secret)).unwrap();
        self.files
            .set(&format!("{TREE}.narinfo"), narinfo.to_string());
    }
}

#[tokio::test]
async fn substitutes_of_guix_publish_are_served_over_http() {
    let files = Files::folder("guix-1.5.0");
    let upstream = Peer::start(files.clone()).await;
    let proxy = Running::start(&[&upstream], &[], fixture_keys()).await;
    for item in ITEMS {
        assert_eq!(
            proxy.nar(&item[..32]).await,
            Ok(files.get(&format!("nar/none/{item}")).to_vec())
        );
    }
    assert!(
        upstream
            .requests()
            .iter()
            .any(|path| path.starts_with("/nar/zstd/"))
    );
}

#[tokio::test]
async fn substitutes_of_nix_are_served_over_http() {
    let nar =
        fixture("nix-2.34.8/none/nar/0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar");
    for kind in ["none", "xz", "zstd"] {
        let upstream = Peer::start(Files::folder(&format!("nix-2.34.8/{kind}"))).await;
        let proxy = Running::start(&[&upstream], &[], fixture_keys()).await;
        assert_eq!(
            proxy.nar("bnfap3gvj3v0k345a5zkxwyd38m1f2s5").await.as_ref(),
            Ok(&nar)
        );
        let info = proxy.get("nix-cache-info").await.text().await.unwrap();
        assert_eq!(
            info,
            "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"
        );
    }
}

#[tokio::test]
async fn a_wrong_body_never_completes() {
    for size in [1000, 20 << 20] {
        let cache = Cache::new(size);
        let mut wrong = cache.nar.clone();
        wrong[size / 2] ^= 1;
        cache.files.set("nar/a", wrong);
        cache.publish(&[("nar/a", Compression::None)]);
        let upstream = Peer::start(cache.files.clone()).await;
        let proxy = Running::start(&[&upstream], &[], cache.keys).await;
        // A small wrong NAR is detected before the response starts; a large one is cut off.
        let refused = if size > 8 << 20 {
            Refused::Cut
        } else {
            Refused::Status(502)
        };
        assert_eq!(proxy.nar(TREE).await, Err(refused));
        // The wrong source is remembered, and there is no other.
        assert_eq!(proxy.nar(TREE).await, Err(Refused::Status(502)));
        assert_eq!(
            upstream
                .requests()
                .iter()
                .filter(|path| path.as_str() == "/nar/a")
                .count(),
            1
        );
    }
}

/// The NAR that was signed is not a NAR. It is never completed, no source is blamed, and only the
/// first request asks a source.
#[tokio::test]
async fn a_malformed_nar_with_the_signed_hash_is_never_served() {
    let mut large = Cache::new(20 << 20).nar;
    *large.last_mut().unwrap() = 1;
    let small = malformed::malformed().into_iter().map(|one| one.nar);
    for nar in small.step_by(10).chain([large]) {
        let is_large = nar.len() > 8 << 20;
        let cache = Cache::of(nar);
        cache.files.set("nar/b", cache.nar.clone());
        cache.files.set("nar/a", cache.nar.clone());
        cache.publish(&[("nar/a", Compression::None), ("nar/b", Compression::None)]);
        let upstream = Peer::start(cache.files.clone()).await;
        let proxy = Running::start(&[&upstream], &[], cache.keys).await;
        let refused = if is_large {
            Refused::Cut
        } else {
            Refused::Status(502)
        };
        assert_eq!(proxy.nar(TREE).await, Err(refused));
        assert_eq!(proxy.nar(TREE).await, Err(Refused::Status(502)));
        let asked = upstream.requests();
        let asked = asked.iter().filter(|path| path.starts_with("/nar/"));
        assert_eq!(asked.count(), 1);
        let metrics = proxy.get("metrics").await.text().await.unwrap();
        assert!(
            metrics.contains("interplanar_proxy_wrong_sources_total 0"),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_logs_no_error() {
    let cache = Cache::new(20 << 20);
    cache.publish_plain();
    let upstream = Peer::start(cache.files.clone()).await;
    let (proxy, _folder) = open(&[&upstream], &[], cache.keys, None);
    let Answer::Found(known) = proxy.lookup.find(TREE).await.0 else {
        panic!("the item is not found");
    };
    let (log, _guard) = capture();
    for has_started in [false, true] {
        let (sender, body) = server::channel(None);
        let (started, waiting) = oneshot::channel();
        let started = Some(started).filter(|_| !has_started);
        drop((body, waiting));
        let sink = BodySink { sender, started };
        let (nars, cancel) = (Arc::clone(&proxy.nars), CancellationToken::new());
        nars.deliver(Arc::clone(&known), sink, cancel).await;
    }
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
}

/// A command deletes its temporary folder after a download. Nothing may use the folder then: a late
/// eviction or sync would log an error after the success.
#[tokio::test]
async fn a_proxy_that_has_settled_lets_go_of_its_folder() {
    let cache = Cache::new(3 << 20);
    let file = TestFile::new(&cache.nar);
    cache.publish(&[(&format!("ipfs://{}", file.root), Compression::None)]);
    let upstream = Peer::start(cache.files.clone()).await;
    let gateway = Peer::start(file.gateway(Fault::None)).await;
    let (proxy, _folder) = open(&[&upstream], &[&gateway], cache.keys, None);
    let Found::Available(item) = proxy.find(TREE).await else {
        panic!("the item is not found");
    };
    let body = proxy.open_nar(&item).await.unwrap();
    assert!(body.collect().await.unwrap().to_bytes() == cache.nar);
    proxy.settle().await;
    let cache = Arc::downgrade(&proxy.nars.cache);
    drop(proxy);
    assert!(cache.upgrade().is_none());
}

#[tokio::test]
async fn a_source_that_stops_is_continued_by_the_next() {
    for size in [1000, 20 << 20] {
        let cache = Cache::new(size);
        cache
            .files
            .set("nar/a", zstd::encode_all(&cache.nar[..], 1).unwrap());
        cache.files.cut("nar/a", 100);
        cache.files.set("nar/b", cache.nar.clone());
        cache.publish(&[("nar/a", Compression::Zstd), ("nar/b", Compression::None)]);
        let upstream = Peer::start(cache.files.clone()).await;
        let proxy = Running::start(&[&upstream], &[], cache.keys).await;
        assert!(proxy.nar(TREE).await == Ok(cache.nar));
        let asked = upstream.requests();
        assert_eq!(&asked[asked.len() - 2..], ["/nar/a", "/nar/b"]);
    }
}

#[tokio::test]
async fn a_narinfo_without_a_trusted_signature_is_rejected() {
    let upstream = Peer::start(Files::folder("guix-1.5.0")).await;
    let keys = TrustedKeys {
        guix: Vec::new(),
        ..fixture_keys()
    };
    let proxy = Running::start(&[&upstream], &[], keys).await;
    assert_eq!(proxy.get(&format!("{TREE}.narinfo")).await.status(), 404);
}

#[tokio::test]
async fn the_narinfo_of_another_item_is_rejected() {
    let files = Files::folder("guix-1.5.0");
    files.set(
        &format!("{TREE}.narinfo"),
        files.get("rcff5adc6nm3b2y1lx9flnpqksfm7ka5.narinfo"),
    );
    let upstream = Peer::start(files).await;
    let proxy = Running::start(&[&upstream], &[], fixture_keys()).await;
    assert_eq!(proxy.get(&format!("{TREE}.narinfo")).await.status(), 404);
}

/// The store directory of a cache is configured, or known once a client has asked for it.
#[tokio::test]
async fn a_narinfo_for_another_store_directory_is_rejected() {
    let narinfo = format!("{TREE}.narinfo");
    let status = async |proxy: &Running| proxy.get(&narinfo).await.status().as_u16();
    let files = Files::folder("guix-1.5.0");
    files.set("nix-cache-info", "StoreDir: /other/store\n");
    let other = Peer::start(files).await;
    let files = Files::folder("guix-1.5.0");
    files.set("nix-cache-info", "StoreDir: /gnu/store\n");
    let right = Peer::start(files).await;

    for (upstream, expected) in [(&right, 200), (&other, 404)] {
        let proxy = Running::start(&[upstream], &[], fixture_keys()).await;
        assert_eq!(proxy.get("nix-cache-info").await.status(), 200);
        assert_eq!(status(&proxy).await, expected);
    }
    for (store_dir, expected) in [("/gnu/store", 200), ("/other/store", 404)] {
        let proxy = Running::with_store_dir(&[&other], &[], fixture_keys(), Some(store_dir)).await;
        assert_eq!(status(&proxy).await, expected);
    }
    // The directory of one upstream says nothing about another.
    let proxy = Running::start(&[&other, &right], &[], fixture_keys()).await;
    assert_eq!(proxy.get("nix-cache-info").await.status(), 200);
    assert_eq!(status(&proxy).await, 200);
}

#[tokio::test]
async fn narinfos_are_cached_as_long_as_the_upstream_allows() {
    for (header, asked) in [("max-age=300", 1), ("no-store", 2)] {
        let upstream =
            Peer::start(Files::folder("guix-1.5.0").header("cache-control", header)).await;
        let proxy = Running::start(&[&upstream], &[], fixture_keys()).await;
        for hash_part in [TREE, "00000000000000000000000000000000"] {
            for _ in 0..2 {
                let response = proxy.get(&format!("{hash_part}.narinfo")).await;
                let age = response.headers()["cache-control"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                assert!(
                    age == "max-age=0" || age.starts_with("max-age=29") || age == "max-age=300",
                    "{age}"
                );
            }
            assert_eq!(upstream.requests().len(), asked, "{header} {hash_part}");
        }
    }
}

#[tokio::test]
async fn the_first_upstream_with_a_valid_narinfo_is_used() {
    let empty = Peer::start(Files::default()).await;
    let full = Peer::start(Files::folder("guix-1.5.0")).await;
    let down: Url = "http://127.0.0.1:1/".parse().unwrap();
    let proxy = Running::start(&[&empty, &full], &[], fixture_keys()).await;
    assert!(proxy.nar(TREE).await.is_ok());
    assert_eq!(
        proxy
            .get("00000000000000000000000000000000.narinfo")
            .await
            .status(),
        404
    );
    drop(down);
}

#[tokio::test]
async fn ipfs_is_tried_before_http_and_its_blocks_are_stored_and_served() {
    let cache = Cache::new(3 << 20);
    let file = TestFile::new(&zstd::encode_all(&cache.nar[..], 1).unwrap());
    cache.files.set("nar/a", cache.nar.clone());
    cache.publish(&[
        (&format!("ipfs://{}", file.root), Compression::Zstd),
        ("nar/a", Compression::None),
    ]);
    let upstream = Peer::start(cache.files.clone()).await;
    let gateway = Peer::start(file.gateway(Fault::None)).await;
    let proxy = Running::start(&[&upstream], &[&gateway], cache.keys).await;
    assert!(proxy.nar(TREE).await == Ok(cache.nar.clone()));
    assert_eq!(gateway.requests().len(), 1);
    assert!(proxy.nar(TREE).await == Ok(cache.nar));
    assert_eq!(gateway.requests().len(), 0);
    assert!(
        !upstream
            .requests()
            .iter()
            .any(|path| path.starts_with("/nar/"))
    );
    let raw = proxy.get(&format!("ipfs/{}?format=raw", file.root)).await;
    assert_eq!(raw.bytes().await.unwrap(), file.blocks[&file.root]);
}

#[tokio::test]
async fn a_gateway_url_of_another_machine_is_fetched_from_our_gateways() {
    let cache = Cache::new(1000);
    let file = TestFile::new(&cache.nar);
    cache.publish(&[(
        &format!("http://127.0.0.1:1/ipfs/{}", file.root),
        Compression::None,
    )]);
    let upstream = Peer::start(cache.files.clone()).await;
    let gateway = Peer::start(file.gateway(Fault::None)).await;
    let proxy = Running::start(&[&upstream], &[&gateway], cache.keys).await;
    assert!(proxy.nar(TREE).await == Ok(cache.nar));
}

#[tokio::test]
async fn a_cid_of_something_else_costs_a_retry_and_is_remembered() {
    let cache = Cache::new(1000);
    let wrong = TestFile::new(b"something else");
    cache.files.set("nar/a", cache.nar.clone());
    cache.publish(&[
        (&format!("ipfs://{}", wrong.root), Compression::None),
        ("nar/a", Compression::None),
    ]);
    let upstream = Peer::start(cache.files.clone()).await;
    let gateway = Peer::start(wrong.gateway(Fault::None)).await;
    let proxy = Running::start(&[&upstream], &[&gateway], cache.keys).await;
    for asked in [1, 0] {
        assert!(proxy.nar(TREE).await == Ok(cache.nar.clone()));
        assert_eq!(gateway.requests().len(), asked);
    }
}

/// Returns a file whose root claims `size` bytes.
fn claiming(size: u64) -> TestFile {
    let leaf = Block::raw(vec![7; 1000].into());
    let data = Data {
        filesize: Some(size),
        blocksizes: vec![size],
        ..Data::new(NodeType::File)
    };
    let link = Link {
        cid: *leaf.cid(),
        name: Bytes::new(),
        tsize: size,
    };
    let node = Node {
        links: vec![link],
        data: Some(data.encode()),
    };
    let root = Block::dag_pb(node.encode(), Version::V1);
    let root_cid = *root.cid();
    let blocks = [leaf, root].map(Block::into_parts);
    TestFile {
        root: root_cid,
        blocks: Arc::new(blocks.into()),
    }
}

#[tokio::test]
async fn a_source_that_can_not_have_the_nar_is_left_after_its_root_and_remembered() {
    let cache = Cache::new(100_000);
    let directory = Node {
        links: Vec::new(),
        data: Some(Data::new(NodeType::Directory).encode()),
    };
    let directory = Block::dag_pb(directory.encode(), Version::V1);
    let (cid, data) = directory.into_parts();
    let no_file = TestFile {
        root: cid,
        blocks: Arc::new([(cid, data)].into()),
    };
    cache.files.set("nar/a", cache.nar.clone());
    for wrong in [claiming(1 << 40), claiming(4 << 20), claiming(999), no_file] {
        cache.publish(&[
            (&format!("ipfs://{}", wrong.root), Compression::None),
            ("nar/a", Compression::None),
        ]);
        let upstream = Peer::start(cache.files.clone()).await;
        let gateway = Peer::start(wrong.gateway(Fault::None)).await;
        let proxy = Running::start(&[&upstream], &[&gateway], cache.keys.clone()).await;
        for asked in [1, 0] {
            assert!(proxy.nar(TREE).await == Ok(cache.nar.clone()));
            assert_eq!(gateway.requests().len(), asked);
        }
    }
    // The same for an HTTP source that sends more than the NAR can have: here a part that zstd skips.
    let mut skipped = vec![0x50, 0x2a, 0x4d, 0x18];
    skipped.extend_from_slice(&(4_u32 << 20).to_le_bytes());
    skipped.resize(4 << 20, 0);
    cache.files.set("nar/b", skipped);
    cache.publish(&[("nar/b", Compression::Zstd), ("nar/a", Compression::None)]);
    let upstream = Peer::start(cache.files.clone()).await;
    let proxy = Running::start(&[&upstream], &[], cache.keys).await;
    for asked in [1, 0] {
        assert!(proxy.nar(TREE).await == Ok(cache.nar.clone()));
        let requests = upstream.requests();
        let wrong = requests.iter().filter(|path| path.as_str() == "/nar/b");
        assert_eq!(wrong.count(), asked);
    }
}

#[tokio::test]
async fn lying_gateways_do_no_harm() {
    let cache = Cache::new(3 << 20);
    let file = TestFile::new(&cache.nar);
    cache.publish(&[(&format!("ipfs:{}", file.root), Compression::None)]);
    let upstream = Peer::start(cache.files.clone()).await;
    let mut gateways = Vec::new();
    for fault in [
        Fault::Corrupt,
        Fault::Hang,
        Fault::Truncate,
        Fault::Html,
        Fault::None,
    ] {
        gateways.push(Peer::start(file.gateway(fault)).await);
    }
    let proxy = Running::start(
        &[&upstream],
        &gateways.iter().collect::<Vec<_>>(),
        cache.keys,
    )
    .await;
    assert!(proxy.nar(TREE).await == Ok(cache.nar));
}

#[tokio::test]
async fn head_returns_the_length_without_contacting_a_source() {
    let upstream = Peer::start(Files::folder("guix-1.5.0")).await;
    let proxy = Running::start(&[&upstream], &[], fixture_keys()).await;
    let narinfo = proxy.narinfo(TREE).await;
    let url = proxy.peer.url.join(&narinfo.entries()[0].url).unwrap();
    let response = proxy.client.head(url).send().await.unwrap();
    assert_eq!(
        response.headers()["content-length"],
        narinfo.nar_size().to_string().as_str()
    );
    assert!(
        !upstream
            .requests()
            .iter()
            .any(|path| path.starts_with("/nar/"))
    );
}

#[tokio::test]
async fn other_paths_are_answered_or_not_found() {
    let upstream = Peer::start(Files::folder("guix-1.5.0")).await;
    let proxy = Running::start(&[&upstream], &[], fixture_keys()).await;
    for path in [
        "x",
        "nar/x",
        "x.narinfo",
        "../x.narinfo",
        "log/x",
        "nar/agkhnj5wmbrb40rigsyf6ynkdi22d89g-0.nar",
    ] {
        assert_eq!(proxy.get(path).await.status(), 404, "{path}");
    }
    for path in ["", "healthz", "metrics", "signing-key.pub"] {
        assert_eq!(proxy.get(path).await.status(), 200, "{path}");
    }
    let key = proxy.get("signing-key.pub").await.bytes().await.unwrap();
    assert_eq!(
        guix::PublicKey::parse(std::str::from_utf8(&key).unwrap()).as_ref(),
        Ok(&fixture_keys().guix[0])
    );
}
