//! A path and trustless gateway without I/O: it answers GET and HEAD for `/ipfs/<cid>[/path]` from
//! any source of blocks.
//!
//! It answers as Kubo 0.43 does on the same blocks, offline: raw blocks, CARs with every parameter
//! of the specification, files with ranges, directories (their `index.html`, or a listing), and
//! documents in their own codec. Intended differences:
//!
//! - A CAR without its root block is a 404. A CAR that ends early closes the connection (Kubo
//!   answers 200 and appends a text).
//! - A suffix range longer than the content returns all of it (Kubo: 500). An `If-Range` that
//!   doesn't match returns the whole content.
//! - There is no TAR, no IPNS, no conversion between codecs, no `_redirects`, and no subdomains.
//!
//! `?format=` takes precedence over the `Accept` header.
//!
//! The same code serves blocks on a disk and blocks that must be fetched first. A [`BlockSource`]
//! may return [`Lookup::Pending`] for a block that it has not looked for. Then [`answer`] or
//! [`Body::next`] returns the CID; the caller fetches the block, or finds that no source has it,
//! and repeats the call. Repeating a call has no side effects:
//!
//! ```text
//! answer(source, request) ─► Err(Pending(cid)) ─► fetch, verify, add to the source ─► repeat
//!        └─► Response<Body> ─► body.next() ─┬─► bytes
//!                                           ├─► Stop::Pending(cid): as above
//!                                           └─► Stop::Refused: close the connection
//! ```
//!
//! ```
//! use interplanar_gateway::{MemoryBlocks, answer};
//! let request = http::Request::get("/ipfs/bafkqaaa?format=raw").body(()).unwrap();
//! let answer = answer(&MemoryBlocks::default().share(), &request).unwrap();
//! assert_eq!(answer.status(), 200);
//! ```

mod answer;
mod body;
mod browse;
mod car;
mod car_query;
mod content;
mod dag;
mod directory;
mod document;
mod etag;
mod file;
mod format;
mod hamt;
mod headers;
pub mod html;
mod mime;
mod path;
mod query;
pub mod range;
mod redirects;
mod refusal;
mod resolve;
mod source;
mod stop;
#[cfg(test)]
mod tests;

pub use answer::{answer, only_if_cached, owns};
pub use body::Body;
pub use car::CarBody;
pub use directory::Listing;
pub use file::FileBody;
pub use refusal::Refusal;
pub use source::{BlockSource, Lookup, MemoryBlocks};
pub use stop::{Pending, Stop};

/// A request. Request bodies are ignored.
pub type Request = http::Request<()>;
/// A response. For `HEAD`, the caller drops the body.
pub type Answer = http::Response<Body>;

/// Runs the example in the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
