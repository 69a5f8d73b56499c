//! Hashes blocks on other threads while the engine continues.

use bytes::Bytes;
use interplanar_core::fetch::HashTicket;
use interplanar_core::hash::Sha256;
use tokio::task::JoinSet;

/// Bytes from which a block is hashed on another thread. Below that, the hand-over costs more than
/// the hash.
pub(super) const MIN_SIZE: usize = 64 << 10;

/// The running hash tasks of one fetch. The engine bounds their number by bounding the bytes in
/// memory.
#[derive(Default)]
pub(super) struct HashTasks(JoinSet<(HashTicket, Sha256)>);

impl HashTasks {
    pub(super) fn start(&mut self, ticket: HashTicket, data: Bytes) {
        self.0.spawn_blocking(move || (ticket, Sha256::of(&data)));
    }

    /// Returns the next result. Waits forever if there is none.
    pub(super) async fn next(&mut self) -> (HashTicket, Sha256) {
        loop {
            match self.0.join_next().await {
                Some(Ok(hashed)) => return hashed,
                // Hashing doesn't panic. If the runtime shuts down, the fetch ends too.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}
