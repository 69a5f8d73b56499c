//! Hashes blocks on other threads while the engine continues.

use bytes::Bytes;
use interplanar_core::fetch::HashTicket;
use interplanar_core::hash::Sha256;
use tokio::task::JoinSet;

use crate::task::{self, WorkError};

/// Bytes from which a block is hashed on another thread. Below that, the hand-over costs more than
/// the hash.
pub(super) const MIN_SIZE: usize = 64 << 10;

/// The running hash tasks of one fetch. The engine bounds their number by bounding the bytes in
/// memory.
#[derive(Default)]
pub(super) struct HashTasks(JoinSet<Result<(HashTicket, Sha256), WorkError>>);

impl HashTasks {
    pub(super) fn start(&mut self, ticket: HashTicket, data: Bytes) {
        let hash = move || (ticket, Sha256::of(&data));
        self.0
            .spawn_blocking(move || task::caught("hashing a block", hash));
    }

    /// Returns the next result. Waits forever if there is none.
    ///
    /// # Errors
    /// A block was not hashed, so the fetch can't end.
    pub(super) async fn next(&mut self) -> Result<(HashTicket, Sha256), WorkError> {
        match self.0.join_next().await {
            Some(hashed) => hashed.unwrap_or(Err(WorkError::Cancelled("hashing a block"))),
            None => std::future::pending().await,
        }
    }
}
