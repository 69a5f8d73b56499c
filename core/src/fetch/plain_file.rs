//! Fetching the plain file in place of its blocks, once the offsets of its leaves are known.
//!
//! A gateway makes a CAR block by block: on loopback, Kubo 0.43 takes three times as long for a CAR
//! as for the file itself. The bytes are the same. The engine cuts the file at the offsets that the
//! DAG gives for its leaves. It hashes each piece and uses it as a block. Nodes are fetched by
//! block requests.
//!
//! Restrictions: raw leaves only, and a gateway that sends files. A trustless gateway may refuse;
//! the engine then requests CARs from it again.

use super::request::{Request, ResponseBody};
use super::{ByteRange, FetchError, Fetcher, GatewayPool, RequestId};
use crate::car::gather;
use crate::cid::{Cid, MAX_BLOCK, RAW};
use crate::unixfs::Span;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

/// Bytes that must be left of the file for each millisecond of the gateway's latency. At 100 MiB
/// per second, the extra round trip then costs a tenth of the transfer time.
const BYTES_PER_MS: u64 = 1 << 20;
/// Number of leaves that are looked up ahead of the stream.
const SPANS: usize = 64;

/// State of the answer to a request for a file.
#[derive(Debug)]
pub(super) struct PlainFile {
    /// Offset in the file of the next byte to cut.
    at: u64,
    /// The known parts of the file from `at` on.
    spans: VecDeque<Span>,
    known_to: u64,
    /// The received bytes of the first span, if it is incomplete.
    have: BytesMut,
    /// Received bytes that are not cut yet.
    rest: Bytes,
}

enum CutResult {
    Block(Cid, Bytes),
    /// Everything received was cut.
    NeedsInput,
    /// The DAG is not known far enough to tell where the next block ends.
    UnknownEnd,
}

impl PlainFile {
    fn new(at: u64) -> Self {
        Self {
            at,
            spans: VecDeque::new(),
            known_to: at,
            have: BytesMut::new(),
            rest: Bytes::new(),
        }
    }

    /// Number of bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.have.len().saturating_add(self.rest.len())
    }

    /// Whether received bytes wait for a node of the DAG.
    pub(super) fn waits_for_node(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether a leaf at this offset may still arrive.
    pub(super) fn has_ahead(&self, offset: u64) -> bool {
        offset >= self.at
    }

    /// Bytes up to the end of a block: the last block that ends within `most`, or else the next
    /// one.
    pub(super) fn best_read(&self, most: usize) -> Option<usize> {
        let mut best = None;
        let mut end = 0;
        for span in &self.spans {
            end = usize::try_from(span.size)
                .unwrap_or(usize::MAX)
                .saturating_add(end);
            let read = end.saturating_sub(self.have.len());
            if best.is_some() && read > most {
                break;
            }
            best = Some(read.min(MAX_BLOCK));
        }
        best
    }

    fn cut(&mut self) -> CutResult {
        while !self.rest.is_empty() {
            let Some(span) = self.spans.front_mut() else {
                return CutResult::UnknownEnd;
            };
            let Some(cid) = span.cid else {
                let skipped = span.size.min(self.rest.len() as u64);
                self.rest
                    .advance(usize::try_from(skipped).unwrap_or(self.rest.len()));
                self.at = self.at.saturating_add(skipped);
                span.size = span.size.saturating_sub(skipped);
                if span.size == 0 {
                    self.spans.pop_front();
                }
                continue;
            };
            let size = usize::try_from(span.size).unwrap_or(MAX_BLOCK);
            let Some(block) = gather(size, &mut self.have, &mut self.rest) else {
                break;
            };
            self.at = self.at.saturating_add(span.size);
            self.spans.pop_front();
            return CutResult::Block(cid, block);
        }
        CutResult::NeedsInput
    }
}

impl Fetcher {
    /// Switches to the plain file if a near gateway has it and enough of the file is left.
    pub(super) fn switch_to_plain_file(&mut self, pool: &mut GatewayPool) {
        let Some((offset, leaf)) = self.target.next_leaf() else {
            return;
        };
        let left = self.target.most_left();
        let most_ms = left.checked_div(BYTES_PER_MS).unwrap_or(0);
        let most_ms = most_ms.min(self.options.near_ms);
        // Nodes take a request each: make sure that enough requests are left.
        let nodes = left.checked_div(leaf.saturating_mul(16)).unwrap_or(0);
        let enough = nodes.saturating_add(8) <= self.requests_left();
        if most_ms == 0
            || !enough
            || !self.is_much_missing()
            || self.requests.values().any(|open| open.plain().is_some())
        {
            return;
        }
        let near = |gateway, pool: &GatewayPool| {
            pool.gives_files(gateway) && pool.latency_ms(gateway).is_some_and(|ms| ms <= most_ms)
        };
        let choice = self.choose(pool, |gateway, state| {
            !state.plain_failed && near(gateway, pool)
        });
        if let Some(gateway) = choice.now {
            self.cancel_streams();
            self.request_plain(gateway, offset, pool);
        }
    }

    /// Requests the file from the offset of a leaf on.
    fn request_plain(&mut self, gateway: usize, from: u64, pool: &mut GatewayPool) {
        let size = self.target.size().unwrap_or(u64::MAX);
        // The last leaf must arrive whole to be hashed.
        let wanted = self.target.rest().and_then(|rest| rest.to);
        let to = wanted.map_or(u64::MAX, |to| to.saturating_add(MAX_BLOCK as u64));
        let to = to.min(size.saturating_sub(1));
        let all = from == 0 && to == size.saturating_sub(1);
        let range = (!all).then_some(ByteRange { from, to: Some(to) });
        let max_bytes = to.saturating_sub(from).saturating_add(1);
        let base = pool.url(gateway).unwrap_or_default();
        let url = super::gateway::file_url(base, self.target.root());
        let body = ResponseBody::PlainFile(PlainFile::new(from));
        self.request(gateway, url, range, body, max_bytes, pool);
    }

    /// Processes bytes of a file.
    pub(super) fn plain_data(&mut self, id: RequestId, data: Bytes, pool: &mut GatewayPool) {
        let Some(plain) = self.requests.get_mut(&id).and_then(Request::plain_mut) else {
            return;
        };
        if plain.rest.is_empty() {
            plain.rest = data;
        } else {
            // This is rare: the driver already held a piece when reading was paused.
            let both = [core::mem::take(&mut plain.rest), data].concat();
            plain.rest = both.into();
        }
        if let Err(error) = self.cut(id, pool) {
            self.conclude(Err(error));
        }
    }

    /// Cuts bytes that waited for a node, if the node has arrived.
    pub(super) fn cut_waiting(&mut self, pool: &mut GatewayPool) -> Result<(), FetchError> {
        let waiting = |request: &Request| request.plain().is_some_and(PlainFile::waits_for_node);
        let ids: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, request)| waiting(request))
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().try_for_each(|id| self.cut(id, pool))
    }

    fn cut(&mut self, id: RequestId, pool: &mut GatewayPool) -> Result<(), FetchError> {
        loop {
            self.refresh()?;
            let Some(plain) = self.requests.get_mut(&id).and_then(Request::plain_mut) else {
                return Ok(());
            };
            match plain.cut() {
                CutResult::Block(cid, block) => self.queue_block(id, cid, block, pool),
                CutResult::NeedsInput => break,
                CutResult::UnknownEnd => {
                    let spans = self.target.spans(plain.known_to, SPANS);
                    if spans.is_empty() {
                        break;
                    }
                    let bytes = spans.iter().map(|span| span.size);
                    plain.known_to = bytes.fold(plain.known_to, u64::saturating_add);
                    plain.spans.extend(spans);
                }
            }
        }
        self.close(id, pool);
        Ok(())
    }

    /// Whether this file request may still deliver a wanted block: a leaf that it has not passed.
    pub(super) fn may_arrive_in_file(&self, plain: &PlainFile, cid: &Cid) -> bool {
        if cid.codec() != RAW {
            return false;
        }
        match self.target.next_leaf() {
            Some((offset, _)) if self.wanted.first() == Some(cid) => plain.has_ahead(offset),
            _ => true,
        }
    }

    /// Requests the nodes in the window while the leaves arrive as a file.
    pub(super) fn request_nodes_beside_file(&mut self, pool: &mut GatewayPool) {
        if !self.requests.values().any(|open| open.plain().is_some()) {
            return;
        }
        let nodes = self.wanted.missing().filter(|cid| cid.codec() != RAW);
        for cid in nodes.copied().collect::<Vec<_>>() {
            if self.raw_requests_for(&cid) > 0 {
                continue;
            }
            let choice = self.choose(pool, |gateway, _| self.wanted.may_try(&cid, gateway));
            if let Some(gateway) = choice.now {
                self.request_raw(gateway, &cid, pool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;

    /// Makes a stream in front of blocks of these sizes, with `have` bytes of the first block.
    fn at(sizes: &[u64], have: usize) -> PlainFile {
        let cid = *Block::raw(Bytes::new()).cid();
        let mut plain = PlainFile::new(0);
        plain.have.resize(have, 0);
        plain.spans.extend(sizes.iter().map(|size| Span {
            size: *size,
            cid: Some(cid),
        }));
        plain
    }

    #[test]
    fn reads_end_at_block_ends() {
        assert_eq!(at(&[], 0).best_read(250), None);
        assert_eq!(at(&[100, 100, 100], 0).best_read(250), Some(200));
        assert_eq!(at(&[100, 100, 100], 30).best_read(250), Some(170));
        assert_eq!(at(&[100, 100, 100], 60).best_read(250), Some(240));
        assert_eq!(at(&[100, 100], 0).best_read(50), Some(100));
        assert_eq!(at(&[100, 100], 99).best_read(50), Some(1));
        // No block can have this size, which is an error later. The buffer never grows to it.
        assert_eq!(at(&[u64::MAX, 1], 0).best_read(50), Some(MAX_BLOCK));
    }
}
