//! The engine's state, and its turn: hand out what is ready, take what is stored, then ask for what is missing.

use super::arrivals::Arrivals;
use super::clock::Clock;
use super::early::{Early, Seen};
use super::peers::Peers;
use super::plain::Plain;
use super::request::{Body, Request, Requests};
use super::target::Target;
use super::tree::TreePiece;
use super::wanted::{Local, Wanted};
use super::{Action, Event, Fault, FetchError, GatewayPool, Options, RequestId, Summary};
use crate::cid::{Cid, IpfsUrl, MAX_BLOCK};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Most blocks in the window that is looked for ahead.
const MAX_READ_AHEAD: usize = 256;
/// Most lookups in the local store at the same time.
const MAX_LOADS: usize = 4;

/// Fetches one file. See the [module](super).
#[derive(Debug)]
pub struct Fetcher {
    pub(super) options: Options,
    pub(super) target: Target,
    pub(super) wanted: Wanted,
    pub(super) arrivals: Arrivals,
    pub(super) early: Early,
    /// Which blocks were used.
    pub(super) got: Seen,
    pub(super) requests: Requests,
    pub(super) peers: Peers,
    pub(super) clock: Clock,
    pub(super) queue: VecDeque<Action>,
    pub(super) summary: Summary,
    /// What is next and not handed out.
    ready: VecDeque<TreePiece>,
    ready_bytes: u64,
    /// What is wanted may have changed.
    pub(super) dirty: bool,
    size_told: bool,
    /// Lookups in the local store under way.
    pub(super) loading: usize,
    /// Blocks in a row that the local store had while a CAR was coming.
    pub(super) hit_run: u32,
    /// The largest block so far, in bytes: what one more is thought to take.
    pub(super) largest: usize,
    /// When a gateway that is put aside may be asked again, in the driver's time.
    pub(super) retry_ms: Option<u64>,
    /// What a gateway did wrong last, whatever it was asked for.
    pub(super) last_fault: Option<Fault>,
    next_id: u64,
    outcome: Option<Result<(), FetchError>>,
}

impl Fetcher {
    /// A fetch of the file at `url`. Nothing happens until it is polled.
    #[must_use]
    pub fn new(url: &IpfsUrl, options: Options) -> Self {
        let target = Target::new(url, &options);
        Self::with(target, options)
    }

    /// A fetch of the directory at `url` with all that is below it, or of a file: each [`Action::Entry`] is followed by the content of that
    /// file. A range in the options has no meaning here.
    #[must_use]
    pub fn tree(url: &IpfsUrl, options: Options) -> Self {
        let target = Target::tree(url, &options);
        Self::with(target, options)
    }

    /// What is in the directory at `url` and below it: an [`Action::Entry`] for each entry, in no particular order, and no content.
    #[must_use]
    pub fn outline(url: &IpfsUrl, options: Options) -> Self {
        let target = Target::outline(url, &options);
        Self::with(target, options)
    }

    /// A fetch of one block, of any codec; its bytes are the content.
    #[must_use]
    pub fn block(cid: Cid, options: Options) -> Self {
        let target = Target::block(cid, &options);
        Self::with(target, options)
    }

    fn with(target: Target, mut options: Options) -> Self {
        options.read_ahead = options.read_ahead.clamp(1, MAX_READ_AHEAD);
        options.in_flight = options.in_flight.max(1);
        options.max_buffer = options.max_buffer.max(MAX_BLOCK.saturating_mul(2));
        Self {
            target,
            wanted: Wanted::default(),
            arrivals: Arrivals::default(),
            early: Early::new(options.max_buffer >> 1),
            got: Seen::default(),
            requests: Requests::default(),
            peers: Peers::default(),
            clock: Clock::default(),
            queue: VecDeque::new(),
            summary: Summary::default(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            dirty: true,
            last_fault: None,
            size_told: false,
            loading: 0,
            hit_run: 0,
            largest: 256 << 10,
            retry_ms: None,
            next_id: 0,
            outcome: None,
            options,
        }
    }

    /// What to do next, at `now_ms` of any clock that doesn't go back. Poll until it says [`Action::Wait`], then wait for an
    /// answer or the time, tell it of the answer, and poll again. After the end the outcome is given again and again.
    pub fn poll(&mut self, pool: &mut GatewayPool, now_ms: u64) -> Action {
        self.clock.tick(now_ms);
        self.peers.extend_to(pool.len());
        let action = self.turn(pool);
        self.clock.returns(matches!(action, Action::Wait { .. }));
        action
    }

    fn turn(&mut self, pool: &mut GatewayPool) -> Action {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return action;
            }
            if let Some(outcome) = &self.outcome {
                return match outcome {
                    Ok(()) => Action::Done(self.summary()),
                    Err(error) => Action::Failed(error.clone()),
                };
            }
            if let Some(piece) = self.ready.pop_front() {
                self.ready_bytes = self.ready_bytes.saturating_sub(piece.held());
                return match piece {
                    TreePiece::Entry(entry) => Action::Entry(entry),
                    TreePiece::Content(content) => {
                        let bytes = content.len() as u64;
                        self.summary.bytes = self.summary.bytes.saturating_add(bytes);
                        Action::Content(content)
                    }
                };
            }
            if let Err(error) = self.step(pool) {
                self.conclude(Err(error));
            }
            if self.queue.is_empty() && self.ready.is_empty() && self.outcome.is_none() {
                let until_ms = self.deadline(pool);
                return Action::Wait { until_ms };
            }
        }
    }

    fn step(&mut self, pool: &mut GatewayPool) -> Result<(), FetchError> {
        self.refresh()?;
        if self.target.is_done() {
            if self.ready.is_empty() {
                self.credit_the_rest(pool);
                self.conclude(Ok(()));
            }
            return Ok(());
        }
        self.load();
        if self.has_content() {
            // It goes out first: until then the buffers look fuller than they are.
            return Ok(());
        }
        self.cut_stuck(pool)?;
        self.check_timers(pool);
        self.plan(pool)
    }

    /// Ends the fetch.
    pub(super) fn conclude(&mut self, outcome: Result<(), FetchError>) {
        if self.outcome.is_some() {
            return;
        }
        let open = core::mem::take(&mut self.requests);
        self.queue.extend(open.keys().copied().map(Action::Cancel));
        self.arrivals.clear();
        self.early.clear();
        self.outcome = Some(outcome);
    }

    pub(super) fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    /// Requests that are still open at a good end did well, as far as they went.
    fn credit_the_rest(&mut self, pool: &mut GatewayPool) {
        let at_ms = self.clock.felt_ms();
        for request in self.requests.values().filter(|request| request.used > 0) {
            pool.finished(request.gateway, request.bytes, request.transfer_ms(at_ms));
        }
    }

    fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        summary.gateways = self.peers.uses();
        summary
    }

    /// Finds out what is wanted now, and takes what came early for it.
    pub(super) fn refresh(&mut self) -> Result<(), FetchError> {
        while self.dirty {
            self.dirty = false;
            if let Some(cid) = self.target.settle()? {
                self.queue.push_back(Action::Event(Event::Resolved { cid }));
            }
            let start = if self.options.local {
                Local::Unasked
            } else {
                Local::Missing
            };
            self.wanted
                .sync(self.target.wants(self.options.read_ahead)?, start);
            while let Some(piece) = self.target.next() {
                self.ready_bytes = self.ready_bytes.saturating_add(piece.held());
                self.ready.push_back(piece);
            }
            self.tell_size();
            let early = &mut self.early;
            let found = self.wanted.order().iter().filter_map(|cid| early.take(cid));
            for (block, gateway) in found.collect::<Vec<_>>() {
                self.accept(block, super::Origin::Gateway(gateway))?;
            }
        }
        Ok(())
    }

    fn tell_size(&mut self) {
        if let (false, Some(bytes)) = (self.size_told, self.target.size()) {
            self.size_told = true;
            self.queue.push_back(Action::Event(Event::Size { bytes }));
        }
    }

    /// Looks in the local store for what is wanted next.
    fn load(&mut self) {
        let mut asked = Vec::new();
        for cid in self.wanted.are(Local::Unasked) {
            let more = self.loading.saturating_add(asked.len());
            let first = self.wanted.first() == Some(cid);
            if more >= MAX_LOADS || !(first || self.has_room(more.saturating_add(1))) {
                break;
            }
            asked.push(*cid);
        }
        for cid in asked {
            self.wanted.set_local(&cid, Local::Asked);
            self.loading = self.loading.saturating_add(1);
            self.queue.push_back(Action::Load(cid));
        }
    }

    /// Bytes of verified blocks that are held.
    pub(super) fn held(&self) -> usize {
        let bytes = self.ready_bytes.saturating_add(self.target.buffered());
        let plains = self.requests.values().filter_map(Request::plain);
        usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(plains.map(Plain::held).sum())
            .saturating_add(self.early.bytes())
            .saturating_add(self.arrivals.bytes())
    }

    /// Whether so many more blocks may be asked for.
    pub(super) fn has_room(&self, blocks: usize) -> bool {
        self.held()
            .saturating_add(blocks.saturating_mul(self.largest))
            <= self.options.max_buffer
    }

    /// Whether content waits to be handed out.
    pub(super) fn has_content(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many requests were made so far.
    #[must_use]
    pub fn requests_made(&self) -> u64 {
        self.next_id
    }

    pub(super) fn new_id(&mut self) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        id
    }

    /// Whether to go on reading this answer: false while enough was read ahead, and for requests that are over. A driver that
    /// heeds it never makes the engine drop a block.
    #[must_use]
    pub fn wants_data(&self, id: RequestId) -> bool {
        let Some(request) = self.requests.get(&id).filter(|open| open.end.is_none()) else {
            return false;
        };
        // What a file's stream brings beyond what is known of the DAG could not be cut.
        if request.plain().is_some_and(Plain::is_stuck) {
            return false;
        }
        !request.is_stream() || self.held().saturating_add(MAX_BLOCK) <= self.options.max_buffer
    }

    /// How many bytes of this answer are best gathered before they are handed on, if they come quickly: about `most`, up to where a block
    /// ends. Then no block has to be put together of two pieces.
    #[must_use]
    pub fn best_read(&self, id: RequestId, most: usize) -> usize {
        let plain = self.requests.get(&id).and_then(Request::plain);
        plain
            .and_then(|plain| plain.best_read(most))
            .unwrap_or(most)
    }

    /// Whether this block has come and waits for its hash, or a stream under way may still bring it.
    pub(super) fn is_coming(&self, cid: &Cid) -> bool {
        if self.arrivals.brings(cid) {
            return true;
        }
        self.requests.iter().any(|(id, request)| {
            let ahead = match &request.body {
                Body::Car(car) => !car.has_passed(cid),
                Body::Plain(plain) => self.is_coming_plain(plain, cid),
                Body::Raw(_) => false,
            };
            ahead && (self.arrivals.has(*id) || self.wants_data(*id))
        })
    }
}
