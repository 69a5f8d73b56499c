//! Blocks that are hashed on other threads while the engine goes on.

use bytes::Bytes;
use interplanar_core::fetch::HashTicket;
use interplanar_core::hash::Sha256;
use tokio::task::JoinSet;

/// Blocks of at least so many bytes are: handing over a shorter one costs more than hashing it.
pub(super) const FROM: usize = 64 << 10;

/// The hashes of one fetch under way. Few, since the engine bounds the bytes that it holds.
#[derive(Default)]
pub(super) struct Hashes(JoinSet<(HashTicket, Sha256)>);

impl Hashes {
    pub(super) fn start(&mut self, ticket: HashTicket, data: Bytes) {
        self.0.spawn_blocking(move || (ticket, Sha256::of(&data)));
    }

    /// The next one that is known; pends forever when there is none.
    pub(super) async fn next(&mut self) -> (HashTicket, Sha256) {
        loop {
            match self.0.join_next().await {
                Some(Ok(hashed)) => return hashed,
                // Hashing doesn't panic; a runtime that shuts down ends the fetch as well.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}
