//! The runtime's Cache API. It stores the upstreams' narinfos, and the narinfos that name a CID. A
//! service worker also stores blocks. The edge stores whole NARs, because each access counts as a
//! request there.
//!
//! The cache isn't trusted: everything is verified again after reading.

use crate::block_cache::BlockCache;
use crate::copy::copied;
use crate::stream::ByteStream;
use bytes::Bytes;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use interplanar_core::block::Block;
use interplanar_core::cid::Cid;
use interplanar_wasm::driver::{Client, LocalBlocks, NotStored, OpenedResponse};
use js_sys::Uint8Array;
use std::fmt::Display;
use std::sync::Arc;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Cache, Headers, Response, ResponseInit};

/// The keys of a cache are URLs. This host name doesn't exist.
const BASE: &str = "https://interplanar.invalid";

/// Header for content that never changes.
const IMMUTABLE: (&str, &str) = ("Cache-Control", "public, max-age=31536000, immutable");

/// A narinfo in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CachedNarinfo {
    pub(crate) body: Bytes,
    pub(crate) upstream: String,
    /// Expiry time in milliseconds since 1970.
    pub(crate) until_ms: u64,
}

/// The runtime's cache, if there is one. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeCache {
    cache: Option<Cache>,
    client: Client,
}

impl RuntimeCache {
    /// Each access counts as a request of `client`, because the platform counts it.
    pub(crate) fn new(cache: Option<Cache>, client: Client) -> Self {
        Self { cache, client }
    }

    async fn find(&self, url: &str) -> Option<Response> {
        let cache = self.cache.as_ref()?;
        self.client.count(1);
        let found = JsFuture::from(cache.match_with_str(url)).await;
        found.ok()?.dyn_into().ok()
    }

    async fn store(&self, url: &str, body: &[u8], headers: &[(&str, &str)]) -> Result<(), JsValue> {
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

    /// Reads a block. It isn't verified yet.
    pub(crate) async fn block(&self, cid: &Cid) -> Option<Bytes> {
        bytes(self.find(&cache_key("block", cid)).await?).await
    }

    /// Stores a block without an expiry time.
    pub(crate) async fn store_block(&self, cid: &Cid, data: &[u8]) -> Result<(), NotStored> {
        let stored = self
            .store(&cache_key("block", cid), data, &[IMMUTABLE])
            .await;
        stored.map_err(|_| NotStored)
    }

    /// Deletes an entry.
    pub(crate) fn delete(&self, url: &str) {
        if let Some(cache) = &self.cache {
            self.client.count(1);
            let deleted = JsFuture::from(cache.delete_with_str(url));
            spawn_local(async move { drop(deleted.await) });
        }
    }

    /// Reads a NAR. It isn't verified yet.
    pub(crate) async fn nar(&self, url: &str) -> Option<OpenedResponse> {
        self.find(url).await.map(OpenedResponse::from_response)
    }

    /// Returns the same NAR, and stores a copy when all of it has passed.
    pub(crate) fn store_nar(&self, url: String, size: u64, nar: ByteStream) -> ByteStream {
        let Some(cache) = self.cache.clone() else {
            return nar;
        };
        self.client.count(1);
        copied(nar, size, move |body| {
            let init = init(&[IMMUTABLE])?;
            let response = Response::new_with_opt_readable_stream_and_init(Some(body), &init)?;
            Ok(cache.put_with_str(&url, &response))
        })
    }

    /// Reads a narinfo, also an expired one.
    pub(crate) async fn narinfo(&self, key: &str) -> Option<CachedNarinfo> {
        let response = self.find(key).await?;
        let header = |name| response.headers().get(name).ok().flatten();
        let (upstream, until) = (header("X-Upstream")?, header("X-Until")?);
        let until_ms = until.parse().ok()?;
        Some(CachedNarinfo {
            body: bytes(response).await?,
            upstream,
            until_ms,
        })
    }

    /// Stores a narinfo for `seconds`. Ignores errors: the worker asks the upstream again then.
    pub(crate) async fn store_narinfo(&self, key: &str, narinfo: &CachedNarinfo, seconds: u64) {
        let (age, until) = (
            format!("public, max-age={seconds}"),
            narinfo.until_ms.to_string(),
        );
        let headers = [
            ("Cache-Control", age.as_str()),
            ("X-Upstream", narinfo.upstream.as_str()),
            ("X-Until", until.as_str()),
        ];
        drop(self.store(key, &narinfo.body, &headers).await);
    }
}

/// Returns the key of an entry in the cache.
pub(crate) fn cache_key(kind: &str, name: impl Display) -> String {
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

/// The local blocks of one fetch: those in the request's memory, then those in the runtime's cache.
pub(crate) struct RequestBlocks {
    pub(crate) block_cache: Arc<BlockCache>,
    /// The runtime's cache, if blocks are stored there.
    pub(crate) runtime_cache: Option<RuntimeCache>,
}

impl LocalBlocks for RequestBlocks {
    fn get(&self, cid: Cid) -> LocalBoxFuture<'static, Option<Bytes>> {
        if let Some(data) = self.block_cache.block(&cid) {
            return std::future::ready(Some(data)).boxed_local();
        }
        match self.runtime_cache.clone() {
            Some(cache) => async move { cache.block(&cid).await }.boxed_local(),
            None => std::future::ready(None).boxed_local(),
        }
    }

    fn put(&self, blocks: Vec<Block>) -> LocalBoxFuture<'static, Result<(), NotStored>> {
        let cache = self.runtime_cache.clone();
        async move {
            let Some(cache) = cache else {
                return Ok(());
            };
            for block in blocks {
                cache.store_block(block.cid(), block.data()).await?;
            }
            Ok(())
        }
        .boxed_local()
    }
}
