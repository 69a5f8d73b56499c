//! What the runtime's Cache API keeps: narinfos as their upstreams gave them, CIDs that believed narinfos name; in a browser verified blocks, at
//! the edge whole NARs, where each access is one of few requests.
//!
//! A cache is not trusted either: blocks and NARs are hashed and narinfos verified again when they are read.

use crate::block_cache::BlockCache;
use crate::copy::copied;
use crate::stream::Pieces;
use bytes::Bytes;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_wasm::driver::{Client, LocalBlocks, NotKept, Opened};
use js_sys::Uint8Array;
use std::fmt::Display;
use std::sync::Arc;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Cache, Headers, Response, ResponseInit};

/// The keys of a cache are URLs; nobody has this name.
const BASE: &str = "https://interplanar.invalid";

/// For what is named by its content.
const FOREVER: (&str, &str) = ("Cache-Control", "public, max-age=31536000, immutable");

/// A text that is kept, with what was noted beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) body: Bytes,
    pub(crate) upstream: String,
    /// Until when it holds, in milliseconds since 1970.
    pub(crate) until_ms: u64,
}

/// A cache of the runtime, or none. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    cache: Option<Cache>,
    client: Client,
}

impl Kept {
    /// Each access counts as a request of `client`, as the platform counts them.
    pub(crate) fn new(cache: Option<Cache>, client: Client) -> Self {
        Self { cache, client }
    }

    async fn find(&self, url: &str) -> Option<Response> {
        let cache = self.cache.as_ref()?;
        self.client.count(1);
        let found = JsFuture::from(cache.match_with_str(url)).await;
        found.ok()?.dyn_into().ok()
    }

    async fn keep(&self, url: &str, body: &[u8], headers: &[(&str, &str)]) -> Result<(), JsValue> {
        let Some(cache) = &self.cache else {
            return Ok(());
        };
        self.client.count(1);
        let body = Uint8Array::from(body);
        let init = init(headers)?;
        let response = Response::new_with_opt_js_u8_array_and_init(Some(&body), &init)?;
        JsFuture::from(cache.put_with_str(url, &response)).await?;
        Ok(())
    }

    /// A block; nobody has hashed it yet.
    pub(crate) async fn block(&self, cid: &Cid) -> Option<Bytes> {
        bytes(self.find(&url("block", cid)).await?).await
    }

    /// Keeps a block for good.
    pub(crate) async fn keep_block(&self, cid: &Cid, data: &[u8]) -> Result<(), NotKept> {
        let kept = self.keep(&url("block", cid), data, &[FOREVER]).await;
        kept.map_err(|_| NotKept)
    }

    /// Lets go of what is wrong.
    pub(crate) fn forget(&self, url: &str) {
        if let Some(cache) = &self.cache {
            self.client.count(1);
            let deleted = JsFuture::from(cache.delete_with_str(url));
            spawn_local(async move { drop(deleted.await) });
        }
    }

    /// A NAR that is kept; nobody has hashed it yet.
    pub(crate) async fn nar(&self, url: &str) -> Option<Opened> {
        self.find(url).await.map(Opened::at_hand)
    }

    /// The same NAR, kept for good once all of it has passed.
    pub(crate) fn keep_nar(&self, url: String, size: u64, nar: Pieces) -> Pieces {
        let Some(cache) = self.cache.clone() else {
            return nar;
        };
        self.client.count(1);
        copied(nar, size, move |body| {
            let init = init(&[FOREVER])?;
            let response = Response::new_with_opt_readable_stream_and_init(Some(body), &init)?;
            Ok(cache.put_with_str(&url, &response))
        })
    }

    /// What an upstream said, whether it still holds or not.
    pub(crate) async fn note(&self, key: &str) -> Option<Note> {
        let response = self.find(key).await?;
        let header = |name| response.headers().get(name).ok().flatten();
        let (upstream, until) = (header("X-Upstream")?, header("X-Until")?);
        let until_ms = until.parse().ok()?;
        Some(Note {
            body: bytes(response).await?,
            upstream,
            until_ms,
        })
    }

    /// Keeps what an upstream said for `seconds`. That it can't be kept is no fault: it is asked again then.
    pub(crate) async fn keep_note(&self, key: &str, note: &Note, seconds: u64) {
        let (age, until) = (
            format!("public, max-age={seconds}"),
            note.until_ms.to_string(),
        );
        let headers = [
            ("Cache-Control", age.as_str()),
            ("X-Upstream", note.upstream.as_str()),
            ("X-Until", until.as_str()),
        ];
        drop(self.keep(key, &note.body, &headers).await);
    }
}

/// What something is called in the cache.
pub(crate) fn url(kind: &str, name: impl Display) -> String {
    format!("{BASE}/{kind}/{name}")
}

fn init(headers: &[(&str, &str)]) -> Result<ResponseInit, JsValue> {
    let sent = Headers::new()?;
    for (name, value) in headers {
        sent.set(name, value)?;
    }
    let init = ResponseInit::new();
    init.set_headers(&sent);
    Ok(init)
}

async fn bytes(response: Response) -> Option<Bytes> {
    let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
    Some(Uint8Array::new(&buffer).to_vec().into())
}

/// The blocks of one fetch: those that the request has at hand, then those that are kept.
pub(crate) struct Local {
    pub(crate) block_cache: Arc<BlockCache>,
    /// Where blocks are kept too; without it none are.
    pub(crate) kept: Option<Kept>,
}

impl LocalBlocks for Local {
    fn get(&self, cid: Cid) -> LocalBoxFuture<'static, Option<Bytes>> {
        if let Some(data) = self.block_cache.here(&cid) {
            return std::future::ready(Some(data)).boxed_local();
        }
        match self.kept.clone() {
            Some(kept) => async move { kept.block(&cid).await }.boxed_local(),
            None => std::future::ready(None).boxed_local(),
        }
    }

    fn put(&self, blocks: Vec<Block>) -> LocalBoxFuture<'static, Result<(), NotKept>> {
        let kept = self.kept.clone();
        async move {
            let Some(kept) = kept else {
                return Ok(());
            };
            for block in blocks {
                kept.keep_block(block.cid(), block.data()).await?;
            }
            Ok(())
        }
        .boxed_local()
    }
}
