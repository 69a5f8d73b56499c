//! The package in a real runtime: `wasm-pack test --node wasm`, and in Chromium with `--headless
//! --chrome`.
//!
//! Tests that need a gateway are in tests/tests/wasm.rs. These check what differs between runtimes,
//! with files that Guix 1.5.0 and Nix 2.34.8 wrote.
#![cfg(all(target_arch = "wasm32", feature = "full"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{FetchError, GatewayPool, Options, Policy};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::Listing;
use interplanar_core::unixfs::{Builder, SIZE_262144_V1};
use interplanar_wasm::bindings::{
    DecompressStream, Gateways, NarInfo, NarReader, ReadableStream, TrustedKeys, fetch,
};
use interplanar_wasm::driver::{Client, LocalBlocks, NotStored, fetch_ipfs, sleep};
use js_sys::{Array, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name))
    };
}

const NIX: &[u8] = fixture!("nix-2.34.8/none/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo");
const NIX_LISTING: &[u8] = fixture!("nix-2.34.8/none/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.ls");
const NIX_NAR: &[u8] =
    fixture!("nix-2.34.8/none/nar/0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar");
const NIX_XZ: &[u8] =
    fixture!("nix-2.34.8/xz/nar/1cgpmxrcmaf5pz7z3ry4ks1v2dc8l6lhi2lhyyqalqgxlaf8a6dq.nar.xz");
const NIX_KEY: &[u8] = fixture!("nix-2.34.8/nix.pub");
const GUIX: &[u8] = fixture!("guix-1.5.0/agkhnj5wmbrb40rigsyf6ynkdi22d89g.narinfo");
const GUIX_NAR: &[u8] = fixture!("guix-1.5.0/nar/none/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree");
const GUIX_GZIP: &[u8] = fixture!("guix-1.5.0/nar/gzip/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree");
const GUIX_ZSTD: &[u8] = fixture!("guix-1.5.0/nar/zstd/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree");
const GUIX_LZIP: &[u8] = fixture!("guix-1.5.0/nar/lzip/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree");
const GUIX_KEY: &[u8] = fixture!("guix-1.5.0/signing-key.pub");

#[wasm_bindgen]
extern "C" {
    type Response;

    #[wasm_bindgen(constructor)]
    fn new(body: &JsValue) -> Response;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Response) -> JsValue;

    #[wasm_bindgen(js_name = ReadableStream)]
    type AnyStream;

    #[wasm_bindgen(method, js_name = pipeThrough)]
    fn pipe_through(this: &AnyStream, pair: &JsValue) -> AnyStream;

    #[wasm_bindgen(method, js_name = getReader)]
    fn get_reader(this: &AnyStream) -> Reader;

    type Reader;

    #[wasm_bindgen(method)]
    fn read(this: &Reader) -> Promise;
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Returns the code of an error.
fn code(error: &JsValue) -> String {
    assert!(error.is_instance_of::<js_sys::Error>());
    let code = Reflect::get(error, &"code".into()).unwrap();
    code.as_string().unwrap_or_default()
}

fn code_of<T>(result: Result<T, JsValue>) -> String {
    code(&result.err().unwrap())
}

/// Reads a stream to its end.
async fn read(stream: impl JsCast) -> Result<Vec<u8>, JsValue> {
    // Chromium's `new Response(stream)` would replace the stream's error by its own.
    let reader = stream.unchecked_into::<AnyStream>().get_reader();
    let mut all = Vec::new();
    loop {
        let result = JsFuture::from(reader.read()).await?;
        match Reflect::get(&result, &"value".into())?.dyn_into::<Uint8Array>() {
            Ok(piece) => all.extend(piece.to_vec()),
            Err(_) => return Ok(all),
        }
    }
}

fn keys() -> TrustedKeys {
    let mut keys = TrustedKeys::new();
    keys.add_nix(text(NIX_KEY).trim()).unwrap();
    keys.add_guix(text(GUIX_KEY)).unwrap();
    keys
}

#[wasm_bindgen_test]
fn narinfos_of_both_are_verified_and_a_changed_one_is_not() {
    for (bytes, dialect) in [(NIX, "nix"), (GUIX, "guix")] {
        let info = NarInfo::parse(bytes).unwrap();
        assert_eq!(info.dialect(), dialect);
        assert_eq!(info.to_string().as_bytes(), bytes);
        info.verify(&keys()).unwrap();
        assert_eq!(
            code_of(info.verify(&TrustedKeys::new())),
            "TRUST_UNKNOWN_KEY"
        );
        let size = format!("NarSize: {}", info.nar_size());
        let larger = text(bytes).replace(&size, "NarSize: 4711");
        let changed = NarInfo::parse(larger.as_bytes()).unwrap();
        let refused = code_of(changed.verify(&keys()));
        assert!(
            refused == "TRUST_BAD" || refused == "TRUST_MALFORMED",
            "{refused}"
        );
    }
    let error = NarInfo::parse(b"StorePath: /nix/store/x\nnonsense\n")
        .err()
        .unwrap();
    assert!(code(&error).starts_with("NARINFO_"));
    assert_eq!(Reflect::get(&error, &"at".into()).unwrap(), 1);
}

#[wasm_bindgen_test]
fn all_keys_of_an_acl_are_added() {
    let key = text(GUIX_KEY);
    let acl = format!("(acl (entry {key} (tag (guix import))))");
    let mut keys = TrustedKeys::new();
    assert_eq!(keys.add_guix_acl(&acl).unwrap(), 1);
    NarInfo::parse(GUIX).unwrap().verify(&keys).unwrap();
    assert!(code_of(keys.add_nix("no key")).starts_with("SIGNATURE_"));
}

#[wasm_bindgen_test]
fn a_nar_is_listed_verified_and_read_in_parts() {
    let info = NarInfo::parse(NIX).unwrap();
    let mut listing = NarReader::new(None);
    for piece in NIX_NAR.chunks(7) {
        assert_eq!(listing.push(piece).unwrap().length(), 0);
    }
    listing.finish().unwrap();
    listing.verify(&info).unwrap();
    let own = Listing::from_json(&listing.listing()).unwrap();
    assert_eq!(Some(own), Listing::from_json(text(NIX_LISTING)));
    for (old, new, wrong) in [
        ("NarSize: 1272", "NarSize: 1271", "NAR_SIZE"),
        ("sha256:0dzcznf6", "sha256:0dzcznf7", "NAR_HASH"),
    ] {
        let other = text(NIX).replace(old, new);
        let other = NarInfo::parse(other.as_bytes()).unwrap();
        assert_eq!(code_of(listing.verify(&other)), wrong);
    }
    let entries: Array = listing.entries().unwrap().unchecked_into();
    let mut opened = 0;
    for entry in entries.iter() {
        let field = |name: &str| Reflect::get(&entry, &name.into()).unwrap();
        if field("type") != "regular" {
            continue;
        }
        let mut one = NarReader::new(field("path").as_string());
        let mut content = Vec::new();
        for piece in NIX_NAR.chunks(11) {
            content.extend(one.push(piece).unwrap().to_vec());
        }
        one.finish().unwrap();
        let (at, size) = (field("narOffset"), field("size"));
        let (at, size) = (
            at.as_f64().unwrap() as usize,
            size.as_f64().unwrap() as usize,
        );
        assert_eq!(content, NIX_NAR[at..at + size]);
        opened += 1;
    }
    assert!(opened > 1);
    let mut absent = NarReader::new(Some("no/such/file".into()));
    absent.push(NIX_NAR).unwrap();
    assert_eq!(code_of(absent.finish()), "NAR_NO_FILE");
    let mut cut = NarReader::new(None);
    cut.push(&NIX_NAR[..100]).unwrap();
    assert_eq!(code_of(cut.finish()), "NAR_TRUNCATED");
    // Somebody signed the hash of the first part only.
    let part = text(NIX).replace("NarSize: 1272", "NarSize: 100").replace(
        &Sha256::of(NIX_NAR).to_string(),
        &Sha256::of(&NIX_NAR[..100]).to_string(),
    );
    let part = NarInfo::parse(part.as_bytes()).unwrap();
    assert_eq!(code_of(cut.verify(&part)), "NAR_TRUNCATED");
}

async fn decompress(bytes: &[u8], method: &str, limit: usize) -> Result<Vec<u8>, JsValue> {
    let pair = DecompressStream::new(method, limit as f64)?;
    let source = Response::new(&Uint8Array::from(bytes)).body();
    let out = source
        .unchecked_into::<AnyStream>()
        .pipe_through(&pair.into());
    read(out).await
}

#[wasm_bindgen_test]
async fn every_compression_decompresses_to_the_nar() {
    for (method, bytes, plain) in [
        ("none", GUIX_NAR, GUIX_NAR),
        ("gzip", GUIX_GZIP, GUIX_NAR),
        ("zstd", GUIX_ZSTD, GUIX_NAR),
        ("lzip", GUIX_LZIP, GUIX_NAR),
        ("xz", NIX_XZ, NIX_NAR),
    ] {
        let out = decompress(bytes, method, plain.len()).await.unwrap();
        assert!(out == plain, "{method}");
        let small = decompress(bytes, method, plain.len() - 1).await;
        assert_eq!(code_of(small), "DECOMPRESS_OUTPUT_LIMIT", "{method}");
        if method != "none" {
            let cut = decompress(&bytes[..bytes.len() - 1], method, plain.len()).await;
            assert_eq!(code_of(cut), "DECOMPRESS_TRUNCATED", "{method}");
        }
    }
    assert_eq!(
        code_of(DecompressStream::new("br", 1.0)),
        "DECOMPRESS_UNSUPPORTED"
    );
}

#[wasm_bindgen_test]
async fn an_identity_cid_needs_no_gateway() {
    let gateways = Gateways::new(&Array::new()).unwrap();
    let stream: ReadableStream = fetch("ipfs://bafkqablimvwgy3y", &gateways, None).unwrap();
    assert_eq!(read(stream).await.unwrap(), b"hello");
    assert_eq!(
        code_of(fetch("ipfs://nonsense", &gateways, None)),
        "CID_SYNTAX"
    );
    assert_eq!(
        code_of(Gateways::new(&Array::of1(&"ftp://x".into()))),
        "GATEWAY_URL_SCHEME"
    );
}

#[wasm_bindgen_test]
async fn the_cause_is_the_error_of_a_gateway_that_does_not_exist() {
    let gateways = Gateways::new(&Array::of1(&"http://127.0.0.1:9".into())).unwrap();
    let absent = Block::raw("nobody has this".into());
    let options = js_sys::Object::new();
    Reflect::set(&options, &"patienceMs".into(), &0.into()).unwrap();
    let options = options.unchecked_into();
    let stream = fetch(
        &format!("ipfs://{}", absent.cid()),
        &gateways,
        Some(options),
    )
    .unwrap();
    let error = read(stream).await.err().unwrap();
    assert_eq!(code(&error), "FETCH_UNAVAILABLE");
    let cause = Reflect::get(&error, &"cause".into()).unwrap();
    assert_eq!(code(&cause), "GATEWAY_CONNECT");
}

#[wasm_bindgen_test]
async fn an_aborted_fetch_fails_with_the_reason() {
    let gateways = Gateways::new(&Array::new()).unwrap();
    let abort = web_sys::AbortController::new().unwrap();
    let options = js_sys::Object::new();
    Reflect::set(&options, &"signal".into(), &abort.signal()).unwrap();
    abort.abort_with_reason(&"enough".into());
    let options = options.unchecked_into();
    let stream = fetch("ipfs://bafkqablimvwgy3y", &gateways, Some(options)).unwrap();
    assert_eq!(read(stream).await.err().unwrap(), "enough");
}

/// Blocks in memory. Each lookup waits for another turn of the event loop.
#[derive(Default)]
struct MemoryBlocks(RefCell<HashMap<Cid, Bytes>>);

impl LocalBlocks for MemoryBlocks {
    fn get(&self, cid: Cid) -> LocalBoxFuture<'static, Option<Bytes>> {
        let found = self.0.borrow().get(&cid).cloned();
        Box::pin(async move {
            sleep(Duration::from_millis(1)).await;
            found
        })
    }

    fn put(&self, blocks: Vec<Block>) -> LocalBoxFuture<'static, Result<(), NotStored>> {
        let blocks = blocks.into_iter().map(Block::into_parts);
        self.0.borrow_mut().extend(blocks);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[wasm_bindgen_test]
async fn local_blocks_are_enough_and_the_error_names_a_missing_one() {
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let store = MemoryBlocks::default();
    let keep = |block: Block| {
        let (cid, data) = block.into_parts();
        store.0.borrow_mut().insert(cid, data);
    };
    let mut builder = Builder::new(SIZE_262144_V1);
    builder.push(&content, &mut |block| keep(block));
    let root = builder.finish(&mut |block| keep(block)).cid;
    let store = Rc::new(store);
    let pool = Rc::new(RefCell::new(GatewayPool::new([], Policy::default())));
    let start = || {
        let blocks = Rc::clone(&store) as Rc<dyn LocalBlocks>;
        let (client, url) = (Client::default(), IpfsUrl::new(root));
        fetch_ipfs(
            &client,
            &url,
            Options::default(),
            Rc::clone(&pool),
            Some(blocks),
            |_| {},
        )
    };
    let mut got = Vec::new();
    let mut stream = start();
    while let Some(piece) = stream.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == content);
    assert_eq!(stream.summary().unwrap().local_blocks, 13);
    store.0.borrow_mut().remove(&root);
    let error = start().next().await.unwrap().err().unwrap();
    assert_eq!(error, FetchError::NoGateways { cid: root });
}
