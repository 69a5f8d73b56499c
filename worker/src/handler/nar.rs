//! NARs: tries one source after the other, and checks the bytes, until the NAR is complete and
//! correct.
//!
//! The answer starts with the first byte that the checker releases. A failure before that is a 502.
//! A failure after that is an error of the stream, and the client sees an incomplete answer.
//!
//! If a NAR is malformed though its hash is the signed one, no source is wrong and none can repair
//! it. The isolate remembers that, and asks no source for it again.

use super::gateways::warn;
use super::narinfo::unreachable_upstreams;
use super::{Task, allow_pages, empty_reply, not_found};
use crate::address::may_contact;
use crate::block_cache::BlockCache;
use crate::page::Problem;
use crate::reply::{Reply, ReplyBody};
use crate::runtime_cache::{RequestBlocks, cache_key};
use crate::stream::ByteStream;
use bytes::Bytes;
use futures_util::stream::{LocalBoxStream, StreamExt as _, once, unfold};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use interplanar_core::cid::IpfsUrl;
use interplanar_core::decompress::{Decoder, DecompressError};
use interplanar_core::fetch::{FetchError, Options};
use interplanar_core::install::checker::{Checker, Stop};
use interplanar_core::install::{
    self, Answer, Attempt, BAD_FOR, BAD_HTTP_FOR, Known, Next, Pace, Place, Source, Trial,
    max_file_size, parse_nar_name,
};
use interplanar_core::narinfo::Compression;
use interplanar_wasm::driver::{OpenedResponse, fetch_ipfs, now_ms, open};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The media type of a NAR.
const NAR: &str = "application/x-nix-archive";
/// Largest window of a decoder in bytes (docs/design.md, WebAssembly).
const MAX_WINDOW: u64 = 8 << 20;

type SourceEnd = Attempt<DecompressError>;

impl Task {
    pub(super) async fn nar(&self, name: &str, head: bool) -> Result<Reply, Problem> {
        let (hash_part, nar_hash) = parse_nar_name(name).ok_or_else(|| not_found(name))?;
        let known = match self.lookup(hash_part).await.0 {
            Answer::Found(known) if known.signed.nar_hash() == nar_hash => known,
            Answer::Found(_) | Answer::Absent => return Err(not_found(name)),
            Answer::Unreachable => return Err(unreachable_upstreams()),
        };
        let size = known.signed.nar_size();
        let mut reply = empty_reply(http::HeaderMap::new())
            .with(CONTENT_TYPE, NAR)
            // The name contains the hash.
            .with(CACHE_CONTROL, "public, max-age=31536000, immutable");
        allow_pages(&mut reply.headers);
        if head {
            // A HEAD request needs no source: the narinfo has the length.
            return Ok(reply.with(CONTENT_LENGTH, size));
        }
        reply.body = ReplyBody::Stream(self.open_nar(known).await?, Some(size));
        Ok(reply)
    }

    /// Opens the uncompressed NAR. The stream is complete only if the NAR is correct. Fails if no
    /// source supplies its first byte.
    pub(super) async fn open_nar(&self, known: Arc<Known>) -> Result<ByteStream, Problem> {
        let size = known.signed.nar_size();
        let keep = size <= self.config().keep_nar;
        let url = cache_key("nar", known.signed.nar_hash());
        let cached = match keep {
            true => self.runtime_cache.nar(&url).await,
            false => None,
        };
        let copy = keep && cached.is_none();
        let delivery = NarDelivery::new(self.clone(), known, cached.map(|nar| (url.clone(), nar)));
        let mut chunks = unfold(delivery, |mut delivery| async move {
            let chunk = delivery.next().await?;
            Some((chunk, delivery))
        })
        .boxed_local();
        if copy {
            chunks = self.runtime_cache.store_nar(url, size, chunks);
        }
        match chunks.next().await {
            Some(Ok(first)) => Ok(once(async { Ok(first) }).chain(chunks).boxed_local()),
            None => Ok(chunks),
            Some(Err(detail)) => Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "No source has this item",
                detail,
            )),
        }
    }
}

/// The delivery of one NAR.
struct NarDelivery {
    task: Task,
    known: Arc<Known>,
    sources: VecDeque<Source>,
    /// The body of the first source, if that is the runtime's cache.
    cached: Option<OpenedResponse>,
    checker: Checker<Decoder, VecDeque<Bytes>>,
    trial: Trial,
    current: Option<OpenSource>,
    ended: Option<Result<(), String>>,
    /// Texts that say why sources failed.
    failures: Vec<String>,
}

/// The source that is being read.
struct OpenSource {
    source: Source,
    stream: LocalBoxStream<'static, Result<Bytes, FeedError>>,
    input: Bytes,
    sent_before: u64,
    left: u64,
    pace: Pace,
    /// Whether its end was read.
    ended: bool,
}

/// Why a source sends no more bytes.
enum FeedError {
    /// It failed. The next attempt may succeed.
    Failed(String),
    /// It can't have the NAR, now or later.
    Unfit(String),
}

impl NarDelivery {
    fn new(task: Task, known: Arc<Known>, cached: Option<(String, OpenedResponse)>) -> Self {
        let now_ms = js_sys::Date::now();
        let bad = task.state.bad_sources.borrow();
        let is_bad = |name: &str| bad.get(&bad_key(&known, name), now_ms).is_some();
        let is_malformed = bad.get(&malformed_key(&known), now_ms).is_some();
        let allow_private = task.config().allow_private;
        let named = install::sources(&known, |_| false, is_bad)
            .into_iter()
            .filter(|source| match &source.place {
                Place::Ipfs(_) => true,
                // No signature covers the URLs in a narinfo.
                Place::Http(url) => may_contact(url, allow_private),
            });
        let (url, cached) = cached.unzip();
        let sources = url.map(plain).into_iter().chain(named);
        let sources = sources.filter(|_| !is_malformed).collect();
        drop(bad);
        let failures = is_malformed.then(|| "The signed NAR is malformed.".to_owned());
        let (hash, size) = (known.signed.nar_hash(), known.signed.nar_size());
        Self {
            checker: Checker::new(hash, size, MAX_WINDOW, VecDeque::new()),
            task,
            known,
            sources,
            cached,
            trial: Trial::default(),
            current: None,
            ended: None,
            failures: failures.into_iter().collect(),
        }
    }

    /// Returns the next checked chunk.
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            if let Some(chunk) = self.checker.sink().pop_front() {
                return Some(Ok(chunk));
            }
            match self.ended.take() {
                Some(Ok(())) => {
                    self.ended = Some(Ok(()));
                    return None;
                }
                // The error is returned once, and then the stream ends.
                Some(Err(error)) => {
                    self.ended = Some(Ok(()));
                    return Some(Err(error));
                }
                None => {}
            }
            let end = match self.current.take() {
                Some(current) => self.step(current).await,
                None => self.open_next(),
            };
            if let Some((source, sent_before, end)) = end {
                self.conclude(source, sent_before, end);
            }
        }
    }

    /// Opens the next source. Returns its end if it failed at once.
    fn open_next(&mut self) -> Option<(Source, u64, SourceEnd)> {
        let Some(source) = self.sources.pop_front() else {
            let reason = match self.failures.is_empty() {
                true => "The narinfo has no entry that this worker can use.".to_owned(),
                false => self.failures.join("; "),
            };
            self.ended = Some(Err(reason));
            return None;
        };
        let sent_before = self.checker.sent();
        if let Err(stop) = self.checker.begin(source.compression) {
            return Some((source, sent_before, Attempt::Stopped(stop)));
        }
        let size = self.known.signed.nar_size();
        let stream = match &source.place {
            Place::Ipfs(url) => self.task.open_ipfs(url, size),
            Place::Http(url) => match self.cached.take() {
                Some(cached) => body(Ok(cached)),
                None => self.task.open_http(url.clone()),
            },
        };
        self.current = Some(OpenSource {
            source,
            stream,
            input: Bytes::new(),
            sent_before,
            left: max_file_size(size),
            pace: Pace::default(),
            ended: false,
        });
        None
    }

    /// Does one step with the open source. Returns its end if it has ended.
    async fn step(&mut self, mut current: OpenSource) -> Option<(Source, u64, SourceEnd)> {
        let stepped = if current.ended {
            match self.checker.end_step() {
                Ok(true) => Some(Attempt::Complete),
                Ok(false) => None,
                Err(stop) => Some(Attempt::Stopped(stop)),
            }
        } else if current.input.is_empty() {
            match current.read().await {
                Ok(()) => None,
                Err(FeedError::Failed(reason)) => {
                    self.log_failure(&current.source, &reason);
                    Some(Attempt::Interrupted)
                }
                Err(FeedError::Unfit(reason)) => {
                    self.log_failure(&current.source, &reason);
                    Some(Attempt::Unfit)
                }
            }
        } else {
            let stepped = self.checker.step(&mut current.input);
            stepped.err().map(Attempt::Stopped)
        };
        match stepped {
            Some(end) => Some((current.source, current.sent_before, end)),
            None => {
                self.current = Some(current);
                None
            }
        }
    }

    /// Handles the end of a source.
    fn conclude(&mut self, source: Source, sent_before: u64, end: SourceEnd) {
        match &end {
            Attempt::Stopped(Stop::Wrong(fault)) => self.log_failure(&source, &fault.to_string()),
            Attempt::Stopped(Stop::TooLate) => {
                self.log_failure(&source, "an earlier source sent wrong data; try again");
            }
            Attempt::Stopped(Stop::Malformed(error)) => {
                let reason = format!("the NAR with the signed hash is malformed: {error}");
                self.log_failure(&source, &reason);
                self.remember_bad(malformed_key(&self.known), BAD_FOR);
            }
            Attempt::Complete
            | Attempt::Interrupted
            | Attempt::Unfit
            | Attempt::Stopped(Stop::Gone) => {}
        }
        let contributed = self.checker.sent() > sent_before;
        let (next, wrong) = self.trial.judge(source, contributed, &end);
        let cached = cache_key("nar", self.known.signed.nar_hash());
        for source in wrong {
            if source.name() == cached {
                // The next request stores a new copy.
                self.task.runtime_cache.delete(&cached);
                continue;
            }
            let ttl = match source.place {
                Place::Ipfs(_) => BAD_FOR,
                Place::Http(_) => BAD_HTTP_FOR,
            };
            self.remember_bad(bad_key(&self.known, &source.name()), ttl);
        }
        match next {
            Next::Complete => self.ended = Some(Ok(())),
            Next::Another => {}
            Next::GiveUp => self.ended = Some(Err(self.failures.join("; "))),
        }
    }

    fn remember_bad(&self, key: String, ttl: Duration) {
        let until_ms = js_sys::Date::now() + ttl.as_secs_f64() * 1000.0;
        let mut bad = self.task.state.bad_sources.borrow_mut();
        bad.put(key, (), until_ms);
    }

    fn log_failure(&mut self, source: &Source, reason: &str) {
        let text = format!("{}: {reason}", source.name());
        warn(&text);
        self.failures.push(text);
    }
}

impl OpenSource {
    /// Reads the next chunk, or the end.
    async fn read(&mut self) -> Result<(), FeedError> {
        let started_ms = now_ms();
        let chunk = match self.stream.next().await {
            None => {
                self.ended = true;
                return Ok(());
            }
            Some(chunk) => chunk?,
        };
        let waited_ms = (now_ms() - started_ms).max(0.0) as u64;
        if !self.pace.keeps(chunk.len(), waited_ms) {
            return Err(FeedError::Failed("too slow".to_owned()));
        }
        let left = self.left.checked_sub(chunk.len() as u64);
        let unfit = || FeedError::Unfit("longer than the NAR can be".to_owned());
        self.left = left.ok_or_else(unfit)?;
        self.input = chunk;
        Ok(())
    }
}

impl Task {
    fn open_ipfs(
        &self,
        url: &IpfsUrl,
        size: u64,
    ) -> LocalBoxStream<'static, Result<Bytes, FeedError>> {
        let (task, url) = (self.clone(), url.clone());
        let opened = async move {
            let pool = task.pool().await;
            let options = Options {
                budget: install::budget(size),
                ..task.options()
            };
            let local = RequestBlocks {
                block_cache: Arc::new(BlockCache::default()),
                runtime_cache: task.block_store(),
            };
            let log = Task::log_faults(&pool);
            fetch_ipfs(
                &task.client,
                &url,
                options,
                pool,
                Some(std::rc::Rc::new(local)),
                log,
            )
            .map(|chunk| chunk.map_err(feed_error))
        };
        once(opened).flatten().boxed_local()
    }

    fn open_http(&self, url: String) -> LocalBoxStream<'static, Result<Bytes, FeedError>> {
        let task = self.clone();
        let opened = async move {
            match open(&task.client, &url, None).await {
                Err(error) => Err(error.to_string()),
                Ok(answer) if answer.status() == 200 => Ok(answer),
                Ok(answer) => Err(format!(
                    "the server answered with status {}",
                    answer.status()
                )),
            }
        };
        once(opened).flat_map(body).boxed_local()
    }
}

fn feed_error(error: FetchError) -> FeedError {
    match error.is_permanent() {
        true => FeedError::Unfit(error.to_string()),
        false => FeedError::Failed(error.to_string()),
    }
}

/// Converts a response to a stream of chunks, or to its error.
fn body(
    opened: Result<OpenedResponse, String>,
) -> LocalBoxStream<'static, Result<Bytes, FeedError>> {
    unfold(Some(opened), |state| async move {
        match state? {
            Err(error) => Some((Err(FeedError::Failed(error)), None)),
            Ok(mut answer) => match answer.next().await {
                Ok(None) => None,
                Ok(Some(chunk)) => Some((Ok(chunk), Some(Ok(answer)))),
                Err(error) => Some((Err(FeedError::Failed(error.to_string())), None)),
            },
        }
    })
    .boxed_local()
}

/// Creates a source for the uncompressed NAR.
fn plain(url: String) -> Source {
    Source {
        place: Place::Http(url),
        compression: Compression::None,
        file_size: None,
    }
}

fn bad_key(known: &Known, name: &str) -> String {
    format!("{} {name}", known.signed.nar_hash())
}

/// Returns the key of a NAR that is malformed although its hash was signed.
fn malformed_key(known: &Known) -> String {
    known.signed.nar_hash().to_string()
}
