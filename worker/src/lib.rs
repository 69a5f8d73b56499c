//! One request handler for two places: the edge (Cloudflare's workerd) and a browser's service worker.
//!
//! | path | answer |
//! |---|---|
//! | `/nix-cache-info` | store directory, priority |
//! | `/<hash part>.narinfo` | an upstream's narinfo, if a trusted key signed it, leading to the next line |
//! | `/nar/<hash part>-<NarHash>.nar` | the plain NAR; complete only if it has that hash |
//! | `/<hash part>.ls` | the tree of that NAR, as Nix's listings have it (service worker only) |
//! | `/ipfs/<cid>[/path]` | what a trustless and path gateway answers, each block verified |
//! | `/healthz`, `/version` | for those who watch over it |
//!
//! What is decided is [`interplanar_core::install`]'s and [`interplanar_gateway`]'s, the same code as in the `interplanar` program; the
//! fetch engine is driven by [`interplanar_wasm::driver`]. Here is what lies between them and a runtime: requests and responses, the
//! Cache API, and limits of the platform.
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
mod handler;
mod kept;
mod memory;
mod page;
mod reply;
mod stream;

pub use entry::Worker;
pub use stream::RequestContext;
