//! Servers on loopback for the tests of client and proxy: real HTTP, and gateways with one fault
//! each.

use crate::net::server::{self, Handler, Limits, Request, Response, Shutdown};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderName, HeaderValue, StatusCode};
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid, DAG_PB};
use interplanar_core::{car, dag_pb, unixfs};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use url::Url;

/// A running server. It stops when this is dropped.
pub(crate) struct Peer {
    pub(crate) url: Url,
    requests: Arc<Mutex<Vec<String>>>,
    shutdown: Shutdown,
}

struct Logged<H> {
    requests: Arc<Mutex<Vec<String>>>,
    inner: H,
}

impl<H: Handler> Handler for Logged<H> {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        self.requests
            .lock()
            .unwrap()
            .push(request.uri().to_string());
        self.inner.handle(request)
    }
}

impl Peer {
    pub(crate) async fn start(handler: impl Handler) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let (requests, shutdown) = (Arc::default(), Shutdown::new());
        let handler = Arc::new(Logged {
            requests: Arc::clone(&requests),
            inner: handler,
        });
        tokio::spawn(server::serve(
            listener,
            handler,
            shutdown.clone(),
            Limits::default(),
        ));
        Self {
            url,
            requests,
            shutdown,
        }
    }

    /// Returns the requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A cache of files by path. All are sent with the same headers.
#[derive(Clone, Default)]
pub(crate) struct Files {
    files: Arc<Mutex<BTreeMap<String, Bytes>>>,
    headers: Vec<(&'static str, &'static str)>,
    /// Paths whose bodies stop this many bytes before their end.
    cut: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Files {
    pub(crate) fn folder(path: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures")
            .join(path);
        let files = Self::default();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                    files.set(name, std::fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn set(&self, path: &str, data: impl Into<Bytes>) {
        self.files
            .lock()
            .unwrap()
            .insert(format!("/{path}"), data.into());
    }

    pub(crate) fn get(&self, path: &str) -> Bytes {
        self.files.lock().unwrap()[&format!("/{path}")].clone()
    }

    pub(crate) fn cut(&self, path: &str, before_end: usize) {
        self.cut
            .lock()
            .unwrap()
            .insert(format!("/{path}"), before_end);
    }
}

impl Handler for Files {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let path = request.uri().path();
        let file = self.files.lock().unwrap().get(path).cloned();
        let mut response = match (file, self.cut.lock().unwrap().get(path)) {
            (Some(data), None) => server::full(StatusCode::OK, "application/octet-stream", data),
            (Some(data), Some(before_end)) => {
                let part = data.slice(..data.len() - before_end);
                let pieces = stream::iter([Ok(part), Err(std::io::Error::other("cut"))]);
                let body = server::from_stream(pieces, Some(data.len() as u64));
                server::stream(StatusCode::OK, "application/octet-stream", body)
            }
            (None, _) => server::not_found(),
        };
        for (name, value) in &self.headers {
            response.headers_mut().insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Box::pin(async { response })
    }
}

/// The fault of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// One byte is wrong in the last block of a CAR, and in each raw block.
    Corrupt,
    /// The connection stays open, and nothing is sent.
    Hang,
    /// The second half is missing, in CARs and raw blocks.
    Truncate,
    /// An HTML page with status 200.
    Html,
    /// Always 404.
    Empty,
}

/// A gateway with its blocks in memory: it sends CARs of whole files in depth-first order, and raw
/// blocks.
#[derive(Clone)]
pub(crate) struct TestGateway {
    pub(crate) blocks: Arc<HashMap<Cid, Bytes>>,
    pub(crate) fault: Fault,
}

/// A file with the blocks of `ipfs add`.
pub(crate) struct TestFile {
    pub(crate) root: Cid,
    pub(crate) blocks: Arc<HashMap<Cid, Bytes>>,
}

impl TestFile {
    pub(crate) fn new(data: &[u8]) -> Self {
        let mut blocks = HashMap::new();
        let mut keep = |block: Block| drop(blocks.insert(*block.cid(), block.data().clone()));
        let mut builder = unixfs::Builder::new(unixfs::SIZE_262144_V1);
        builder.push(data, &mut keep);
        let built = builder.finish(&mut keep);
        Self {
            root: built.cid,
            blocks: Arc::new(blocks),
        }
    }

    pub(crate) fn gateway(&self, fault: Fault) -> TestGateway {
        TestGateway {
            blocks: Arc::clone(&self.blocks),
            fault,
        }
    }
}

impl TestGateway {
    fn answer(&self, request: &Request) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let name = request
            .uri()
            .path()
            .strip_prefix("/ipfs/")
            .unwrap_or_default();
        let Some(root) = cid::parse(name)
            .ok()
            .filter(|root| self.blocks.contains_key(root))
        else {
            return server::not_found();
        };
        let mut status = StatusCode::OK;
        let (content_type, mut pieces) = if query.contains("format=car") {
            (
                "application/vnd.ipld.car;version=1;order=dfs;dups=n",
                self.car(&root),
            )
        } else if query.contains("format=raw") {
            ("application/vnd.ipld.raw", vec![self.blocks[&root].clone()])
        } else {
            let mut content = self.content(root);
            if let Some(range) = request.headers().get(http::header::RANGE) {
                let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
                let (from, to) = range.split_once('-').unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                status = StatusCode::PARTIAL_CONTENT;
                content = content.slice(from..=to);
            }
            ("application/octet-stream", vec![content])
        };
        match self.fault {
            Fault::None => {}
            Fault::Corrupt => {
                let last = pieces.pop().unwrap();
                let mut last = last.to_vec();
                *last.last_mut().unwrap() ^= 1;
                pieces.push(last.into());
            }
            Fault::Truncate => {
                let all = Bytes::from(pieces.concat());
                pieces = vec![all.slice(..all.len() / 2)];
            }
            Fault::Hang => {
                let body = server::from_stream(stream::pending(), None);
                return server::stream(status, content_type, body);
            }
            Fault::Html => {
                return server::full(
                    StatusCode::OK,
                    "text/html",
                    "<!DOCTYPE html><title>Hello</title>",
                );
            }
            Fault::Empty => return server::not_found(),
        }
        let body = server::from_stream(stream::iter(pieces).map(Ok), None);
        server::stream(status, content_type, body)
    }

    fn content(&self, root: Cid) -> Bytes {
        let mut walker = unixfs::Walker::new(root, unixfs::Budget::default());
        let mut content = Vec::new();
        while let Some(cid) = walker.wants(1).unwrap().first().copied() {
            walker
                .push(Block::verify(cid, self.blocks[&cid].clone()).unwrap())
                .unwrap();
            while let Some(piece) = walker.next() {
                content.extend(piece);
            }
        }
        content.into()
    }

    fn car(&self, root: &Cid) -> Vec<Bytes> {
        let mut pieces = vec![car::header(&[*root]).into()];
        let mut stack = vec![*root];
        while let Some(cid) = stack.pop() {
            let data = self.blocks[&cid].clone();
            pieces.push(car::block_prefix(&cid, data.len()).into());
            if cid.codec() == DAG_PB {
                let node = dag_pb::Node::decode(&data).unwrap();
                stack.extend(node.links.iter().rev().map(|link| link.cid));
            }
            pieces.push(data);
        }
        pieces
    }
}

impl Handler for TestGateway {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let response = self.answer(&request);
        Box::pin(async { response })
    }
}
