//! `/ipfs/…`: answers of a gateway. Blocks are fetched when they are needed.

use super::Task;
use super::car_feed::CarFeed;
use crate::block_cache::BlockCache;
use crate::config::Platform;
use crate::page::{Problem, distrust};
use crate::reply::{Reply, ReplyBody};
use crate::runtime_cache::{RequestBlocks, RuntimeCache};
use crate::stream::ByteStream;
use bytes::Bytes;
use futures_util::stream::{StreamExt as _, once, unfold};
use http::{Request, StatusCode};
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{ByteRange, FetchError, Options};
use interplanar_gateway::{self as gateway, Answer, BlockSource, Stop};
use interplanar_wasm::driver::{fetch_block, fetch_ipfs};
use std::rc::Rc;
use std::sync::Arc;

/// Most blocks to look up before the answer starts: those of the path, and of the object at its
/// end.
const MAX_LOOKUPS: usize = 1024;

impl Task {
    pub(super) async fn ipfs(&self, request: Request<()>) -> Result<Reply, Problem> {
        let block_cache = Arc::new(BlockCache::default());
        let source = Arc::clone(&block_cache) as Arc<dyn BlockSource>;
        let cached_only = gateway::only_if_cached(request.headers());
        let mut lookups = 0;
        let answer = loop {
            let pending = match gateway::answer(&source, &request) {
                Ok(answer) => break answer,
                Err(pending) => pending.0,
            };
            // The first block is the root of the path. Permission for it includes all blocks below.
            if lookups == 0 && !self.may_serve(&pending).await {
                return Err(not_open(&pending));
            }
            lookups += 1;
            if lookups > MAX_LOOKUPS {
                let detail = "The path leads through too many blocks.";
                return Err(Problem::new(
                    StatusCode::BAD_GATEWAY,
                    "This path is too deep",
                    detail,
                ));
            }
            self.fetch_to_cache(&pending, &block_cache, cached_only)
                .await?;
        };
        self.serve(answer, block_cache).await
    }

    /// Returns the cache in which to store blocks. Only a service worker has one: at the edge, each
    /// block would cost one of few requests.
    pub(super) fn block_store(&self) -> Option<RuntimeCache> {
        (self.config().platform == Platform::Service).then(|| self.runtime_cache.clone())
    }

    /// Fetches a block into the block cache, or notes there that no source has it.
    async fn fetch_to_cache(
        &self,
        cid: &Cid,
        block_cache: &BlockCache,
        cached_only: bool,
    ) -> Result<(), Problem> {
        let store = self.block_store();
        if let Some(cache) = &store
            && let Some(data) = cache.block(cid).await
            && let Ok(block) = Block::verify(*cid, data)
        {
            let (cid, data) = block.into_parts();
            block_cache.put(cid, Some(data));
            return Ok(());
        }
        if cached_only {
            block_cache.put(*cid, None);
            return Ok(());
        }
        let pool = self.pool().await;
        let log = Self::log_faults(&pool);
        let mut fetch = fetch_block(&self.client, *cid, self.options(), pool, None, log);
        let mut data = Vec::new();
        while let Some(chunk) = fetch.next().await {
            match chunk {
                Ok(chunk) => data.extend_from_slice(&chunk),
                Err(FetchError::NotFound { .. } | FetchError::NoGateways { .. }) => {
                    block_cache.put(*cid, None);
                    return Ok(());
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        if let Some(cache) = store {
            // If it can't be stored, the client still gets it.
            let _ = cache.store_block(cid, &data).await;
        }
        block_cache.put(*cid, Some(data.into()));
        Ok(())
    }

    async fn serve(&self, answer: Answer, block_cache: Arc<BlockCache>) -> Result<Reply, Problem> {
        let (parts, body) = answer.into_parts();
        let length = body.length();
        let body = match body {
            gateway::Body::Empty => ReplyBody::Empty,
            gateway::Body::Whole(bytes) => ReplyBody::Whole(bytes),
            body => {
                let chunks = match body.file() {
                    Some((cid, range)) => self.file(cid, range, block_cache).await,
                    None => self.steps(body, block_cache),
                };
                ReplyBody::Stream(with_first_chunk(chunks).await?, length)
            }
        };
        let mut headers = parts.headers;
        distrust(&mut headers);
        Ok(Reply {
            status: parts.status,
            headers,
            body,
        })
    }

    /// Fetches a file or a range of it with the fetch engine.
    async fn file(
        &self,
        cid: Cid,
        range: std::ops::Range<u64>,
        block_cache: Arc<BlockCache>,
    ) -> ProblemStream {
        let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
            return futures_util::stream::empty().boxed_local();
        };
        let options = Options {
            range: Some(ByteRange {
                from: range.start,
                to: Some(last),
            }),
            ..self.options()
        };
        let local = RequestBlocks {
            block_cache,
            runtime_cache: self.block_store(),
        };
        let pool = self.pool().await;
        let log = Self::log_faults(&pool);
        let url = IpfsUrl::new(cid);
        fetch_ipfs(&self.client, &url, options, pool, Some(Rc::new(local)), log)
            .map(|chunk| chunk.map_err(|error| unavailable(&error)))
            .boxed_local()
    }

    /// Builds a CAR or a list step by step.
    fn steps(&self, body: gateway::Body, block_cache: Arc<BlockCache>) -> ProblemStream {
        let feed = CarFeed::new(body.as_car());
        let state = (self.clone(), body, feed, block_cache);
        unfold(
            state,
            |(task, mut body, mut feed, block_cache)| async move {
                loop {
                    let chunk = match body.next()? {
                        Ok(bytes) => Ok(bytes),
                        Err(Stop::Pending(cid)) => {
                            if feed.read_until(&task, &cid, &block_cache).await {
                                continue;
                            }
                            match task.fetch_to_cache(&cid, &block_cache, false).await {
                                Ok(()) => continue,
                                Err(problem) => Err(problem),
                            }
                        }
                        Err(Stop::Refused(refusal)) => Err(Problem::new(
                            StatusCode::BAD_GATEWAY,
                            "This answer is incomplete",
                            refusal.to_string(),
                        )),
                    };
                    return Some((chunk, (task, body, feed, block_cache)));
                }
            },
        )
        .boxed_local()
    }
}

type ProblemStream = futures_util::stream::LocalBoxStream<'static, Result<Bytes, Problem>>;

/// Waits for the first chunk. If that fails, the client can still get an error status.
async fn with_first_chunk(mut chunks: ProblemStream) -> Result<ByteStream, Problem> {
    let first = chunks.next().await.transpose()?;
    let rest = chunks.map(|chunk| chunk.map_err(|problem| problem.detail));
    Ok(match first {
        Some(first) => once(async { Ok(first) }).chain(rest).boxed_local(),
        None => rest.boxed_local(),
    })
}

fn not_open(cid: &Cid) -> Problem {
    let detail = format!("No narinfo that this cache has verified names {cid}.");
    Problem::new(StatusCode::FORBIDDEN, "This isn't an open gateway", detail)
}

fn unavailable(error: &FetchError) -> Problem {
    let status = match error {
        FetchError::NotFound { .. } | FetchError::NoGateways { .. } => StatusCode::NOT_FOUND,
        FetchError::NoRequestsLeft { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    let detail = match error {
        FetchError::Unavailable {
            last: Some(fault), ..
        } => format!("{error}: {fault}"),
        error => error.to_string(),
    };
    Problem::new(status, "No gateway has it", detail)
}
