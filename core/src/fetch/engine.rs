//! The engine.

use super::{Action, Failure, FetchError, GatewayPool, Options, RequestId};
use crate::cid::{Cid, IpfsUrl};
use bytes::Bytes;

/// Fetches one file. See the module.
#[derive(Debug)]
pub struct Fetcher {
    url: IpfsUrl,
}

impl Fetcher {
    /// A fetch of the file at `url`.
    pub fn new(url: &IpfsUrl, _options: Options) -> Self {
        Self { url: url.clone() }
    }

    /// What to do next, at `now_ms` of any clock that doesn't go back.
    pub fn poll(&mut self, _pool: &mut GatewayPool, _now_ms: u64) -> Action {
        Action::Failed(FetchError::NoGateways { cid: self.url.cid })
    }

    /// What the local store has for an [`Action::Load`]. Each Load is answered once.
    pub fn loaded(&mut self, _cid: &Cid, _data: Option<Bytes>) {}

    /// The status and `Content-Type` of an answer.
    pub fn response(
        &mut self,
        _id: RequestId,
        _status: u16,
        _content_type: Option<&str>,
        _pool: &mut GatewayPool,
        _now_ms: u64,
    ) {
    }

    /// Bytes of an answer's body.
    pub fn data(&mut self, _id: RequestId, _data: Bytes, _pool: &mut GatewayPool, _now_ms: u64) {}

    /// The end of an answer's body.
    pub fn end(&mut self, _id: RequestId, _pool: &mut GatewayPool, _now_ms: u64) {}

    /// A request that could not be finished.
    pub fn failed(
        &mut self,
        _id: RequestId,
        _failure: Failure,
        _pool: &mut GatewayPool,
        _now_ms: u64,
    ) {
    }

    /// Whether to go on reading this answer: false while what was read already waits for something else, and for requests that are over.
    pub fn wants_data(&self, _id: RequestId) -> bool {
        false
    }
}
