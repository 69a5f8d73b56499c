//! One request handler for two platforms: the edge (Cloudflare's workerd) and a browser's service
//! worker.
//!
//! | path | answer |
//! |---|---|
//! | `/nix-cache-info` | store directory, priority |
//! | `/<hash part>.narinfo` | an upstream's narinfo, if a trusted key signed it; its URL is the next line |
//! | `/nar/<hash part>-<NarHash>.nar` | the uncompressed NAR; the answer is complete only if it has that hash |
//! | `/<hash part>.ls` | the list of files in that NAR, in Nix's format (service worker only) |
//! | `/ipfs/<cid>[/path]` | the answer of a trustless gateway or path gateway; each block is verified |
//! | `/healthz`, `/version` | for monitoring |
//!
//! The decisions are made in [`interplanar_core::install`] and [`interplanar_gateway`], the same
//! code as in the `interplanar` program. [`interplanar_wasm::driver`] drives the fetch engine. This
//! crate connects them to the runtime: requests and responses, the Cache API, and the limits of the
//! platform.
//!
//! ```text
//! Request ─► Worker ─► handler: narinfo │ nar │ ipfs ─► Reply ─► Response
//!                         │ blocks and narinfos ◄─► Cache
//!                         └─► driver ─► global fetch ─► gateways, upstreams
//! ```

mod address;
mod block_cache;
pub mod config;
mod copy;
mod entry;
mod expiring_map;
mod handler;
mod page;
mod reply;
mod runtime_cache;
mod stream;

pub use entry::Worker;
pub use stream::RequestContext;
