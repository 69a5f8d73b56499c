//! Drives the fetch engine with the global `fetch`: in a window, a service worker, workerd, or Node
//! from version 20 on.
//!
//! The engine ([`interplanar_core::fetch`]) decides what to do, and this driver does it. Everything
//! runs on the thread that polls.
//!
//! ```no_run
//! use futures_util::StreamExt as _;
//! use interplanar_core::cid::IpfsUrl;
//! use interplanar_core::fetch::{Gateway, GatewayPool, Options, Policy};
//! use interplanar_wasm::driver::{Client, fetch_ipfs};
//! use std::{cell::RefCell, rc::Rc};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let gateways = GatewayPool::new([Gateway::parse("http://127.0.0.1:8080")?], Policy::default());
//! let gateways = Rc::new(RefCell::new(gateways));
//! let url = IpfsUrl::parse("ipfs://bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")?;
//! let mut content = fetch_ipfs(&Client::default(), &url, Options::default(), gateways, None, |_| {});
//! while let Some(piece) = content.next().await {
//!     let verified = piece?;
//! }
//! # Ok(())
//! # }
//! ```

mod body;
mod buffer_reader;
mod chunk_reader;
mod client;
mod fetch;
mod hashes;
mod open;
mod requests;
mod small;
mod store;
mod time;

pub use client::{Client, HttpCache, Redirect};
pub use fetch::{FetchStream, TreeStream, fetch_block, fetch_ipfs, fetch_outline, fetch_tree};
pub use open::{OpenedResponse, open};
pub use small::{HttpError, SmallResponse, get_small};
pub use store::{LocalBlocks, NotStored};
pub use time::{now_ms, sleep};
