//! A path and trustless gateway without I/O: `/ipfs/<cid>[/path]`, GET and HEAD, over any source of blocks.
//!
//! It answers as Kubo 0.43 does on the same blocks, offline: raw blocks, CARs with every parameter of the specification, files with
//! ranges, directories (their `index.html`, or a listing), and documents in their own codec. What differs on purpose:
//!
//! - a CAR whose root isn't here is a 404, and one that breaks off midway ends the connection (Kubo answers 200 and appends a text);
//! - a suffix range longer than the content gives all of it (Kubo: 500); `If-Range` that doesn't match gives the whole content;
//! - no TAR, no IPNS, no conversion between codecs, no `_redirects`, no subdomains.
//!
//! A `?format=` beats the `Accept` header.
//!
//! The same code serves blocks on a disk and blocks that somebody must fetch first. A [`BlockSource`] that doesn't know yet says
//! [`Lookup::Pending`]; then [`answer`] or [`Body::next`] names the block, the front end finds it (or finds out that nobody has
//! it), and calls again. Nothing is lost by a call that ended so:
//!
//! ```text
//! answer(source, request) ──► Err(Pending(cid)) ──► fetch, verify, put into the source ──► answer(…) again
//!        └─► Response<Body> ──► body.next() ──► bytes │ Stop::Pending(cid): as above │ Stop::Refused: end the connection
//! ```
//!
//! ```
//! use interplanar_gateway::{Memory, answer};
//! let request = http::Request::get("/ipfs/bafkqaaa?format=raw").body(()).unwrap();
//! let answer = answer(&Memory::default().share(), &request).unwrap();
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
mod early;
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
mod refusal;
mod resolve;
mod source;
mod stop;
#[cfg(test)]
mod tests;
mod tree;

pub use answer::{answer, only_if_cached, owns};
pub use body::Body;
pub use car::CarBody;
pub use directory::Listing;
pub use file::FileBody;
pub use refusal::Refusal;
pub use source::{BlockSource, Lookup, Memory};
pub use stop::{Pending, Stop};

/// What is asked. Bodies of requests mean nothing here.
pub type Request = http::Request<()>;
/// What is answered; the body of an answer to `HEAD` is for the front end to drop.
pub type Answer = http::Response<Body>;
