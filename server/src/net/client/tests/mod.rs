pub(crate) mod peers;

use super::*;
use crate::blocks::{BlockStore, BlocksError};
use crate::task;
use bytes::Bytes;
use futures_util::StreamExt as _;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{Event, FetchError, Gateway, GatewayPool, Options, Policy};
use peers::{Fault, Files, Peer, TestFile};
use std::sync::{Arc, Mutex};

fn sample(length: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(length + 8);
    let mut word = 1_u64;
    while data.len() < length {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        data.extend_from_slice(&word.to_le_bytes());
    }
    data.truncate(length);
    data
}

fn pool(peers: &[&Peer]) -> Arc<Mutex<GatewayPool>> {
    let gateways = peers.iter().map(|peer| Gateway {
        url: peer.url.to_string(),
    });
    Arc::new(Mutex::new(GatewayPool::new(gateways, Policy::default())))
}

/// Options that treat the gateway as one on another machine.
fn far() -> Options {
    Options {
        near_ms: 0,
        ..Options::default()
    }
}

async fn fetch(
    file: &TestFile,
    pool: &Arc<Mutex<GatewayPool>>,
    store: Option<BlockStore>,
) -> (Vec<u8>, Option<FetchError>) {
    fetch_with(far(), file, pool, store).await
}

async fn fetch_with(
    options: Options,
    file: &TestFile,
    pool: &Arc<Mutex<GatewayPool>>,
    store: Option<impl LocalBlocks>,
) -> (Vec<u8>, Option<FetchError>) {
    let url = IpfsUrl::parse(&format!("ipfs://{}", file.root)).unwrap();
    let client = http_client().unwrap();
    let mut stream = fetch_ipfs(
        &client,
        &url,
        options,
        Arc::clone(pool),
        store,
        |_: &Event| {},
    );
    let (mut all, mut error) = (Vec::new(), None);
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(reason) => error = Some(reason),
        }
    }
    assert_eq!(stream.summary().is_some(), error.is_none());
    (all, error)
}

#[tokio::test]
async fn one_request_fetches_a_file_and_its_blocks_are_stored() {
    let data = sample(3_000_000);
    let file = TestFile::new(&data);
    let peer = Peer::start(file.gateway(Fault::None)).await;
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path()).unwrap();
    let pool = pool(&[&peer]);
    assert_eq!(
        fetch(&file, &pool, Some(store.clone())).await,
        (data.clone(), None)
    );
    let requests = peer.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].contains("format=car"));
    for (cid, block) in file.blocks.iter() {
        assert_eq!(store.get(cid).unwrap().as_ref(), Some(block));
    }
    // Now without the network.
    assert_eq!(fetch(&file, &pool, Some(store)).await, (data, None));
    assert_eq!(peer.requests(), [""; 0]);
}

/// A disk on which every operation is slow.
struct SlowDisk(BlockStore);

impl LocalBlocks for SlowDisk {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        std::thread::sleep(Duration::from_millis(1));
        self.0.get(cid)
    }

    fn put(&self, blocks: &[Block]) -> Result<(), BlocksError> {
        std::thread::sleep(Duration::from_millis(20));
        LocalBlocks::put(&self.0, blocks)
    }
}

/// The bug that this test is for: a fetch waited for a full disk, lookups ended meanwhile, and
/// their results were lost. The engine then waited for them forever.
#[tokio::test]
async fn lookups_that_end_while_the_fetch_waits_for_the_disk_are_not_lost() {
    let data = sample(40_000_000);
    let file = TestFile::new(&data);
    let peer = Peer::start(file.gateway(Fault::None)).await;
    for options in [Options::default(), far()] {
        let folder = tempfile::tempdir().unwrap();
        let disk = SlowDisk(BlockStore::open(folder.path()).unwrap());
        let pool = pool(&[&peer]);
        let fetching = fetch_with(options, &file, &pool, Some(disk));
        let fetched = tokio::time::timeout(Duration::from_secs(60), fetching).await;
        let (content, error) = fetched.unwrap();
        assert!(content == data && error.is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn a_near_gateway_is_asked_for_the_plain_file_and_wrong_bytes_are_detected() {
    let data = sample(40_000_000);
    let file = TestFile::new(&data);
    let near = Options::default;
    let honest = Peer::start(file.gateway(Fault::None)).await;
    let pool_of_one = pool(&[&honest]);
    let (content, error) = fetch_with(near(), &file, &pool_of_one, None::<BlockStore>).await;
    assert!(content == data && error.is_none(), "{error:?}");
    let plain = format!("/ipfs/{}", file.root);
    let asked = honest.requests();
    assert_eq!(asked.iter().filter(|url| **url == plain).count(), 1);
    for fault in [Fault::Corrupt, Fault::Truncate, Fault::Html] {
        let liar = Peer::start(file.gateway(fault)).await;
        let both = pool(&[&liar, &honest]);
        let (content, error) = fetch_with(near(), &file, &both, None::<BlockStore>).await;
        assert!(content == data && error.is_none(), "{fault:?}: {error:?}");
    }
    let liar = Peer::start(file.gateway(Fault::Corrupt)).await;
    let alone = pool(&[&liar]);
    let (content, error) = fetch_with(near(), &file, &alone, None::<BlockStore>).await;
    assert!(data.starts_with(&content) && error.is_some());
}

/// A disk whose driver has a bug.
struct PanickingDisk;

impl LocalBlocks for PanickingDisk {
    fn get(&self, _: &Cid) -> Result<Option<Bytes>, BlocksError> {
        panic!("a bug")
    }

    fn put(&self, _: &[Block]) -> Result<(), BlocksError> {
        panic!("a bug")
    }
}

#[tokio::test]
async fn a_fetch_continues_without_a_disk_that_panics() {
    let data = sample(3_000_000);
    let file = TestFile::new(&data);
    let peer = Peer::start(file.gateway(Fault::None)).await;
    let pool = pool(&[&peer]);
    let before = task::panics();
    let fetched = fetch_with(far(), &file, &pool, Some(PanickingDisk)).await;
    assert_eq!(fetched, (data, None));
    assert!(task::panics() > before);
}

#[tokio::test]
async fn a_fetch_that_panics_is_an_error_and_no_end() {
    let file = TestFile::new(&sample(3_000_000));
    let peer = Peer::start(file.gateway(Fault::None)).await;
    let url = IpfsUrl::parse(&format!("ipfs://{}", file.root)).unwrap();
    let client = http_client().unwrap();
    let pool = pool(&[&peer]);
    let bug = |_: &Event| panic!("a bug");
    let stream = fetch_ipfs(&client, &url, far(), pool, None::<BlockStore>, bug);
    let pieces: Vec<_> = stream.collect().await;
    assert_eq!(pieces.last(), Some(&Err(FetchError::Interrupted)));
}

#[tokio::test]
async fn without_a_store_no_block_is_stored() {
    let file = TestFile::new(&sample(1000));
    let peer = Peer::start(file.gateway(Fault::None)).await;
    for _ in 0..2 {
        assert_eq!(
            fetch(&file, &pool(&[&peer]), None).await,
            (sample(1000), None)
        );
        assert!(!peer.requests().is_empty());
    }
}

#[tokio::test]
async fn one_honest_gateway_is_enough() {
    let data = sample(2_000_000);
    let file = TestFile::new(&data);
    for fault in [
        Fault::Corrupt,
        Fault::Truncate,
        Fault::Html,
        Fault::Empty,
        Fault::Hang,
    ] {
        let liar = Peer::start(file.gateway(fault)).await;
        let honest = Peer::start(file.gateway(Fault::None)).await;
        assert_eq!(
            fetch(&file, &pool(&[&liar, &honest]), None).await,
            (data.clone(), None),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn lying_gateways_alone_end_in_an_error() {
    let file = TestFile::new(&sample(2_000_000));
    for fault in [Fault::Corrupt, Fault::Truncate, Fault::Html, Fault::Empty] {
        let liar = Peer::start(file.gateway(fault)).await;
        let (data, error) = fetch(&file, &pool(&[&liar]), None).await;
        assert!(error.is_some(), "{fault:?}");
        assert!(sample(2_000_000).starts_with(&data));
    }
}

#[tokio::test]
async fn dropping_the_stream_cancels_its_requests() {
    let file = TestFile::new(&sample(1000));
    let peer = Peer::start(file.gateway(Fault::Hang)).await;
    let pool = pool(&[&peer]);
    let url = IpfsUrl::parse(&format!("ipfs://{}", file.root)).unwrap();
    let client = http_client().unwrap();
    let (dropped, is_dropped) = tokio::sync::oneshot::channel::<()>();
    let on_event = move |_: &Event| {
        let _held = &dropped;
    };
    let stream = fetch_ipfs(
        &client,
        &url,
        Options::default(),
        pool,
        None::<BlockStore>,
        on_event,
    );
    drop(stream);
    // The callback lives as long as the driver.
    is_dropped.await.unwrap_err();
}

#[tokio::test]
async fn small_responses_are_bounded() {
    let files = Files::default().header("cache-control", "max-age=7");
    files.set("a", "hello");
    let peer = Peer::start(files).await;
    let (client, url) = (http_client().unwrap(), peer.url.join("a").unwrap());
    let small = get_small(&client, &url, 5).await.unwrap();
    assert_eq!(
        (&small.body[..], small.fresh_for),
        (&b"hello"[..], Some(Duration::from_secs(7)))
    );
    assert_eq!(
        get_small(&client, &url, 4).await,
        Err(HttpError::TooLong { limit: 4 })
    );
    assert_eq!(
        get_small(&client, &peer.url, 64).await.unwrap().status,
        http::StatusCode::NOT_FOUND
    );
    drop(peer);
}
