//! The state of a fetch and its main loop: return what is ready, use stored blocks, then request
//! what is missing.

use super::arrivals::Arrivals;
use super::clock::FetchClock;
use super::early::{EarlyBlocks, SeenBlocks};
use super::gateway_states::GatewayStates;
use super::plain_file::PlainFile;
use super::request::{Request, Requests, ResponseBody};
use super::target::Target;
use super::tree_walk::TreePiece;
use super::wanted::{LocalState, Wanted};
use super::{Action, Event, Fault, FetchError, GatewayPool, Options, RequestId, Summary};
use crate::cid::{Cid, IpfsUrl, MAX_BLOCK};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Maximum number of blocks in the read-ahead window.
const MAX_READ_AHEAD: usize = 256;
/// Maximum number of parallel lookups in the local store.
const MAX_LOADS: usize = 4;

/// Fetches one file, tree or block. See the [module](super).
#[derive(Debug)]
pub struct Fetcher {
    pub(super) options: Options,
    pub(super) target: Target,
    pub(super) wanted: Wanted,
    pub(super) arrivals: Arrivals,
    pub(super) early: EarlyBlocks,
    /// Blocks that were used.
    pub(super) used_blocks: SeenBlocks,
    pub(super) requests: Requests,
    pub(super) gateways: GatewayStates,
    pub(super) clock: FetchClock,
    pub(super) queue: VecDeque<Action>,
    pub(super) summary: Summary,
    /// Whether the set of wanted blocks may have changed.
    pub(super) dirty: bool,
    size_reported: bool,
    /// Number of lookups in the local store that have no result yet.
    pub(super) loading: usize,
    /// Number of consecutive blocks that the local store had while a CAR was arriving.
    pub(super) local_hits: u32,
    /// Bytes of the largest block so far: the estimate for each further block.
    pub(super) largest: usize,
    /// Time in the driver's clock at which a gateway's back-off ends, if the fetch waits for it.
    pub(super) retry_ms: Option<u64>,
    /// The last fault of any gateway, in any request.
    pub(super) last_fault: Option<Fault>,
    next_id: u64,
    outcome: Option<Result<(), FetchError>>,
}

impl Fetcher {
    /// Makes a fetch of the file at `url`. Nothing happens until it is polled.
    #[must_use]
    pub fn new(url: &IpfsUrl, options: Options) -> Self {
        let target = Target::new(url, &options);
        Self::with(target, options)
    }

    /// Makes a fetch of the directory at `url` with everything below it, or of a file. Each
    /// [`Action::Entry`] of a file is followed by the content of that file. A range in the options
    /// is ignored.
    #[must_use]
    pub fn tree(url: &IpfsUrl, options: Options) -> Self {
        let target = Target::tree(url, &options);
        Self::with(target, options)
    }

    /// Makes a fetch of the list of entries in the directory at `url` and below it: an
    /// [`Action::Entry`] for each entry, in no particular order, and no content.
    #[must_use]
    pub fn outline(url: &IpfsUrl, options: Options) -> Self {
        let target = Target::outline(url, &options);
        Self::with(target, options)
    }

    /// Makes a fetch of one block, of any codec. The block's bytes are the content.
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
            early: EarlyBlocks::new(options.max_buffer >> 1),
            used_blocks: SeenBlocks::default(),
            requests: Requests::default(),
            gateways: GatewayStates::default(),
            clock: FetchClock::default(),
            queue: VecDeque::new(),
            summary: Summary::default(),
            dirty: true,
            last_fault: None,
            size_reported: false,
            loading: 0,
            local_hits: 0,
            largest: 256 << 10,
            retry_ms: None,
            next_id: 0,
            outcome: None,
            options,
        }
    }

    /// Returns what the driver should do next, at `now_ms` of any clock that doesn't run backwards.
    /// Poll until it returns [`Action::Wait`]; then wait for a result or the given time, report the
    /// result, and poll again. After the end, every further poll returns the outcome again.
    pub fn poll(&mut self, pool: &mut GatewayPool, now_ms: u64) -> Action {
        self.clock.tick(now_ms);
        self.gateways.extend_to(pool.len());
        let action = self.next_action(pool);
        self.clock
            .set_waiting(matches!(action, Action::Wait { .. }));
        action
    }

    fn next_action(&mut self, pool: &mut GatewayPool) -> Action {
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
            match self.target.next() {
                Ok(Some(piece)) => return self.deliver(piece),
                Ok(None) => {}
                Err(error) => {
                    self.conclude(Err(error.into()));
                    continue;
                }
            }
            if let Err(error) = self.advance(pool) {
                self.conclude(Err(error));
            }
            if self.queue.is_empty() && !self.has_content() && self.outcome.is_none() {
                let until_ms = self.deadline(pool);
                return Action::Wait { until_ms };
            }
        }
    }

    fn deliver(&mut self, piece: TreePiece) -> Action {
        // The walk of a tree continues while its pieces are taken.
        self.dirty |= self.target.is_tree();
        match piece {
            TreePiece::Entry(entry) => Action::Entry(entry),
            TreePiece::Content(content) => {
                let bytes = content.len() as u64;
                self.summary.bytes = self.summary.bytes.saturating_add(bytes);
                Action::Content(content)
            }
        }
    }

    fn advance(&mut self, pool: &mut GatewayPool) -> Result<(), FetchError> {
        self.refresh()?;
        if self.target.is_done() {
            self.credit_open_requests(pool);
            self.conclude(Ok(()));
            return Ok(());
        }
        self.load();
        if self.has_content() {
            // The driver must take the content first: until then the buffers look fuller than they
            // are.
            return Ok(());
        }
        self.cut_waiting(pool)?;
        self.check_timers(pool);
        self.plan(pool)
    }

    /// Ends the fetch with this outcome.
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

    /// Counts requests that are still open at a successful end as clean, as far as they got.
    fn credit_open_requests(&mut self, pool: &mut GatewayPool) {
        let at_ms = self.clock.counted_ms();
        for request in self.requests.values().filter(|request| request.used > 0) {
            pool.finished(request.gateway, request.bytes, request.transfer_ms(at_ms));
        }
    }

    fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        summary.gateways = self.gateways.uses();
        summary
    }

    /// Updates the set of wanted blocks, and uses early blocks that are wanted now.
    pub(super) fn refresh(&mut self) -> Result<(), FetchError> {
        while self.dirty {
            self.dirty = false;
            if let Some(cid) = self.target.settle()? {
                self.queue.push_back(Action::Event(Event::Resolved { cid }));
            }
            let start = if self.options.local {
                LocalState::NotLookedUp
            } else {
                LocalState::Missing
            };
            self.wanted
                .sync(self.target.wants(self.options.read_ahead)?, start);
            self.report_size();
            let early = &mut self.early;
            let found = self.wanted.order().iter().filter_map(|cid| early.take(cid));
            for (block, gateway) in found.collect::<Vec<_>>() {
                self.accept(block, super::Origin::Gateway(gateway))?;
            }
        }
        Ok(())
    }

    fn report_size(&mut self) {
        if let (false, Some(bytes)) = (self.size_reported, self.target.size()) {
            self.size_reported = true;
            self.queue.push_back(Action::Event(Event::Size { bytes }));
        }
    }

    /// Looks for the next wanted blocks in the local store.
    fn load(&mut self) {
        let mut asked = Vec::new();
        for cid in self.wanted.in_state(LocalState::NotLookedUp) {
            let more = self.loading.saturating_add(asked.len());
            let first = self.wanted.first() == Some(cid);
            if more >= MAX_LOADS || !(first || self.has_room(more.saturating_add(1))) {
                break;
            }
            asked.push(*cid);
        }
        for cid in asked {
            self.wanted.set_local(&cid, LocalState::LookingUp);
            self.loading = self.loading.saturating_add(1);
            self.queue.push_back(Action::Load(cid));
        }
    }

    /// Bytes of blocks that the engine holds.
    pub(super) fn held(&self) -> usize {
        let bytes = self.target.buffered();
        let plains = self.requests.values().filter_map(Request::plain);
        usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(plains.map(PlainFile::held).sum())
            .saturating_add(self.early.bytes())
            .saturating_add(self.arrivals.bytes())
    }

    /// Whether the buffer has room for so many more blocks.
    pub(super) fn has_room(&self, blocks: usize) -> bool {
        self.held()
            .saturating_add(blocks.saturating_mul(self.largest))
            <= self.options.max_buffer
    }

    /// Whether content is ready for the driver.
    pub(super) fn has_content(&self) -> bool {
        self.target.has_next()
    }

    /// Number of requests that were made so far.
    #[must_use]
    pub fn requests_made(&self) -> u64 {
        self.next_id
    }

    pub(super) fn new_id(&mut self) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        id
    }

    /// Whether the driver should keep reading this answer. Returns false if the read-ahead buffer
    /// is full, and for requests that have ended. A driver that obeys it never makes the engine
    /// drop a block.
    #[must_use]
    pub fn wants_data(&self, id: RequestId) -> bool {
        let Some(request) = self.requests.get(&id).filter(|open| open.end.is_none()) else {
            return false;
        };
        // Bytes of a file beyond the known part of the DAG can't be cut into blocks yet.
        if request.plain().is_some_and(PlainFile::waits_for_node) {
            return false;
        }
        !request.is_stream() || self.held().saturating_add(MAX_BLOCK) <= self.options.max_buffer
    }

    /// How many bytes of this answer the driver should collect before it passes them on, if they
    /// arrive quickly: about `most`, up to the end of a block. Then no block has to be joined from
    /// two pieces.
    #[must_use]
    pub fn best_read(&self, id: RequestId, most: usize) -> usize {
        let plain = self.requests.get(&id).and_then(Request::plain);
        plain
            .and_then(|plain| plain.best_read(most))
            .unwrap_or(most)
    }

    /// Whether this block was received and waits for its hash, or an open stream may still deliver
    /// it.
    pub(super) fn may_arrive(&self, cid: &Cid) -> bool {
        if self.arrivals.contains(cid) {
            return true;
        }
        self.requests.iter().any(|(id, request)| {
            let ahead = match &request.body {
                ResponseBody::Car(car) => !car.has_passed(cid),
                ResponseBody::PlainFile(plain) => self.may_arrive_in_file(plain, cid),
                ResponseBody::Raw(_) => false,
            };
            ahead && (self.arrivals.has_request(*id) || self.wants_data(*id))
        })
    }
}
