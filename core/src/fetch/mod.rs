//! The fetch engine: from an `ipfs:` URL and a pool of gateways to the verified bytes of a file. Without I/O.
//!
//! A [`Fetcher`] says what it wants as [`Action`]s and is told what came of them; time is told too. A driver is a loop:
//!
//! ```text
//!         ┌──────────────── poll(pool, now) ◄───────────────┐
//!         ▼                                                 │
//!   Load(cid) ──► look in the local store ──► loaded(cid, bytes or nothing)
//!   Request{url} ──► GET ──► response, data …, end, or failed
//!   Cancel(id) ──► drop the request                         │
//!   Hash(bytes) ──► SHA-256 elsewhere ──► hashed(digest)    │
//!   Content(bytes) ──► to the consumer, in order            │
//!   Entry(path) ──► of a tree: whose bytes come now         │
//!   Store(block) ──► keep it                                │
//!   Wait{until} ──► sleep until an answer or the time ──────┘
//!   Done | Failed
//! ```
//!
//! How it goes about it:
//!
//! - What is wanted next is looked for in the local store first. Much missing: **one CAR** from the best gateway, from the first
//!   missing byte on. Little missing, or left out of a CAR: block requests side by side, spread over the gateways.
//! - **A directory with all below it** ([`Fetcher::tree`]) is one CAR as well: a request for each of a thousand small files would take a round trip each.
//! - What is in a directory, without contents ([`Fetcher::outline`]), is block requests alone: no CAR has only that.
//! - A near gateway is asked for **the plain file** instead, once the CAR has told where its leaves lie: it is cut there and each piece
//!   verified as the block that it must be. That comes three times as fast out of Kubo ([`Options::near_ms`]).
//! - Every block is hashed before it is used, by the engine or by its driver ([`Options::hash_outside`]). One that came before it was wanted waits, within a number of bytes.
//! - No byte after `race_after_ms`: the next gateway is asked as well, the first to bring a block wins. Silence for `stall_ms`, or a drip: the
//!   next one is asked. Wrong bytes, HTML, a short answer: the gateway is named ([`Event::GatewayFault`]), put aside with a
//!   back-off that doubles ([`GatewayPool`]), and another is asked. One that lied is asked again only if there is no other.
//! - It ends: each gateway is asked for a block at most twice, a request that brings no block is given up after
//!   `request_timeout_ms`, and nobody is waited for longer than `patience_ms`.
//! - It holds at most about [`Options::max_buffer`] bytes of blocks. A slow consumer slows the gateways: the driver reads no more of an
//!   answer while [`Fetcher::wants_data`] says so, and that time doesn't count against them.
//!
//! Restrictions: sha2-256 and identity CIDs, UnixFS files and directories; symlinks in paths are not followed. Blocks above 4 KiB that stand in a tree
//! more than once are asked for more than once where there is no local store.
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
mod few;
mod gateway;
mod input;
mod line;
mod options;
mod outline;
mod peers;
mod plain;
mod plan;
mod pool;
mod request;
pub mod small;
mod target;
#[cfg(test)]
mod tests;
mod timers;
mod tree;
mod wanted;

pub use action::{Action, Event, GatewayUse, HashTicket, Origin, RequestId, RequestKind, Summary};
pub use engine::Fetcher;
pub use fault::{Failure, Fault, FetchError};
pub use gateway::{ACCEPT_CAR, ACCEPT_FILE, ACCEPT_RAW, Gateway, GatewayUrlError, MAX_GATEWAY_URL};
pub use input::Input;
pub use line::{Line, RATES, ROUND_TRIPS_MS};
pub use options::{ByteRange, Options};
pub use outline::MAX_OUTLINE;
pub use pool::{GatewayPool, Policy, Report};
pub use tree::{MAX_TREE_PATH, TreeEntry, TreeKind, TreePiece};
