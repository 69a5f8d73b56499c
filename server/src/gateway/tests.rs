//! The gateway over small DAGs of its own; tests/gateway.rs compares it with Kubo's on the public fixtures.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use http_body_util::BodyExt;
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::{Cid, Version};
use interplanar_core::unixfs::{Builder, DirectoryBuilder, SIZE_262144_V1};

use super::*;
use crate::blocks::{BlockSource, BlocksError};

/// Blocks in memory, counting what is read.
#[derive(Default)]
struct Memory {
    blocks: Mutex<HashMap<Cid, Bytes>>,
    reads: Mutex<Vec<Cid>>,
}

impl BlockSource for Memory {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        self.reads.lock().unwrap().push(*cid);
        Ok(self.blocks.lock().unwrap().get(cid).cloned())
    }

    fn has(&self, cid: &Cid) -> Result<bool, BlocksError> {
        Ok(self.blocks.lock().unwrap().contains_key(cid))
    }
}

impl Memory {
    fn put(&self, block: Block) {
        let (cid, data) = block.into_parts();
        self.blocks.lock().unwrap().insert(cid, data);
    }

    fn file(&self, content: &[u8]) -> Cid {
        let mut builder = Builder::new(SIZE_262144_V1);
        builder.push(content, &mut |block| self.put(block));
        builder.finish(&mut |block| self.put(block)).cid
    }

    fn directory(&self, entries: &[(&str, Cid)]) -> Cid {
        let mut builder = DirectoryBuilder::new(Version::V1);
        for (name, cid) in entries {
            builder.add(Bytes::copy_from_slice(name.as_bytes()), *cid, 100);
        }
        builder.finish(&mut |block| self.put(block)).unwrap().cid
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    whole: bool,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The blocks of a CAR.
    fn blocks(&self) -> Vec<Cid> {
        let (mut reader, mut input) = (Reader::new(), Bytes::from(self.body.clone()));
        let mut cids = Vec::new();
        while let Some(item) = reader.push(&mut input).unwrap() {
            if let Item::Block { cid, .. } = item {
                cids.push(cid);
            }
        }
        cids
    }
}

async fn ask(memory: &Arc<Memory>, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = Request::new(());
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let gateway = Gateway::new(Arc::clone(memory) as _);
    let (parts, mut body) = gateway.handle(request).await.into_parts();
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap()),
            Err(_) => whole = false,
        }
    }
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: bytes,
        whole,
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

#[tokio::test]
async fn a_file_is_served_whole_and_in_parts() {
    let memory = Arc::new(Memory::default());
    let bytes = content(1_000_000);
    let cid = memory.file(&bytes);
    let answer = ask(&memory, &format!("/ipfs/{cid}"), &[]).await;
    assert_eq!(
        (answer.status, answer.body == bytes, answer.whole),
        (200, true, true)
    );
    assert_eq!(answer.header("etag"), format!("\"{cid}\""));
    assert_eq!(answer.header("cache-control"), headers::IMMUTABLE);
    memory.reads.lock().unwrap().clear();
    let answer = ask(
        &memory,
        &format!("/ipfs/{cid}?filename=x.nar"),
        &[("range", "bytes=-10")],
    )
    .await;
    assert_eq!((answer.status, &answer.body[..]), (206, &bytes[999_990..]));
    assert_eq!(
        answer.header("content-range"),
        "bytes 999990-999999/1000000"
    );
    assert_eq!(answer.header("content-type"), "application/x-nix-nar");
    // The last leaf, and no other.
    let mut read = memory.reads.lock().unwrap().clone();
    read.retain(|read| *read != cid);
    assert_eq!(read.len(), 1);
    let etag = format!("\"{cid}\"");
    let answer = ask(
        &memory,
        &format!("/ipfs/{cid}"),
        &[(IF_NONE_MATCH.as_str(), &etag)],
    )
    .await;
    assert_eq!(
        (answer.status, answer.header(ETAG.as_str())),
        (304, etag.as_str())
    );
}

#[tokio::test]
async fn a_directory_shows_its_index_or_a_listing() {
    let memory = Arc::new(Memory::default());
    let page = memory.file(b"<p>index</p>");
    let site = memory.directory(&[("index.html", page)]);
    let plain = memory.directory(&[("a <b>", page), ("site", site)]);
    let answer = ask(&memory, &format!("/ipfs/{plain}/site?x=1"), &[]).await;
    assert_eq!(
        (answer.status, answer.header(LOCATION.as_str())),
        (301, &*format!("/ipfs/{plain}/site/?x=1"))
    );
    let answer = ask(&memory, &format!("/ipfs/{plain}/site/"), &[]).await;
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &b"<p>index</p>"[..])
    );
    assert_eq!(answer.header("etag"), format!("\"{site}\""));
    assert_eq!(answer.header("x-ipfs-roots"), format!("{plain},{site}"));
    let answer = ask(&memory, &format!("/ipfs/{plain}/"), &[]).await;
    let listing = String::from_utf8(answer.body.clone()).unwrap();
    assert!(
        listing.contains("<a href=\"./a%20%3Cb%3E\">a &lt;b&gt;</a>"),
        "{listing}"
    );
    assert!(listing.ends_with("</html>\n") && answer.header("etag").contains("DirIndex-"));
    let bad = memory.directory(&[("index.html", site)]);
    assert_eq!(
        ask(&memory, &format!("/ipfs/{bad}/"), &[]).await.status,
        422
    );
}

#[tokio::test]
async fn a_sharded_directory_is_found_in_and_listed() {
    let memory = Arc::new(Memory::default());
    let file = memory.file(b"x");
    let names: Vec<String> = (0..6000)
        .map(|index| format!("a-name-of-some-length-{index}"))
        .collect();
    let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), file)).collect();
    let cid = memory.directory(&entries);
    let found = ask(&memory, &format!("/ipfs/{cid}/{}", names[4321]), &[]).await;
    assert_eq!((found.status, &found.body[..]), (200, &b"x"[..]));
    assert_eq!(
        ask(&memory, &format!("/ipfs/{cid}/nothing"), &[])
            .await
            .status,
        404
    );
    let listing = ask(&memory, &format!("/ipfs/{cid}/"), &[]).await;
    let listing = String::from_utf8(listing.body).unwrap();
    assert_eq!(listing.matches("<a href=\"./").count(), 6000);
    // The entity is all shards and no file; a name costs few of them.
    let entity = ask(
        &memory,
        &format!("/ipfs/{cid}?format=car&dag-scope=entity"),
        &[],
    )
    .await;
    assert!(entity.blocks().len() > 100 && !entity.blocks().contains(&file));
    let url = format!("/ipfs/{cid}/{}?format=car&dag-scope=block", names[4321]);
    let path = ask(&memory, &url, &[]).await.blocks();
    assert!(
        path.len() <= 4 && path.first() == Some(&cid) && path.last() == Some(&file),
        "{path:?}"
    );
}

#[tokio::test]
async fn a_missing_block_is_a_404_or_breaks_the_body_off() {
    let memory = Arc::new(Memory::default());
    let cid = memory.file(&content(1_000_000));
    let order = ask(&memory, &format!("/ipfs/{cid}?format=car"), &[])
        .await
        .blocks();
    memory.blocks.lock().unwrap().remove(&order[2]);
    for query in ["", "?format=car"] {
        let answer = ask(&memory, &format!("/ipfs/{cid}{query}"), &[]).await;
        assert_eq!((answer.status, answer.whole), (200, false), "{query}");
    }
    memory.blocks.lock().unwrap().remove(&cid);
    for query in ["", "?format=car", "?format=raw"] {
        assert_eq!(
            ask(&memory, &format!("/ipfs/{cid}{query}"), &[])
                .await
                .status,
            404,
            "{query}"
        );
    }
    let answer = ask(
        &memory,
        &format!("/ipfs/{cid}"),
        &[("cache-control", "only-if-cached")],
    )
    .await;
    assert_eq!(answer.status, 412);
}

/// A small DAG that spells out more content than there are atoms: each level is the one below, twice.
#[tokio::test]
async fn a_bomb_without_duplicates_costs_its_blocks() {
    use interplanar_core::dag_pb::{Link, Node};
    use interplanar_core::unixfs::{Data, Kind};
    let memory = Arc::new(Memory::default());
    let mut cid = memory.file(&content(100));
    let mut size = 100_u64;
    for _ in 0..50 {
        let link = || Link {
            cid,
            name: Bytes::new(),
            tsize: 0,
        };
        let data = Data {
            filesize: Some(size * 2),
            blocksizes: vec![size, size],
            ..Data::new(Kind::File)
        };
        let node = Node {
            links: vec![link(), link()],
            data: Some(data.encode()),
        };
        let block = Block::dag_pb(node.encode(), Version::V1);
        (cid, size) = (*block.cid(), size * 2);
        memory.put(block);
    }
    for scope in ["all", "entity"] {
        let answer = ask(
            &memory,
            &format!("/ipfs/{cid}?format=car&dag-scope={scope}"),
            &[],
        )
        .await;
        assert_eq!((answer.blocks().len(), answer.whole), (51, true), "{scope}");
    }
    let range = format!("bytes={}-{}", size - 5, size - 1);
    let answer = ask(&memory, &format!("/ipfs/{cid}"), &[("range", &range)]).await;
    assert_eq!(answer.body, &content(100)[95..]);
}

#[tokio::test]
async fn other_methods_are_refused_and_browsers_may_ask() {
    let gateway = Gateway::new(Arc::new(Memory::default()));
    for (method, status) in [("OPTIONS", 200), ("POST", 405), ("PUT", 405)] {
        let request = http::Request::builder()
            .method(method)
            .uri("/ipfs/bafkqaaa");
        let answer = gateway.handle(request.body(()).unwrap()).await;
        assert_eq!(answer.status(), status, "{method}");
        assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }
    assert!(Gateway::owns("/ipfs/x") && !Gateway::owns("/ipfsx") && !Gateway::owns("/nar/x"));
}
