//! What a proxy decides during an install, without I/O: which narinfo to accept, what its clients
//! see of it, which sources can deliver the NAR, and whether the bytes received are right.
//!
//! ```text
//! upstream's narinfo ─► Known::believe ─► rewritten narinfo ─► the client
//!                             │
//!                             └─► sources, in order ─► Checker: decode, hash, hold back ─► client
//!                                     ▲                   │
//!                                     └────── Trial ◄─────┘ Attempt: how the source ended
//! ```
//! The proxy, the edge worker and the service worker do the I/O around it.

mod address;
pub mod checker;
mod known;
mod pace;
mod policy;
mod sources;
#[cfg(test)]
mod tests;
mod trial;
mod url;

pub use address::is_private;
pub use known::{Disbelief, Expected, Known, is_hash_part, nar_path, parse_nar_name, redirect};
pub use pace::Pace;
pub use policy::{
    ABSENT_TTL, Answer, BAD_FOR, BAD_HTTP_FOR, FOUND_TTL, MAX_TTL, PATIENCE, Said, is_settled,
    store_dir, summary,
};
pub use sources::{Place, Source, budget, max_file_size, sources};
pub use trial::{Attempt, Next, Trial};
pub use url::{host, join};
