//! `/ipfs/…`: the gateway's answers over blocks that are fetched when they are needed.

use super::Task;
use super::feed::Feed;
use crate::block_cache::BlockCache;
use crate::config::Place;
use crate::kept::{Kept, Local};
use crate::page::{Problem, distrust};
use crate::reply::{Body, Reply};
use crate::stream::Pieces;
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

/// Blocks that may be looked for before there is an answer: the path, and what lies at its end.
const MAX_LOOKS: usize = 1024;

impl Task {
    pub(super) async fn ipfs(&self, request: Request<()>) -> Result<Reply, Problem> {
        let block_cache = Arc::new(BlockCache::default());
        let source = Arc::clone(&block_cache) as Arc<dyn BlockSource>;
        let cached_only = gateway::only_if_cached(request.headers());
        let mut looks = 0;
        let answer = loop {
            let pending = match gateway::answer(&source, &request) {
                Ok(answer) => break answer,
                Err(pending) => pending.0,
            };
            // The first block is the root of the path; what lies below it comes with it.
            if looks == 0 && !self.may_serve(&pending).await {
                return Err(closed(&pending));
            }
            looks += 1;
            if looks > MAX_LOOKS {
                let detail = "The path leads through too many blocks.";
                return Err(Problem::new(
                    StatusCode::BAD_GATEWAY,
                    "This is too deep",
                    detail,
                ));
            }
            self.find(&pending, &block_cache, cached_only).await?;
        };
        self.serve(answer, block_cache).await
    }

    /// Where blocks are kept: a browser's own; at the edge each would cost a request of the few that there are.
    pub(super) fn keeps_blocks(&self) -> Option<Kept> {
        (self.config().place == Place::Service).then(|| self.kept.clone())
    }

    /// Puts a block on the block_cache, or that there is none.
    async fn find(
        &self,
        cid: &Cid,
        block_cache: &BlockCache,
        cached_only: bool,
    ) -> Result<(), Problem> {
        let kept = self.keeps_blocks();
        if let Some(kept) = &kept
            && let Some(data) = kept.block(cid).await
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
        let watch = Self::watch(&pool);
        let mut fetch = fetch_block(&self.client, *cid, self.options(), pool, None, watch);
        let mut data = Vec::new();
        while let Some(piece) = fetch.next().await {
            match piece {
                Ok(piece) => data.extend_from_slice(&piece),
                Err(FetchError::NotFound { .. } | FetchError::NoGateways { .. }) => {
                    block_cache.put(*cid, None);
                    return Ok(());
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        if let Some(kept) = kept {
            // That it can't be kept is no reason not to show it.
            let _ = kept.keep_block(cid, &data).await;
        }
        block_cache.put(*cid, Some(data.into()));
        Ok(())
    }

    async fn serve(&self, answer: Answer, block_cache: Arc<BlockCache>) -> Result<Reply, Problem> {
        let (parts, body) = answer.into_parts();
        let length = body.length();
        let body = match body {
            gateway::Body::Empty => Body::Empty,
            gateway::Body::Whole(bytes) => Body::Whole(bytes),
            body => {
                let pieces = match body.file() {
                    Some((cid, range)) => self.file(cid, range, block_cache).await,
                    None => self.steps(body, block_cache),
                };
                Body::Stream(begun(pieces).await?, length)
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

    /// A file, or a part of it, by the engine.
    async fn file(
        &self,
        cid: Cid,
        range: std::ops::Range<u64>,
        block_cache: Arc<BlockCache>,
    ) -> Problems {
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
        let local = Local {
            block_cache,
            kept: self.keeps_blocks(),
        };
        let pool = self.pool().await;
        let watch = Self::watch(&pool);
        let url = IpfsUrl::new(cid);
        fetch_ipfs(
            &self.client,
            &url,
            options,
            pool,
            Some(Rc::new(local)),
            watch,
        )
        .map(|piece| piece.map_err(|error| unavailable(&error)))
        .boxed_local()
    }

    /// A CAR or a listing, step by step.
    fn steps(&self, body: gateway::Body, block_cache: Arc<BlockCache>) -> Problems {
        let feed = Feed::new(body.as_car());
        let state = (self.clone(), body, feed, block_cache);
        unfold(
            state,
            |(task, mut body, mut feed, block_cache)| async move {
                loop {
                    let piece = match body.next()? {
                        Ok(bytes) => Ok(bytes),
                        Err(Stop::Pending(cid)) => {
                            if feed.bring(&task, &cid, &block_cache).await {
                                continue;
                            }
                            match task.find(&cid, &block_cache, false).await {
                                Ok(()) => continue,
                                Err(problem) => Err(problem),
                            }
                        }
                        Err(Stop::Refused(refusal)) => Err(Problem::new(
                            StatusCode::BAD_GATEWAY,
                            "This is incomplete",
                            refusal.to_string(),
                        )),
                    };
                    return Some((piece, (task, body, feed, block_cache)));
                }
            },
        )
        .boxed_local()
    }
}

type Problems = futures_util::stream::LocalBoxStream<'static, Result<Bytes, Problem>>;

/// The pieces, once the first is here: what can't begin is a problem that can still be told.
async fn begun(mut pieces: Problems) -> Result<Pieces, Problem> {
    let first = pieces.next().await.transpose()?;
    let rest = pieces.map(|piece| piece.map_err(|problem| problem.detail));
    Ok(match first {
        Some(first) => once(async { Ok(first) }).chain(rest).boxed_local(),
        None => rest.boxed_local(),
    })
}

fn closed(cid: &Cid) -> Problem {
    let detail = format!("{cid} is not named by a narinfo that this cache has verified.");
    Problem::new(StatusCode::FORBIDDEN, "This is no open gateway", detail)
}

fn unavailable(error: &FetchError) -> Problem {
    let status = match error {
        FetchError::NotFound { .. } | FetchError::NoGateways { .. } => StatusCode::NOT_FOUND,
        FetchError::NoRequestsLeft { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    let why = match error {
        FetchError::Unavailable {
            last: Some(fault), ..
        } => format!("{error}: {fault}"),
        error => error.to_string(),
    };
    Problem::new(status, "No gateway gives it", why)
}
