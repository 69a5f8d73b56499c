//! Our client of Kubo's RPC API, against the real Kubo.

use bytes::Bytes;
use futures_util::stream;
use interplanar_core::car;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::{self, Builder, Profile};
use interplanar_server::kubo::{Kubo as Client, KuboError};
use interplanar_tests::kubo::Kubo;
use std::io;

/// Returns 100,000 bytes without repeats.
fn chunk(index: u64) -> Bytes {
    let mut state = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..100_003 / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect::<Vec<u8>>().into()
}

/// Returns the chunks of a file.
fn chunks(count: u64) -> impl Iterator<Item = Bytes> + Send + 'static {
    (0..count).map(chunk)
}

#[tokio::test]
async fn a_streamed_file_has_the_cid_of_our_builder_and_is_pinned() {
    let kubo = Kubo::start();
    let client = Client::new(&kubo.api_url()).expect("a URL");
    assert_eq!(client.version().await.expect("a response"), "0.43.0");
    assert!(
        client
            .id()
            .await
            .expect("a response")
            .agent
            .starts_with("kubo/0.43.0")
    );
    for (profile, count) in [
        (unixfs::SIZE_1048576_V1, 700),
        (unixfs::SIZE_262144_V0, 100),
        (unixfs::SIZE_1048576_V1, 0),
    ] {
        let mut builder = Builder::new(profile);
        let mut leaf = None;
        for chunk in chunks(count) {
            builder.push(&chunk, &mut |block| leaf = leaf.take().or(Some(block)));
        }
        let built = builder.finish(&mut |block| leaf = leaf.take().or(Some(block)));
        let (mut last, mut reports) = (0, 0);
        let progress = |bytes| {
            assert!(bytes >= last, "progress never decreases");
            (last, reports) = (bytes, reports + 1);
        };
        let data = stream::iter(chunks(count).map(io::Result::Ok));
        let added = client
            .add(data, &profile, "item.nar.zst", progress)
            .await
            .expect("added");
        assert_eq!((added.cid, added.size), (built.cid, built.dag_size));
        assert!(count == 0 || reports > 0);
        assert!(client.is_pinned(&added.cid).await.expect("a response"));
        let leaf = leaf.expect("a block");
        assert_eq!(
            client.block_get(leaf.cid()).await.expect("a response"),
            Some(leaf.clone())
        );
        let size = leaf.data().len() as u64;
        assert_eq!(
            client.block_stat(leaf.cid()).await.expect("a response"),
            Some(size)
        );
        assert!(client.pin_rm(&added.cid).await.expect("a response"));
        assert!(!client.pin_rm(&added.cid).await.expect("a response"));
        assert!(!client.is_pinned(&added.cid).await.expect("a response"));
    }
    let absent = *interplanar_core::block::Block::raw("nobody has this".into()).cid();
    assert_eq!(client.block_get(&absent).await.expect("a response"), None);
    assert_eq!(client.block_stat(&absent).await.expect("a response"), None);
}

#[tokio::test]
async fn a_source_that_fails_midway_pins_nothing_and_gives_the_reason() {
    let kubo = Kubo::start();
    let client = Client::new(&kubo.api_url()).expect("a URL");
    let pins = || interplanar_tests::output(kubo.ipfs().args(["pin", "ls", "--type=recursive"]));
    let before = pins();
    let failing = chunks(50)
        .map(io::Result::Ok)
        .chain([Err(io::Error::other("the item is gone"))]);
    let failed = client
        .add(stream::iter(failing), &unixfs::SIZE_1048576_V1, "x", |_| {})
        .await;
    assert_eq!(
        failed,
        Err(KuboError::Source("the item is gone".to_owned()))
    );
    assert_eq!(pins(), before);
}

#[tokio::test]
async fn a_kubo_that_is_down_or_refuses_gives_a_clear_error() {
    let mut kubo = Kubo::start();
    let client = Client::new(&kubo.api_url()).expect("a URL");
    let unknown = Profile {
        chunk: 0,
        ..unixfs::SIZE_1048576_V1
    };
    let data = stream::iter(chunks(3).map(io::Result::Ok));
    let refused = client
        .add(data, &unknown, "x", |_| {})
        .await
        .expect_err("no such chunker");
    assert!(matches!(&refused, KuboError::Api { .. }), "{refused}");
    assert!(!refused.is_temporary());
    let gateway = Client::new(&kubo.gateway_url()).expect("a URL");
    let wrong = gateway
        .version()
        .await
        .expect_err("not the API")
        .to_string();
    assert!(wrong.contains("is this the API's address"), "{wrong}");
    kubo.stop();
    let data = stream::iter(chunks(3).map(io::Result::Ok));
    let down = client
        .add(data, &unixfs::SIZE_1048576_V1, "x", |_| {})
        .await
        .expect_err("no server");
    assert!(
        down.is_temporary() && down.to_string().contains("is `ipfs daemon` running?"),
        "{down}"
    );
}

/// The node has a part of a DAG. The client imports only the rest, and pins all of it.
#[tokio::test]
async fn only_missing_blocks_are_imported_and_the_roots_are_pinned() {
    let kubo = Kubo::start();
    let client = Client::new(&kubo.api_url()).expect("a URL");
    let profile = Profile {
        chunk: 10_000,
        ..unixfs::SIZE_1048576_V1
    };
    let mut builder = Builder::new(profile);
    let mut blocks = vec![];
    for chunk in chunks(30) {
        builder.push(&chunk, &mut |block| blocks.push(block));
    }
    let built = builder.finish(&mut |block| blocks.push(block));
    let cids: Vec<Cid> = blocks.iter().map(|block| *block.cid()).collect();
    let car = |from: usize, to: usize| {
        let mut car = vec![io::Result::Ok(Bytes::from(car::header(&[built.cid])))];
        for block in &blocks[from..to] {
            let prefix = car::block_prefix(block.cid(), block.data().len());
            car.extend([Ok(prefix.into()), Ok(block.data().clone())]);
        }
        stream::iter(car)
    };
    assert_eq!(client.lacking(&cids).await, Ok(cids.clone()));
    // Kubo can't pin a root without all blocks. That is an error; Kubo doesn't search the network.
    let part = client
        .dag_import(car(0, 100))
        .await
        .expect_err("blocks are missing");
    assert!(matches!(&part, KuboError::Api { .. }), "{part}");
    assert!(!client.is_pinned(&built.cid).await.expect("a response"));
    assert_eq!(client.lacking(&cids).await, Ok(cids[100..].to_vec()));
    let rest = client.dag_import(car(100, blocks.len())).await;
    assert_eq!(rest, Ok(vec![built.cid]));
    assert!(client.is_pinned(&built.cid).await.expect("a response"));
    assert_eq!(client.lacking(&cids).await, Ok(vec![]));
    let failing = stream::iter([Err(io::Error::other("the block is gone"))]);
    let failed = client.dag_import(failing).await;
    assert_eq!(
        failed,
        Err(KuboError::Source("the block is gone".to_owned()))
    );
}
