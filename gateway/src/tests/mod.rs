//! Tests over small DAGs. tests/tests/gateway.rs compares the gateway with Kubo.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::{Cid, Version};
use interplanar_core::unixfs::{Builder, DirectoryBuilder, SIZE_262144_V1};

use crate::{BlockSource, Body, Lookup, MemoryBlocks, Request, Stop, answer, headers, owns};

mod pending;
mod shapes;

/// Blocks in memory. Records what is read.
#[derive(Default)]
struct Counted {
    blocks: MemoryBlocks,
    reads: Mutex<Vec<Cid>>,
}

impl BlockSource for Counted {
    fn get(&self, cid: &Cid) -> Lookup<Bytes> {
        self.reads.lock().unwrap().push(*cid);
        self.blocks.get(cid)
    }

    fn has(&self, cid: &Cid) -> Lookup<()> {
        self.blocks.has(cid)
    }
}

impl Counted {
    fn put(&self, block: Block) {
        self.blocks.put(block);
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

#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    whole: bool,
}

impl Answered {
    /// Sends a request and collects the answer. `look` fetches a pending block.
    fn of(source: &Arc<dyn BlockSource>, request: &Request, look: &mut dyn FnMut(Cid)) -> Self {
        let answer = loop {
            match answer(source, request) {
                Ok(answer) => break answer,
                Err(pending) => look(pending.0),
            }
        };
        let (parts, mut body) = answer.into_parts();
        let length = body.length();
        let (mut bytes, mut whole) = (Vec::new(), true);
        while let Some(piece) = Body::next(&mut body) {
            match piece {
                Ok(piece) => {
                    assert!(!piece.is_empty());
                    bytes.extend(piece);
                }
                Err(Stop::Pending(cid)) => look(cid),
                Err(Stop::Refused(_)) => whole = false,
            }
        }
        assert!(!whole || length.is_none_or(|length| length == bytes.len() as u64));
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: bytes,
            whole,
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the blocks of a CAR.
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

fn request(path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = Request::new(());
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn ask(memory: &Arc<Counted>, path: &str, headers: &[(&'static str, &str)]) -> Answered {
    let source = Arc::clone(memory) as Arc<dyn BlockSource>;
    Answered::of(&source, &request(path, headers), &mut |cid| {
        panic!("{cid} is pending")
    })
}

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

#[test]
fn a_file_is_served_whole_and_in_parts() {
    let memory = Arc::new(Counted::default());
    let bytes = content(1_000_000);
    let cid = memory.file(&bytes);
    let answer = ask(&memory, &format!("/ipfs/{cid}"), &[]);
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
    );
    assert_eq!((answer.status, &answer.body[..]), (206, &bytes[999_990..]));
    assert_eq!(
        answer.header("content-range"),
        "bytes 999990-999999/1000000"
    );
    assert_eq!(answer.header("content-type"), "application/x-nix-nar");
    // Only the last leaf was read.
    let mut read = memory.reads.lock().unwrap().clone();
    read.retain(|read| *read != cid);
    assert_eq!(read.len(), 1);
    let etag = format!("\"{cid}\"");
    let answer = ask(
        &memory,
        &format!("/ipfs/{cid}"),
        &[(IF_NONE_MATCH.as_str(), &etag)],
    );
    assert_eq!(
        (answer.status, answer.header(ETAG.as_str())),
        (304, etag.as_str())
    );
}

#[test]
fn a_directory_returns_its_index_or_a_listing() {
    let memory = Arc::new(Counted::default());
    let page = memory.file(b"<p>index</p>");
    let site = memory.directory(&[("index.html", page)]);
    let plain = memory.directory(&[("a <b>", page), ("site", site)]);
    let answer = ask(&memory, &format!("/ipfs/{plain}/site?x=1"), &[]);
    assert_eq!(
        (answer.status, answer.header(LOCATION.as_str())),
        (301, &*format!("/ipfs/{plain}/site/?x=1"))
    );
    let answer = ask(&memory, &format!("/ipfs/{plain}/site/"), &[]);
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &b"<p>index</p>"[..])
    );
    assert_eq!(answer.header("etag"), format!("\"{site}\""));
    assert_eq!(answer.header("x-ipfs-roots"), format!("{plain},{site}"));
    let answer = ask(&memory, &format!("/ipfs/{plain}/"), &[]);
    let listing = String::from_utf8(answer.body.clone()).unwrap();
    assert!(
        listing.contains("<a href=\"./a%20%3Cb%3E\">a &lt;b&gt;</a>"),
        "{listing}"
    );
    assert!(listing.ends_with("</html>\n") && answer.header("etag").contains("DirIndex-"));
    let bad = memory.directory(&[("index.html", site)]);
    assert_eq!(ask(&memory, &format!("/ipfs/{bad}/"), &[]).status, 422);
}

#[test]
fn names_in_a_sharded_directory_are_found_and_listed() {
    let memory = Arc::new(Counted::default());
    let file = memory.file(b"x");
    let names: Vec<String> = (0..6000)
        .map(|index| format!("a-name-of-some-length-{index}"))
        .collect();
    let entries: Vec<(&str, Cid)> = names.iter().map(|name| (name.as_str(), file)).collect();
    let cid = memory.directory(&entries);
    let found = ask(&memory, &format!("/ipfs/{cid}/{}", names[4321]), &[]);
    assert_eq!((found.status, &found.body[..]), (200, &b"x"[..]));
    assert_eq!(
        ask(&memory, &format!("/ipfs/{cid}/nothing"), &[]).status,
        404
    );
    let listing = ask(&memory, &format!("/ipfs/{cid}/"), &[]);
    let listing = String::from_utf8(listing.body).unwrap();
    assert_eq!(listing.matches("<a href=\"./").count(), 6000);
    // The entity contains all shards and no file. Finding a name reads few shards.
    let entity = ask(
        &memory,
        &format!("/ipfs/{cid}?format=car&dag-scope=entity"),
        &[],
    );
    assert!(entity.blocks().len() > 100 && !entity.blocks().contains(&file));
    let url = format!("/ipfs/{cid}/{}?format=car&dag-scope=block", names[4321]);
    let path = ask(&memory, &url, &[]).blocks();
    assert!(
        path.len() <= 4 && path.first() == Some(&cid) && path.last() == Some(&file),
        "{path:?}"
    );
}

#[test]
fn a_missing_block_is_a_404_or_ends_the_body_early() {
    let memory = Arc::new(Counted::default());
    let cid = memory.file(&content(1_000_000));
    let order = ask(&memory, &format!("/ipfs/{cid}?format=car"), &[]).blocks();
    memory.blocks.remove(&order[2]);
    for query in ["", "?format=car"] {
        let answer = ask(&memory, &format!("/ipfs/{cid}{query}"), &[]);
        assert_eq!((answer.status, answer.whole), (200, false), "{query}");
    }
    memory.blocks.remove(&cid);
    for query in ["", "?format=car", "?format=raw"] {
        assert_eq!(
            ask(&memory, &format!("/ipfs/{cid}{query}"), &[]).status,
            404,
            "{query}"
        );
    }
    let answer = ask(
        &memory,
        &format!("/ipfs/{cid}"),
        &[("cache-control", "only-if-cached")],
    );
    assert_eq!(answer.status, 412);
}

/// A small DAG with more content than there are atoms: each level contains the one below twice.
#[test]
fn a_bomb_without_duplicates_costs_its_blocks() {
    use interplanar_core::dag_pb::{Link, Node};
    use interplanar_core::unixfs::{Data, NodeType};
    let memory = Arc::new(Counted::default());
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
            ..Data::new(NodeType::File)
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
        );
        assert_eq!((answer.blocks().len(), answer.whole), (51, true), "{scope}");
    }
    let range = format!("bytes={}-{}", size - 5, size - 1);
    let answer = ask(&memory, &format!("/ipfs/{cid}"), &[("range", &range)]);
    assert_eq!(answer.body, &content(100)[95..]);
}

#[test]
fn other_methods_are_rejected_and_options_is_answered() {
    let source = MemoryBlocks::default().share();
    for (method, status) in [("OPTIONS", 200), ("POST", 405), ("PUT", 405)] {
        let request = http::Request::builder()
            .method(method)
            .uri("/ipfs/bafkqaaa");
        let answer = answer(&source, &request.body(()).unwrap()).unwrap();
        assert_eq!(answer.status(), status, "{method}");
        assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }
    assert!(owns("/ipfs/x") && !owns("/ipfsx") && !owns("/nar/x"));
}
