//! The fetch engine: it fetches a file or a directory from a pool of gateways, given an `ipfs:`
//! URL, and verifies every block. It does no I/O.
//!
//! A [`Fetcher`] returns [`Action`]s for its driver to carry out. The driver calls the engine back
//! with the results and with the time. It is a loop:
//!
//! ```text
//!         ┌──────────────── poll(pool, now) ◄───────────────┐
//!         ▼                                                 │
//!   Load(cid) ──► look in the local store ──► loaded(cid, bytes or nothing)
//!   Request{url} ──► GET ──► response, data …, end, or failed
//!   Cancel(id) ──► drop the request                         │
//!   Hash(bytes) ──► SHA-256 elsewhere ──► hashed(digest)    │
//!   Content(bytes) ──► to the consumer, in order            │
//!   Entry(path) ──► start of an entry of a tree             │
//!   Store(block) ──► put it into the local store            │
//!   Wait{until} ──► sleep until a result or this time ──────┘
//!   Done | Failed
//! ```
//!
//! How the engine fetches:
//!
//! - It looks for the next blocks in the local store first. If many are missing, it requests **one
//!   CAR** from the best gateway, from the first missing byte on. If only a few are missing, or a
//!   CAR left some out, it sends block requests in parallel, spread over the gateways.
//! - **A directory with everything below it** ([`Fetcher::tree`]) is one CAR as well. A request for
//!   each of a thousand small files would take a round trip each.
//! - The entries of a directory without contents ([`Fetcher::outline`]) take block requests only,
//!   because no CAR contains just the directories.
//! - Once a CAR has shown where the leaves of a file are, the engine requests **the plain file**
//!   from a near gateway instead. It cuts the file into its leaves and verifies each one as a
//!   block. Kubo sends files three times as fast as CARs ([`Options::near_ms`]).
//! - Every block is hashed before it is used, by the engine or by its driver
//!   ([`Options::hash_outside`]). A block that arrives before it is wanted is kept, up to a number
//!   of bytes.
//! - If no byte arrives within `race_after_ms`, a second gateway is asked as well, and the first to
//!   deliver a block wins. If a gateway sends nothing for `stall_ms`, or too slowly, the next one
//!   is asked.
//! - If a gateway sends wrong bytes, HTML or a short answer, the engine reports it
//!   ([`Event::GatewayFault`]) and asks another. The gateway gets a back-off that doubles each time
//!   ([`GatewayPool`]). A gateway that sent wrong data is asked again only if there is no other.
//! - The engine makes the entries of a tree while the driver takes them, at most some thousands
//!   ahead. A small DAG can have more entries than any memory; [`Options::budget`] bounds them.
//! - Every fetch ends: each gateway is asked for a block at most twice, a request that delivers no
//!   block is cancelled after `request_timeout_ms`, and no back-off longer than `patience_ms` is
//!   waited for.
//! - The engine holds at most about [`Options::max_buffer`] bytes of blocks. A slow consumer slows
//!   the gateways down: the driver stops reading an answer while [`Fetcher::wants_data`] is false.
//!   That time doesn't count against the gateways.
//!
//! Restrictions: CIDs with sha2-256, sha2-512 or identity hashes, UnixFS files and directories.
//! Symlinks in paths are not followed. Without a local store, a block above 4 KiB that occurs more
//! than once in a tree is fetched more than once.
//!
//! ```
//! use interplanar_core::block::Block;
//! use interplanar_core::cid::IpfsUrl;
//! use interplanar_core::fetch::{Action, Fetcher, Gateway, GatewayPool, Options, Policy};
//!
//! let gateways = [Gateway::parse("http://127.0.0.1:8080")?];
//! let mut pool = GatewayPool::new(gateways, Policy::default());
//! let url = IpfsUrl::new(*Block::raw("hello world".into()).cid());
//! let mut fetch = Fetcher::new(&url, Options::default());
//!
//! assert_eq!(fetch.poll(&mut pool, 0), Action::Load(url.cid));
//! fetch.loaded(&url.cid, None);
//! let Action::Request { id, url: asked, .. } = fetch.poll(&mut pool, 0) else { unreachable!() };
//! assert_eq!(asked, format!("http://127.0.0.1:8080/ipfs/{}?format=raw", url.cid));
//! fetch.response(id, 200, Some("application/vnd.ipld.raw"), &mut pool, 5);
//! fetch.data(id, "hello world".into(), &mut pool, 5);
//! fetch.end(id, &mut pool, 6);
//! # let mut content = Vec::new();
//! loop {
//!     match fetch.poll(&mut pool, 6) {
//!         Action::Content(bytes) => content.extend(bytes),
//!         Action::Done(summary) => break assert_eq!(summary.blocks, 1),
//!         Action::Store(_) | Action::Event(_) => {}
//!         other => panic!("{other:?}"),
//!     }
//! }
//! # assert_eq!(content, b"hello world");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod answers;
mod arrivals;
mod blocks;
mod clock;
mod early;
mod engine;
mod fault;
mod gateway;
mod gateway_states;
mod input;
mod link_speed;
mod options;
mod outline;
mod plain_file;
mod plan;
mod pool;
mod request;
pub mod small;
mod small_map;
mod target;
#[cfg(test)]
mod tests;
mod timers;
mod tree_walk;
mod wanted;

pub use action::{Action, Event, GatewayUse, HashTicket, Origin, RequestId, RequestKind, Summary};
pub use engine::Fetcher;
pub use fault::{Failure, Fault, FetchError};
pub use gateway::{ACCEPT_CAR, ACCEPT_FILE, ACCEPT_RAW, Gateway, GatewayUrlError, MAX_GATEWAY_URL};
pub use input::Input;
pub use link_speed::{LinkSpeed, RATES, ROUND_TRIPS_MS};
pub use options::{ByteRange, Options};
pub use pool::{GatewayPool, Policy, Report};
pub use tree_walk::{MAX_TREE_PATH, TreeEntry, TreeKind, TreePiece};
