//! The plain file in place of its blocks: what a near gateway is asked for once it is known where the leaves lie.
//!
//! A CAR is made block by block at its sender: Kubo 0.43 on loopback takes three times as long for it as for the file itself. The bytes are
//! the same, so the file is cut where the DAG says that its leaves lie, and each piece is hashed and used as the block that it must
//! be. Nodes are asked for as blocks beside it.
//!
//! Restrictions: raw leaves; a gateway that gives files (a trustless one may refuse, and is then asked for CARs again).

use super::request::{Body, Request};
use super::{ByteRange, FetchError, Fetcher, GatewayPool, RequestId};
use crate::car::gather;
use crate::cid::{Cid, MAX_BLOCK, RAW};
use crate::unixfs::Span;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

/// The rest of a file must be so many bytes for each millisecond of the gateway's latency: the round trip that it costs to change
/// over is then a tenth of what the transfer takes at 100 MiB per second.
const BYTES_PER_MS: u64 = 1 << 20;
/// Leaves looked at ahead of the stream.
const SPANS: usize = 64;

/// The answer to a request for a file so far.
#[derive(Debug)]
pub(super) struct Plain {
    /// Offset in the file of the next byte that is cut off.
    at: u64,
    /// What lies from `at` on, as far as it was looked up.
    spans: VecDeque<Span>,
    known_to: u64,
    /// The part of the first span that has come.
    have: BytesMut,
    /// What came and lies behind all that is known of the DAG.
    rest: Bytes,
}

enum Cut {
    Block(Cid, Bytes),
    /// All is cut.
    More,
    /// Nothing is known of where the next block ends.
    Unknown,
}

impl Plain {
    fn new(at: u64) -> Self {
        Self {
            at,
            spans: VecDeque::new(),
            known_to: at,
            have: BytesMut::new(),
            rest: Bytes::new(),
        }
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.have.len().saturating_add(self.rest.len())
    }

    /// Whether what came waits for a node of the DAG.
    pub(super) fn is_stuck(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether a leaf at this offset is still to come.
    pub(super) fn will_bring(&self, offset: u64) -> bool {
        offset >= self.at
    }

    /// Bytes up to the end of a block: of the last one that ends within `most`, else of the next one.
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

    fn cut(&mut self) -> Cut {
        while !self.rest.is_empty() {
            let Some(span) = self.spans.front_mut() else {
                return Cut::Unknown;
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
            return Cut::Block(cid, block);
        }
        Cut::More
    }
}

impl Fetcher {
    /// Changes over to the plain file if the gateway is near and enough is left.
    pub(super) fn look_near(&mut self, pool: &mut GatewayPool) {
        let Some((offset, leaf)) = self.target.next_leaf() else {
            return;
        };
        let left = self.target.most_left();
        let most_ms = left.checked_div(BYTES_PER_MS).unwrap_or(0);
        let most_ms = most_ms.min(self.options.near_ms);
        // Nodes are asked for one by one: where requests are counted there must be enough.
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
        let choice = self.choose(pool, |gateway, peer| {
            !peer.plain_failed && near(gateway, pool)
        });
        if let Some(gateway) = choice.now {
            self.drop_streams();
            self.request_plain(gateway, offset, pool);
        }
    }

    /// Asks for the file from a leaf's offset on.
    fn request_plain(&mut self, gateway: usize, from: u64, pool: &mut GatewayPool) {
        let size = self.target.size().unwrap_or(u64::MAX);
        // The last leaf must come whole to be hashed.
        let wanted = self.target.rest().and_then(|rest| rest.to);
        let to = wanted.map_or(u64::MAX, |to| to.saturating_add(MAX_BLOCK as u64));
        let to = to.min(size.saturating_sub(1));
        let all = from == 0 && to == size.saturating_sub(1);
        let range = (!all).then_some(ByteRange { from, to: Some(to) });
        let max_bytes = to.saturating_sub(from).saturating_add(1);
        let base = pool.url(gateway).unwrap_or_default();
        let url = super::gateway::file_url(base, self.target.root());
        let body = Body::Plain(Plain::new(from));
        self.request(gateway, url, range, body, max_bytes, pool);
    }

    /// Bytes of a file.
    pub(super) fn plain_data(&mut self, id: RequestId, data: Bytes, pool: &mut GatewayPool) {
        let Some(plain) = self.requests.get_mut(&id).and_then(Request::plain_mut) else {
            return;
        };
        if plain.rest.is_empty() {
            plain.rest = data;
        } else {
            // Seldom: a driver that was told not to read on has a piece in its hands.
            let both = [core::mem::take(&mut plain.rest), data].concat();
            plain.rest = both.into();
        }
        if let Err(error) = self.cut(id, pool) {
            self.conclude(Err(error));
        }
    }

    /// Cuts what waited for a node that has come.
    pub(super) fn cut_stuck(&mut self, pool: &mut GatewayPool) -> Result<(), FetchError> {
        let stuck = |request: &Request| request.plain().is_some_and(Plain::is_stuck);
        let ids: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, request)| stuck(request))
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
                Cut::Block(cid, block) => self.arrived(id, cid, block, pool),
                Cut::More => break,
                Cut::Unknown => {
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

    /// Whether this request for a file is to bring a block that is wanted: a leaf that it has not passed.
    pub(super) fn is_coming_plain(&self, plain: &Plain, cid: &Cid) -> bool {
        if cid.codec() != RAW {
            return false;
        }
        match self.target.next_leaf() {
            Some((offset, _)) if self.wanted.first() == Some(cid) => plain.will_bring(offset),
            _ => true,
        }
    }

    /// Asks for the nodes in the window while the leaves come as a file.
    pub(super) fn request_nodes_beside_file(&mut self, pool: &mut GatewayPool) {
        if !self.requests.values().any(|open| open.plain().is_some()) {
            return;
        }
        let nodes = self.wanted.missing().filter(|cid| cid.codec() != RAW);
        for cid in nodes.copied().collect::<Vec<_>>() {
            if self.raws_for(&cid) > 0 {
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

    /// A stream that has come to where blocks of these sizes lie, with so much of the first one.
    fn at(sizes: &[u64], have: usize) -> Plain {
        let cid = *Block::raw(Bytes::new()).cid();
        let mut plain = Plain::new(0);
        plain.have.resize(have, 0);
        plain.spans.extend(sizes.iter().map(|size| Span {
            size: *size,
            cid: Some(cid),
        }));
        plain
    }

    #[test]
    fn reads_end_where_blocks_do() {
        assert_eq!(at(&[], 0).best_read(250), None);
        assert_eq!(at(&[100, 100, 100], 0).best_read(250), Some(200));
        assert_eq!(at(&[100, 100, 100], 30).best_read(250), Some(170));
        assert_eq!(at(&[100, 100, 100], 60).best_read(250), Some(240));
        assert_eq!(at(&[100, 100], 0).best_read(50), Some(100));
        assert_eq!(at(&[100, 100], 99).best_read(50), Some(1));
        // What no block is long enough for is an error later; a buffer for it there is none.
        assert_eq!(at(&[u64::MAX, 1], 0).best_read(50), Some(MAX_BLOCK));
    }
}
