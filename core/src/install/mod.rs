//! What a proxy of substitutes decides, without I/O: which narinfo to believe, how its clients see it, where the NAR may come
//! from, and when what came is right.
//!
//! ```text
//! upstream's answer ─► Known::believe ─► rewritten, to the client
//!                          └─► sources, in order ─► Checker: decode │ hash │ hold back ─► the client
//!                                    ▲                  │ Attempt
//!                                    └──── Trial ◄──────┘  who was wrong, whom to ask next
//! ```
//! The proxy, the edge worker and the service worker do the I/O between.

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
pub use known::{Disbelief, Known, is_hash_part, nar_path, parse_nar_name, redirect, rewrite};
pub use pace::Pace;
pub use policy::{
    ABSENT_TTL, Answer, BAD_FOR, BAD_HTTP_FOR, FOUND_TTL, MAX_TTL, PATIENCE, Said, is_settled,
    store_dir, summary,
};
pub use sources::{Place, Source, budget, max_file_size, sources};
pub use trial::{Attempt, Next, Trial};
pub use url::{host, join};
