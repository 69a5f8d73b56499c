//! NARs: source after source, through a checker, until one answer is complete and right.
//!
//! The head of the answer waits for the first byte that may leave: until then a failure is a clean 502; after it, a failure is an
//! error of the stream, and the client sees an incomplete answer.

use super::gateways::warn;
use super::narinfo::unreachable_upstreams;
use super::{Task, bare, not_found, shared_with_pages};
use crate::address::may_ask;
use crate::block_cache::BlockCache;
use crate::kept::{self, Local};
use crate::page::Problem;
use crate::reply::{Body, Reply};
use crate::stream::Pieces;
use bytes::Bytes;
use futures_util::stream::{LocalBoxStream, StreamExt as _, once, unfold};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use interplanar_core::cid::IpfsUrl;
use interplanar_core::decompress::{Decoder, DecompressError};
use interplanar_core::fetch::Options;
use interplanar_core::install::checker::{Checker, Stop};
use interplanar_core::install::{
    self, Answer, Attempt, BAD_FOR, BAD_HTTP_FOR, Known, Next, Pace, Place, Source, Trial,
    max_file_size, parse_nar_name,
};
use interplanar_core::narinfo::Compression;
use interplanar_wasm::driver::{Opened, fetch_ipfs, now_ms, open};
use std::collections::VecDeque;
use std::sync::Arc;

/// The media type of a NAR.
const NAR: &str = "application/x-nix-archive";
/// The largest window of a decoder, in bytes (design.md, for wasm).
const MAX_WINDOW: u64 = 8 << 20;

type End = Attempt<DecompressError>;

impl Task {
    pub(super) async fn nar(&self, name: &str, head: bool) -> Result<Reply, Problem> {
        let (hash_part, nar_hash) = parse_nar_name(name).ok_or_else(|| not_found(name))?;
        let known = match self.lookup(hash_part).await.0 {
            Answer::Found(known) if known.narinfo.nar_hash() == nar_hash => known,
            Answer::Found(_) | Answer::Absent => return Err(not_found(name)),
            Answer::Unreachable => return Err(unreachable_upstreams()),
        };
        let size = known.narinfo.nar_size();
        let mut reply = bare(http::HeaderMap::new())
            .with(CONTENT_TYPE, NAR)
            // Its name holds its hash.
            .with(CACHE_CONTROL, "public, max-age=31536000, immutable");
        shared_with_pages(&mut reply.headers);
        if head {
            // The sources are not bothered for a look at the length.
            return Ok(reply.with(CONTENT_LENGTH, size));
        }
        reply.body = Body::Stream(self.open_nar(known).await?, Some(size));
        Ok(reply)
    }

    /// The plain NAR, complete only if it is right; a problem where no source gives a byte that may leave.
    pub(super) async fn open_nar(&self, known: Arc<Known>) -> Result<Pieces, Problem> {
        let size = known.narinfo.nar_size();
        let keep = size <= self.config().keep_nar;
        let url = kept::url("nar", known.narinfo.nar_hash());
        let kept = match keep {
            true => self.kept.nar(&url).await,
            false => None,
        };
        let copy = keep && kept.is_none();
        let delivery = Delivery::new(self.clone(), known, kept.map(|nar| (url.clone(), nar)));
        let mut pieces = unfold(delivery, |mut delivery| async move {
            let piece = delivery.next().await?;
            Some((piece, delivery))
        })
        .boxed_local();
        if copy {
            pieces = self.kept.keep_nar(url, size, pieces);
        }
        match pieces.next().await {
            Some(Ok(first)) => Ok(once(async { Ok(first) }).chain(pieces).boxed_local()),
            None => Ok(pieces),
            Some(Err(detail)) => Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "No source gives this item",
                detail,
            )),
        }
    }
}

/// One NAR on its way.
struct Delivery {
    task: Task,
    known: Arc<Known>,
    sources: VecDeque<Source>,
    /// The body of the first source, where that is the cache.
    kept: Option<Opened>,
    checker: Checker<Decoder, VecDeque<Bytes>>,
    trial: Trial,
    current: Option<Current>,
    ended: Option<Result<(), String>>,
    /// Why sources were of no use, for people.
    said: Vec<String>,
}

/// The source that is read now.
struct Current {
    source: Source,
    stream: LocalBoxStream<'static, Result<Bytes, String>>,
    input: Bytes,
    sent_before: u64,
    left: u64,
    pace: Pace,
    /// All of it was read.
    over: bool,
}

impl Delivery {
    fn new(task: Task, known: Arc<Known>, kept: Option<(String, Opened)>) -> Self {
        let now_ms = js_sys::Date::now();
        let bad = task.shared.bad.borrow();
        let is_bad = |name: &str| bad.get(&bad_key(&known, name), now_ms).is_some();
        let allow_private = task.config().allow_private;
        let named = install::sources(&known, |_| false, is_bad)
            .into_iter()
            .filter(|source| match &source.place {
                Place::Ipfs(_) => true,
                // URLs of narinfos are signed by nobody.
                Place::Http(url) => may_ask(url, allow_private),
            });
        let (url, kept) = kept.unzip();
        let sources = url.map(plain).into_iter().chain(named).collect();
        drop(bad);
        let (hash, size) = (known.narinfo.nar_hash(), known.narinfo.nar_size());
        Self {
            checker: Checker::new(hash, size, MAX_WINDOW, VecDeque::new()),
            task,
            known,
            sources,
            kept,
            trial: Trial::default(),
            current: None,
            ended: None,
            said: Vec::new(),
        }
    }

    /// The next piece that may leave.
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            if let Some(piece) = self.checker.sink().pop_front() {
                return Some(Ok(piece));
            }
            match self.ended.take() {
                Some(Ok(())) => {
                    self.ended = Some(Ok(()));
                    return None;
                }
                // Said once; after it the stream is over.
                Some(Err(error)) => {
                    self.ended = Some(Ok(()));
                    return Some(Err(error));
                }
                None => {}
            }
            let end = match self.current.take() {
                Some(current) => self.go_on(current).await,
                None => self.begin(),
            };
            if let Some((source, sent_before, end)) = end {
                self.conclude(source, sent_before, end);
            }
        }
    }

    /// Opens the next source.
    fn begin(&mut self) -> Option<(Source, u64, End)> {
        let Some(source) = self.sources.pop_front() else {
            let said = match self.said.is_empty() {
                true => "The narinfo names none that can be used here.".to_owned(),
                false => self.said.join("; "),
            };
            self.ended = Some(Err(said));
            return None;
        };
        let sent_before = self.checker.sent();
        if let Err(stop) = self.checker.begin(source.compression) {
            return Some((source, sent_before, Attempt::Stopped(stop)));
        }
        let size = self.known.narinfo.nar_size();
        let stream = match &source.place {
            Place::Ipfs(url) => self.task.open_ipfs(url, size),
            Place::Http(url) => match self.kept.take() {
                Some(kept) => body(Ok(kept)),
                None => self.task.open_http(url.clone()),
            },
        };
        self.current = Some(Current {
            source,
            stream,
            input: Bytes::new(),
            sent_before,
            left: max_file_size(size),
            pace: Pace::default(),
            over: false,
        });
        None
    }

    /// One step of the source that is read; what ended, if it did.
    async fn go_on(&mut self, mut current: Current) -> Option<(Source, u64, End)> {
        let stepped = if current.over {
            match self.checker.end_step() {
                Ok(true) => Some(Attempt::Complete),
                Ok(false) => None,
                Err(stop) => Some(Attempt::Stopped(stop)),
            }
        } else if current.input.is_empty() {
            match current.read().await {
                Ok(()) => None,
                Err(why) => {
                    self.say(&current.source, &why);
                    Some(Attempt::Interrupted)
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

    /// What follows from how a source ended.
    fn conclude(&mut self, source: Source, sent_before: u64, end: End) {
        match &end {
            Attempt::Stopped(Stop::Wrong(fault)) => self.say(&source, &fault.to_string()),
            Attempt::Stopped(Stop::TooLate) => {
                self.say(&source, "an earlier source was wrong; ask again");
            }
            Attempt::Complete | Attempt::Interrupted | Attempt::Stopped(Stop::Gone) => {}
        }
        let contributed = self.checker.sent() > sent_before;
        let (next, wrong) = self.trial.judge(source, contributed, &end);
        let now_ms = js_sys::Date::now();
        let kept = kept::url("nar", self.known.narinfo.nar_hash());
        for source in wrong {
            if source.name() == kept {
                // The next request finds another in its place.
                self.task.kept.forget(&kept);
                continue;
            }
            let ttl = match source.place {
                Place::Ipfs(_) => BAD_FOR,
                Place::Http(_) => BAD_HTTP_FOR,
            };
            let key = bad_key(&self.known, &source.name());
            let until_ms = now_ms + ttl.as_secs_f64() * 1000.0;
            self.task.shared.bad.borrow_mut().put(key, (), until_ms);
        }
        match next {
            Next::Complete => self.ended = Some(Ok(())),
            Next::Another => {}
            Next::GiveUp => self.ended = Some(Err(self.said.join("; "))),
        }
    }

    fn say(&mut self, source: &Source, why: &str) {
        let text = format!("{}: {why}", source.name());
        warn(&text);
        self.said.push(text);
    }
}

impl Current {
    /// Reads the next piece, or finds that there is none.
    async fn read(&mut self) -> Result<(), String> {
        let begun = now_ms();
        let piece = match self.stream.next().await {
            None => {
                self.over = true;
                return Ok(());
            }
            Some(piece) => piece?,
        };
        let waited_ms = (now_ms() - begun).max(0.0) as u64;
        if !self.pace.keeps(piece.len(), waited_ms) {
            return Err("too slow".to_owned());
        }
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or("longer than its NAR could be")?;
        self.input = piece;
        Ok(())
    }
}

impl Task {
    fn open_ipfs(
        &self,
        url: &IpfsUrl,
        size: u64,
    ) -> LocalBoxStream<'static, Result<Bytes, String>> {
        let (task, url) = (self.clone(), url.clone());
        let opened = async move {
            let pool = task.pool().await;
            let options = Options {
                budget: install::budget(size),
                ..task.options()
            };
            let local = Local {
                block_cache: Arc::new(BlockCache::default()),
                kept: task.keeps_blocks(),
            };
            let watch = Task::watch(&pool);
            fetch_ipfs(
                &task.client,
                &url,
                options,
                pool,
                Some(std::rc::Rc::new(local)),
                watch,
            )
            .map(|piece| piece.map_err(|error| error.to_string()))
        };
        once(opened).flatten().boxed_local()
    }

    fn open_http(&self, url: String) -> LocalBoxStream<'static, Result<Bytes, String>> {
        let task = self.clone();
        let opened = async move {
            match open(&task.client, &url, None).await {
                Err(error) => Err(error.to_string()),
                Ok(answer) if answer.status() == 200 => Ok(answer),
                Ok(answer) => Err(format!("the server answers {}", answer.status())),
            }
        };
        once(opened).flat_map(body).boxed_local()
    }
}

/// The pieces of an answer, or why there is none.
fn body(opened: Result<Opened, String>) -> LocalBoxStream<'static, Result<Bytes, String>> {
    unfold(Some(opened), |state| async move {
        match state? {
            Err(error) => Some((Err(error), None)),
            Ok(mut answer) => match answer.next().await {
                Ok(None) => None,
                Ok(Some(piece)) => Some((Ok(piece), Some(Ok(answer)))),
                Err(error) => Some((Err(error.to_string()), None)),
            },
        }
    })
    .boxed_local()
}

/// A source that is the NAR itself.
fn plain(url: String) -> Source {
    Source {
        place: Place::Http(url),
        compression: Compression::None,
        file_size: None,
    }
}

fn bad_key(known: &Known, name: &str) -> String {
    format!("{} {name}", known.narinfo.nar_hash())
}
