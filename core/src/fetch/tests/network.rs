//! A network of scripted gateways, and a driver that runs a fetch over it in simulated time.

use super::super::*;
use crate::block::Block;
use crate::car;
use crate::cid::{Cid, IpfsUrl};
use crate::hash::Sha256;
use crate::unixfs::{Budget, Builder, Built, Profile, Resolver, Walker};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use std::sync::LazyLock;

pub(super) type Blocks = BTreeMap<Cid, Bytes>;

const CAR_TYPE: &str = "application/vnd.ipld.car; version=1";
const FILE_TYPE: &str = "application/octet-stream";
const RAW_TYPE: &str = "application/vnd.ipld.raw";

/// Behaviour of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Script {
    Honest,
    /// One bit of every block is wrong, from this block of an answer on.
    CorruptFrom(usize),
    /// The body ends after so many bytes, as if it were complete.
    EndAfter(usize),
    /// The connection breaks after so many bytes.
    BreakAfter(usize),
    /// Nothing arrives after so many bytes.
    HangAfter(usize),
    /// No answer arrives.
    Hang,
    /// The answer is an HTML page with status 200.
    Html,
    /// The answer is an HTML page with the content type of the requested data.
    HtmlInDisguise,
    /// The rate is so many bytes per second.
    Rate(usize),
    /// The answer has an endless number of blocks that were not requested.
    Flood,
    /// The sections of a CAR are longer than any block.
    Oversize,
    /// Every answer has this status.
    Status(u16),
    /// Answers to CAR requests have this status.
    NoCar(u16),
    /// Answers to file requests have this status.
    NoFiles(u16),
    /// The answer is the whole file whatever range was requested.
    NoRanges,
    NoConnection,
    /// The last block comes first.
    Backwards,
    /// Every block comes twice.
    Twice,
    /// An unrelated block follows each block.
    WithUnrelated,
    /// The gateway ignores `entity-bytes`.
    IgnoresRange,
    /// The gateway lacks these blocks. A CAR ends before the first of them.
    Lacks(Vec<Cid>),
}

#[derive(Debug)]
enum ScriptedInput {
    Response(u16, &'static str),
    Data(Bytes),
    End,
    Failed(Failure),
}

pub(super) struct Network {
    pub(super) blocks: Blocks,
    pub(super) scripts: Vec<Script>,
    pub(super) local: Blocks,
    /// Bytes of each piece of a body.
    pub(super) piece: usize,
    /// Milliseconds that the consumer takes for each piece of content.
    pub(super) consumer_ms: u64,
    /// Seed of a random part of every delay; 0 means none.
    pub(super) seed: u64,
    /// Milliseconds between a request and the head of its answer.
    pub(super) latency_ms: u64,
}

pub(super) struct Outcome {
    pub(super) content: Vec<u8>,
    /// Each entry of a tree, and the offset of its content.
    pub(super) entries: Vec<(TreeEntry, usize)>,
    pub(super) events: Vec<Event>,
    /// Gateway, URL and kind of each request.
    pub(super) requests: Vec<(usize, String, RequestKind)>,
    pub(super) loads: usize,
    pub(super) stored: Vec<Block>,
    pub(super) result: Result<Summary, FetchError>,
    pub(super) took_ms: u64,
    pub(super) most_open: usize,
    pub(super) most_held: usize,
}

impl Outcome {
    pub(super) fn faults(&self) -> Vec<(usize, Fault)> {
        let fault = |event: &Event| match event {
            Event::GatewayFault { gateway, fault } => Some((*gateway, *fault)),
            _ => None,
        };
        self.events.iter().filter_map(fault).collect()
    }

    pub(super) fn count(&self, kind: RequestKind) -> usize {
        self.requests
            .iter()
            .filter(|(_, _, asked)| *asked == kind)
            .count()
    }
}

/// Makes bytes without repetitions.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out: Vec<u8> = (0..len.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    out.truncate(len);
    out
}

pub(super) fn build(profile: Profile, content: &[u8], blocks: &mut Blocks) -> Built {
    let mut sink = |block: Block| {
        let (cid, data) = block.into_parts();
        blocks.insert(cid, data);
    };
    let mut builder = Builder::new(profile);
    builder.push(content, &mut sink);
    builder.finish(&mut sink)
}

impl Network {
    pub(super) fn new(blocks: Blocks, scripts: &[Script]) -> Self {
        let scripts = scripts.to_vec();
        Self {
            blocks,
            scripts,
            local: Blocks::new(),
            piece: 50_000,
            consumer_ms: 0,
            seed: 0,
            latency_ms: 20,
        }
    }

    pub(super) fn pool(&self) -> GatewayPool {
        let gateway = |(index, _)| Gateway {
            url: alloc::format!("http://gateway{index}.example"),
        };
        GatewayPool::new(
            self.scripts.iter().enumerate().map(gateway),
            Policy::default(),
        )
    }

    /// Fetches with a new pool. It then fetches again with the blocks hashed by the driver, and
    /// compares.
    pub(super) fn fetch(&self, url: &IpfsUrl, options: Options) -> Outcome {
        let outside = Options {
            hash_outside: 1000,
            ..options.clone()
        };
        let outside = self.fetch_with(url, outside, &mut self.pool(), 1_000_000);
        let outcome = self.fetch_with(url, options, &mut self.pool(), 1_000_000);
        assert_eq!(outside.result.is_ok(), outcome.result.is_ok());
        // How far a failing fetch gets depends on the timing.
        let both = outside.content.len().min(outcome.content.len());
        assert!(outside.content[..both] == outcome.content[..both]);
        assert!(outside.result.is_err() || outside.content.len() == outcome.content.len());
        for (gateway, fault) in outside.faults() {
            let sends_wrong_data = matches!(self.scripts[gateway], Script::CorruptFrom(_));
            assert!(
                sends_wrong_data || !matches!(fault, Fault::WrongHash(_)),
                "{gateway}"
            );
        }
        outcome
    }

    pub(super) fn fetch_with(
        &self,
        url: &IpfsUrl,
        options: Options,
        pool: &mut GatewayPool,
        start: u64,
    ) -> Outcome {
        Simulation::new(self, start).run(Fetcher::new(url, options), pool)
    }

    /// Fetches a tree.
    pub(super) fn fetch_tree(&self, url: &IpfsUrl, options: Options) -> Outcome {
        Simulation::new(self, 1_000_000).run(Fetcher::tree(url, options), &mut self.pool())
    }

    /// Fetches an outline.
    pub(super) fn fetch_outline(&self, url: &IpfsUrl, options: Options) -> Outcome {
        Simulation::new(self, 1_000_000).run(Fetcher::outline(url, options), &mut self.pool())
    }

    /// Lists all blocks below a root, each before the blocks that it links to, each once.
    fn all(&self, root: Cid) -> Vec<Cid> {
        let (mut order, mut open) = (Vec::new(), Vec::from([root]));
        while let Some(cid) = open.pop() {
            if order.contains(&cid) {
                continue;
            }
            let Some(data) = self.blocks.get(&cid) else {
                return order;
            };
            order.push(cid);
            if cid.codec() == crate::cid::DAG_PB {
                let links = crate::dag_pb::Node::decode(data).unwrap().links;
                open.extend(links.iter().rev().map(|link| link.cid));
            }
        }
        order
    }

    /// Fetches one block.
    pub(super) fn fetch_block(&self, cid: Cid, options: Options) -> Outcome {
        Simulation::new(self, 1_000_000).run(Fetcher::block(cid, options), &mut self.pool())
    }

    /// Lists the blocks of a file in order, without repetitions.
    fn in_order(&self, url: &IpfsUrl, range: Option<(u64, Option<u64>)>) -> Vec<Cid> {
        let mut order = Vec::new();
        let mut resolver = Resolver::new(url.cid, url.path.clone(), Budget::default());
        while let Some(cid) = resolver.wants() {
            let Some(data) = self.blocks.get(&cid) else {
                return order;
            };
            order.push(cid);
            if resolver
                .push(Block::verify(cid, data.clone()).unwrap())
                .is_err()
            {
                return order;
            }
        }
        let (from, to) = range.unwrap_or((0, None));
        let root = resolver.resolved().unwrap().cid;
        let mut walker = Walker::with_range(root, from, to, Budget::default());
        while let Some(cid) = walker.wants(1).unwrap().first().copied() {
            let Some(data) = self.blocks.get(&cid) else {
                return order;
            };
            order.push(cid);
            if walker
                .push(Block::verify(cid, data.clone()).unwrap())
                .is_err()
            {
                return order;
            }
        }
        order
    }

    fn car(&self, script: &Script, url: &IpfsUrl, query: &str) -> Vec<u8> {
        let range = query
            .split('&')
            .find_map(|part| part.strip_prefix("entity-bytes="));
        let range = range
            .filter(|_| *script != Script::IgnoresRange)
            .map(|range| {
                let (from, to) = range.split_once(':').unwrap();
                (from.parse().unwrap(), to.parse().ok())
            });
        let mut order = if query.contains("dag-scope=all") {
            self.all(url.cid)
        } else {
            self.in_order(url, range)
        };
        if *script == Script::Backwards {
            order.reverse();
        }
        let mut out = car::header(&[url.cid]);
        for (index, cid) in order.iter().enumerate() {
            if matches!(script, Script::Lacks(lacks) if lacks.contains(cid)) {
                break;
            }
            let mut data = self.blocks[cid].to_vec();
            if matches!(script, Script::CorruptFrom(from) if index >= *from) {
                data.first_mut().into_iter().for_each(|byte| *byte ^= 1);
            }
            let section = [car::block_prefix(cid, data.len()), data].concat();
            out.extend(&section);
            match script {
                Script::Twice => out.extend(&section),
                Script::WithUnrelated => out.extend(unrelated_section(index)),
                _ => {}
            }
        }
        out
    }

    /// Returns the plain file, or a range of it.
    fn content(&self, script: &Script, url: &IpfsUrl, range: Option<ByteRange>) -> Vec<u8> {
        let mut walker = Walker::new(url.cid, Budget::default());
        let mut content = Vec::new();
        while let Some(cid) = walker.wants(1).unwrap().first().copied() {
            let block = Block::verify(cid, self.blocks[&cid].clone()).unwrap();
            walker.push(block).unwrap();
            while let Some(piece) = walker.next() {
                content.extend(piece);
            }
        }
        if matches!(script, Script::CorruptFrom(_)) {
            content
                .iter_mut()
                .step_by(100_000)
                .for_each(|byte| *byte ^= 1);
        }
        let Some(ByteRange { from, to: Some(to) }) = range.filter(|_| *script != Script::NoRanges)
        else {
            return content;
        };
        content[from as usize..=(to as usize).min(content.len() - 1)].to_vec()
    }

    /// Returns the inputs of an answer, each after a delay in milliseconds.
    fn answer(
        &self,
        gateway: usize,
        url: &str,
        range: Option<ByteRange>,
        kind: RequestKind,
    ) -> VecDeque<(u64, ScriptedInput)> {
        let script = &self.scripts[gateway];
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let place = IpfsUrl::parse_gateway(place).unwrap();
        let known = self.blocks.contains_key(&place.cid)
            && !matches!(script, Script::Lacks(lacks) if lacks.contains(&place.cid));
        match script {
            Script::NoConnection => {
                return VecDeque::from([(1, ScriptedInput::Failed(Failure::Connect))]);
            }
            Script::Hang => return VecDeque::new(),
            Script::Status(status) => return error(*status),
            Script::NoCar(status) if kind == RequestKind::Car => return error(*status),
            Script::NoFiles(status) if kind == RequestKind::File => return error(*status),
            Script::Html => return page("text/html; charset=utf-8"),
            Script::HtmlInDisguise if kind == RequestKind::Car => return page(CAR_TYPE),
            Script::HtmlInDisguise => return page(RAW_TYPE),
            _ if !known => return error(404),
            _ => {}
        }
        let mut rate = usize::MAX;
        let (media, mut body) = match kind {
            RequestKind::Car => (CAR_TYPE, self.car(script, &place, query)),
            RequestKind::Raw => {
                let mut data = self
                    .blocks
                    .get(&place.cid)
                    .map(|data| data.to_vec())
                    .unwrap_or_default();
                if matches!(script, Script::CorruptFrom(_)) {
                    data.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                }
                (RAW_TYPE, data)
            }
            RequestKind::File => (FILE_TYPE, self.content(script, &place, range)),
        };
        let status = match range {
            Some(_) if *script != Script::NoRanges => 206,
            _ => 200,
        };
        let mut last = Some(ScriptedInput::End);
        match script {
            Script::EndAfter(len) => body.truncate(*len),
            Script::BreakAfter(len) if *len < body.len() => {
                body.truncate(*len);
                last = Some(ScriptedInput::Failed(Failure::Io));
            }
            Script::HangAfter(len) if *len < body.len() => {
                body.truncate(*len);
                last = None;
            }
            Script::Rate(bytes) => {
                rate = *bytes;
                // As much as any fetch can wait for.
                body.truncate(rate.saturating_mul(1000));
            }
            Script::Flood => body = FLOOD.to_vec(),
            Script::Oversize => {
                body = [
                    car::header(&[]),
                    vec![0xff, 0xff, 0xff, 7],
                    vec![1; 3 << 20],
                ]
                .concat()
            }
            _ => {}
        }
        let mut inputs =
            VecDeque::from([(self.latency_ms, ScriptedInput::Response(status, media))]);
        let piece = self.piece.min(rate.div_ceil(4)).max(1);
        let per_piece_ms = if rate == usize::MAX {
            1
        } else {
            (piece * 1000 / rate) as u64
        };
        let body = Bytes::from(body);
        let pieces = (0..body.len())
            .step_by(piece)
            .map(|at| body.slice(at..body.len().min(at + piece)));
        inputs.extend(pieces.map(|piece| (per_piece_ms, ScriptedInput::Data(piece))));
        inputs.extend(last.map(|last| (1, last)));
        inputs
    }
}

/// A CAR of blocks that were not requested.
static FLOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sections = (0..20_000).flat_map(unrelated_section).collect();
    [car::header(&[]), sections].concat()
});

/// Makes a section with a valid block that belongs to no DAG.
fn unrelated_section(index: usize) -> Vec<u8> {
    let block = Block::raw(Bytes::from(alloc::format!(
        "unrelated {index} {}",
        "x".repeat(500)
    )));
    [
        car::block_prefix(block.cid(), block.data().len()),
        block.data().to_vec(),
    ]
    .concat()
}

fn error(status: u16) -> VecDeque<(u64, ScriptedInput)> {
    VecDeque::from([
        (5, ScriptedInput::Response(status, "text/plain")),
        (1, ScriptedInput::Data(Bytes::from_static(b"no"))),
        (1, ScriptedInput::End),
    ])
}

fn page(media: &'static str) -> VecDeque<(u64, ScriptedInput)> {
    let page = Bytes::from_static(
        b"<!DOCTYPE html><html><body>Welcome to our captive portal</body></html>",
    );
    VecDeque::from([
        (5, ScriptedInput::Response(200, media)),
        (1, ScriptedInput::Data(page)),
        (1, ScriptedInput::End),
    ])
}

struct Simulation<'a> {
    network: &'a Network,
    now: u64,
    seed: u64,
    open: BTreeMap<RequestId, (u64, VecDeque<(u64, ScriptedInput)>)>,
    /// Blocks that are being hashed, by the time at which each is done and a number.
    hashing: BTreeMap<(u64, usize), (HashTicket, Bytes)>,
    hashed: usize,
    outcome: Outcome,
}

impl<'a> Simulation<'a> {
    fn new(network: &'a Network, start: u64) -> Self {
        let outcome = Outcome {
            content: Vec::new(),
            events: Vec::new(),
            requests: Vec::new(),
            entries: Vec::new(),
            loads: 0,
            stored: Vec::new(),
            result: Err(FetchError::NoGateways {
                cid: Cid::default(),
            }),
            took_ms: start,
            most_open: 0,
            most_held: 0,
        };
        Self {
            network,
            now: start,
            seed: network.seed,
            open: BTreeMap::new(),
            hashing: BTreeMap::new(),
            hashed: 0,
            outcome,
        }
    }

    /// Returns a delay, varied by the seed.
    fn delay(&mut self, base: u64) -> u64 {
        if self.network.seed == 0 {
            return base;
        }
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        base + (self.seed >> 33) % 40
    }

    fn run(mut self, mut fetch: Fetcher, pool: &mut GatewayPool) -> Outcome {
        for _ in 0..2_000_000 {
            self.outcome.most_held = self.outcome.most_held.max(fetch.held());
            match fetch.poll(pool, self.now) {
                Action::Load(cid) => {
                    self.outcome.loads += 1;
                    fetch.loaded(&cid, self.network.local.get(&cid).cloned());
                }
                Action::Request {
                    id,
                    gateway,
                    url,
                    accept,
                    range,
                    kind,
                    ..
                } => {
                    let expected = match kind {
                        RequestKind::Car => ACCEPT_CAR,
                        RequestKind::Raw => ACCEPT_RAW,
                        RequestKind::File => ACCEPT_FILE,
                    };
                    assert_eq!(accept, expected);
                    assert!(range.is_none() || kind == RequestKind::File);
                    let inputs = self.network.answer(gateway, &url, range, kind);
                    let first = inputs.front().map_or(0, |(delay, _)| *delay);
                    let at = self.now + self.delay(first);
                    self.open.insert(id, (at, inputs));
                    self.outcome.most_open = self.outcome.most_open.max(self.open.len());
                    self.outcome.requests.push((gateway, url, kind));
                }
                Action::Cancel(id) => drop(self.open.remove(&id)),
                Action::Hash { ticket, data } => {
                    // Every other block takes long, so that digests arrive out of order.
                    self.hashed += 1;
                    let at = self.now + if self.hashed.is_multiple_of(2) { 1 } else { 5 };
                    self.hashing.insert((at, self.hashed), (ticket, data));
                }
                Action::Content(bytes) => {
                    self.outcome.content.extend(&bytes);
                    self.now += self.network.consumer_ms;
                }
                Action::Entry(entry) => {
                    let start = self.outcome.content.len();
                    self.outcome.entries.push((entry, start));
                }
                Action::Store(block) => self.outcome.stored.push(block),
                Action::Event(event) => self.outcome.events.push(event),
                Action::Wait { until_ms } => self.wait(&mut fetch, pool, until_ms),
                Action::Done(summary) => return self.finish(Ok(summary)),
                Action::Failed(error) => return self.finish(Err(error)),
            }
        }
        panic!("the fetch doesn't end");
    }

    fn finish(mut self, result: Result<Summary, FetchError>) -> Outcome {
        assert!(self.open.values().all(|(_, inputs)| inputs.is_empty()) || self.open.is_empty());
        self.outcome.result = result;
        self.outcome.took_ms = self.now - self.outcome.took_ms;
        self.outcome
    }

    /// Runs the next event: an input, a digest, or the end of the wait.
    fn wait(&mut self, fetch: &mut Fetcher, pool: &mut GatewayPool, until_ms: Option<u64>) {
        if let Some(until_ms) = until_ms {
            assert!(
                until_ms > self.now,
                "the fetch waits for a time in the past"
            );
        }
        let readable = |id: &RequestId, input: &ScriptedInput| match input {
            ScriptedInput::Data(_) => fetch.wants_data(*id),
            _ => true,
        };
        let next = self.open.iter().filter_map(|(id, (at, inputs))| {
            let (_, input) = inputs.front()?;
            readable(id, input).then_some((*at, *id))
        });
        let next = next.min();
        if let Some(first) = self.hashing.first_entry()
            && next.is_none_or(|(at, _)| first.key().0 <= at)
            && until_ms.is_none_or(|until| first.key().0 <= until)
        {
            self.now = self.now.max(first.key().0);
            let (ticket, data) = first.remove();
            return fetch.hashed(ticket, Sha256::of(&data), pool, self.now);
        }
        let Some((at, id)) = next.filter(|(at, _)| until_ms.is_none_or(|until| *at <= until))
        else {
            self.now = until_ms.expect("the fetch waits, but no event will follow");
            return;
        };
        self.now = self.now.max(at);
        let (_, inputs) = self.open.get_mut(&id).unwrap();
        let (_, input) = inputs.pop_front().unwrap();
        let following = inputs.front().map(|(delay, _)| *delay);
        match following {
            Some(delay) => {
                let at = self.now + self.delay(delay);
                self.open.get_mut(&id).unwrap().0 = at;
            }
            None if matches!(input, ScriptedInput::End | ScriptedInput::Failed(_)) => {
                drop(self.open.remove(&id))
            }
            None => {}
        }
        match input {
            ScriptedInput::Response(status, media) => {
                fetch.response(id, status, Some(media), pool, self.now)
            }
            ScriptedInput::Data(data) => fetch.data(id, data, pool, self.now),
            ScriptedInput::End => fetch.end(id, pool, self.now),
            ScriptedInput::Failed(failure) => fetch.failed(id, failure, pool, self.now),
        }
    }
}

/// Makes the URL of a root.
pub(super) fn url_of(cid: Cid) -> IpfsUrl {
    IpfsUrl::parse(&cid.to_string()).unwrap_or_else(|_| IpfsUrl::new(cid))
}
