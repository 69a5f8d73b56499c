//! The fetch engine against gateways that reply anything in any order: only bytes of the file come out, and the fetch ends.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{
    Action, ByteRange, Failure, Fetcher, Gateway, GatewayPool, Options, Policy, RequestId,
};
use interplanar_core::hash::Sha256;
use interplanar_core::install;
use interplanar_core::unixfs::{Builder, Profile, SIZE_262144_V1};
use libfuzzer_sys::fuzz_target;

/// What a gateway or the clock does next.
#[derive(Debug, Arbitrary)]
enum Step {
    /// Status and headers of a reply to one of the open requests.
    Response { request: u8, status: u16, media: u8 },
    /// A section of a CAR with a block of the file, or with one bit of it wrong.
    Section { request: u8, block: u8, wrong: bool },
    /// The header of a CAR.
    Header { request: u8 },
    /// A block without a CAR around it.
    Raw { request: u8, block: u8 },
    /// Bytes of the file, from an offset on.
    Plain { request: u8, at: u16, length: u16 },
    /// Any bytes.
    Noise { request: u8, bytes: Vec<u8> },
    /// The reply ends.
    End { request: u8 },
    /// The request fails.
    Failed { request: u8, how: u8 },
    /// Time passes.
    Wait { ms: u16 },
}

#[derive(Debug, Arbitrary)]
struct Input {
    mode: u8,
    range: Option<(u16, Option<u16>)>,
    in_flight: u8,
    hash_outside: bool,
    near: bool,
    max_requests: Option<u8>,
    local: u8,
    steps: Vec<Step>,
}

/// Polls of the engine in one fetch at most.
const MOST: usize = 200_000;
const MEDIA: [&str; 4] = [
    "application/vnd.ipld.car; version=1",
    "application/vnd.ipld.raw",
    "application/octet-stream",
    "text/html",
];

struct File {
    root: Cid,
    blocks: Vec<Block>,
    content: Vec<u8>,
}

fn file() -> File {
    let content: Vec<u8> = (0..40_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let profile = Profile {
        chunk: 10_000,
        ..SIZE_262144_V1
    };
    let mut blocks = Vec::new();
    let mut builder = Builder::new(profile);
    builder.push(&content, &mut |block| blocks.push(block));
    let built = builder.finish(&mut |block| blocks.push(block));
    File {
        root: built.cid,
        blocks,
        content,
    }
}

fn options(input: &Input) -> Options {
    let mut options = Options {
        in_flight: usize::from(input.in_flight % 8) + 1,
        hash_outside: if input.hash_outside { 100 } else { usize::MAX },
        near_ms: if input.near { 100 } else { 0 },
        max_requests: input.max_requests.map_or(u64::MAX, u64::from),
        budget: install::budget(160_000),
        ..Options::default()
    };
    if input.mode.is_multiple_of(3) {
        options.range = input.range.map(|(from, to)| ByteRange {
            from: from.into(),
            to: to.map(u64::from),
        });
    }
    options
}

struct Run {
    file: File,
    fetcher: Fetcher,
    pool: GatewayPool,
    now_ms: u64,
    open: Vec<RequestId>,
    received: Vec<u8>,
    local: u8,
}

/// Why the engine isn't polled any more.
enum Pause {
    /// It waits for a reply, or until this time in ms.
    Waits(Option<u64>),
    /// The fetch ended, with success or not.
    Ended { done: bool },
}

impl Run {
    /// Polls the engine until it waits or ends.
    fn poll(&mut self, polls: &mut usize) -> Pause {
        loop {
            *polls += 1;
            assert!(*polls < MOST, "the fetch ends");
            match self.fetcher.poll(&mut self.pool, self.now_ms) {
                Action::Load(cid) => {
                    let here = self
                        .file
                        .blocks
                        .iter()
                        .position(|block| *block.cid() == cid);
                    let here = here.filter(|at| self.local >> (at % 8) & 1 == 1);
                    let data = here.map(|at| self.file.blocks[at].data().clone());
                    self.fetcher.loaded(&cid, data);
                }
                Action::Request { id, .. } => self.open.push(id),
                Action::Cancel(id) => self.open.retain(|open| *open != id),
                Action::Hash { ticket, data } => {
                    self.fetcher
                        .hashed(ticket, Sha256::of(&data), &mut self.pool, self.now_ms);
                }
                Action::Content(content) => self.received.extend_from_slice(&content),
                Action::Store(block) => {
                    assert!(self.file.blocks.contains(&block), "a verified block")
                }
                Action::Entry(_) | Action::Event(_) => {}
                Action::Wait { until_ms } => return Pause::Waits(until_ms),
                Action::Done(_) => return Pause::Ended { done: true },
                Action::Failed(_) => return Pause::Ended { done: false },
            }
        }
    }

    fn request(&self, at: u8) -> Option<RequestId> {
        self.open
            .get(usize::from(at) % self.open.len().max(1))
            .copied()
    }

    fn block(&self, at: u8) -> &Block {
        &self.file.blocks[usize::from(at) % self.file.blocks.len()]
    }

    fn data(&mut self, request: u8, data: impl Into<Bytes>) {
        if let Some(id) = self.request(request) {
            self.fetcher
                .data(id, data.into(), &mut self.pool, self.now_ms);
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Response {
                request,
                status,
                media,
            } => {
                let status = [200, 206, 404, 500, 429, *status][usize::from(*media) % 6];
                let media = MEDIA[usize::from(*media) % MEDIA.len()];
                if let Some(id) = self.request(*request) {
                    self.fetcher
                        .response(id, status, Some(media), &mut self.pool, self.now_ms);
                }
            }
            Step::Header { request } => self.data(*request, car::header(&[self.file.root])),
            Step::Section {
                request,
                block,
                wrong,
            } => {
                let block = self.block(*block);
                let mut section = car::block_prefix(block.cid(), block.data().len());
                section.extend_from_slice(block.data());
                if *wrong {
                    section.last_mut().into_iter().for_each(|byte| *byte ^= 1);
                }
                self.data(*request, section);
            }
            Step::Raw { request, block } => {
                let data = self.block(*block).data().clone();
                self.data(*request, data);
            }
            Step::Plain {
                request,
                at,
                length,
            } => {
                let from = usize::from(*at).min(self.file.content.len());
                let to = (from + usize::from(*length)).min(self.file.content.len());
                let data = self.file.content[from..to].to_vec();
                self.data(*request, data);
            }
            Step::Noise { request, bytes } => self.data(*request, bytes.clone()),
            Step::End { request } => {
                if let Some(id) = self.request(*request) {
                    self.open.retain(|open| *open != id);
                    self.fetcher.end(id, &mut self.pool, self.now_ms);
                }
            }
            Step::Failed { request, how } => {
                let how = [Failure::Connect, Failure::Timeout, Failure::Io][usize::from(*how) % 3];
                if let Some(id) = self.request(*request) {
                    self.open.retain(|open| *open != id);
                    self.fetcher.failed(id, how, &mut self.pool, self.now_ms);
                }
            }
            Step::Wait { ms } => self.now_ms += u64::from(*ms),
        }
    }
}

fuzz_target!(|input: Input| {
    let file = file();
    let options = options(&input);
    let url = IpfsUrl::new(file.root);
    let gateways = [
        "http://one.example",
        "http://two.example",
        "http://three.example",
    ];
    let gateways = gateways.map(|url| Gateway::parse(url).expect("a URL"));
    let (from, to) = match &options.range {
        Some(range) => {
            let length = file.content.len() as u64;
            let end = range.to.map_or(length, |to| (to + 1).min(length));
            (range.from.min(length), end)
        }
        None => (0, file.content.len() as u64),
    };
    let expected = match input.mode % 3 {
        1 => file.blocks.last().expect("a root").data().to_vec(),
        _ => file
            .content
            .get(from as usize..to as usize)
            .unwrap_or_default()
            .to_vec(),
    };
    let fetcher = match input.mode % 3 {
        0 => Fetcher::new(&url, options),
        1 => Fetcher::block(file.root, options),
        _ => Fetcher::tree(&url, options),
    };
    let mut run = Run {
        file,
        fetcher,
        pool: GatewayPool::new(gateways, Policy::default()),
        now_ms: 1_000_000,
        open: Vec::new(),
        received: Vec::new(),
        local: input.local,
    };
    let (mut polls, mut steps) = (0, input.steps.iter());
    loop {
        match run.poll(&mut polls) {
            Pause::Ended { done } => {
                assert!(
                    expected.starts_with(&run.received),
                    "only bytes of the file come out"
                );
                assert!(
                    !done || run.received == expected,
                    "all bytes of the file come out"
                );
                return;
            }
            Pause::Waits(until_ms) => match steps.next() {
                Some(step) => run.apply(step),
                // No reply continues: every open request fails, and time passes.
                None => {
                    while let Some(id) = run.open.pop() {
                        run.fetcher
                            .failed(id, Failure::Io, &mut run.pool, run.now_ms);
                    }
                    run.now_ms = until_ms.unwrap_or(run.now_ms).max(run.now_ms + 1);
                }
            },
        }
    }
});
