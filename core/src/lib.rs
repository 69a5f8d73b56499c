//! Parsers, verifiers and a fetch engine for Guix and Nix substitutes on IPFS.
//!
//! A *substitute* is a store item that is downloaded instead of built. A cache describes it in a
//! **narinfo**, a short signed text, and sends its files as one archive, the **NAR**. IPFS stores
//! content as **blocks**; the **CID** of a block contains its hash. This crate reads, writes and
//! verifies all of these formats. It also decides what to request from which gateway.
//!
//! The crate does no I/O: it takes bytes and returns values. It knows no sockets, files, clocks,
//! threads or `async`. The caller reads and writes, so the same code runs in a server, at the edge
//! and in a browser.
//!
//! # Modules
//!
//! | task | module |
//! |---|---|
//! | read and write narinfos | [`narinfo`], [`store_path`], [`hash`], [`nix_base32`] |
//! | verify and sign narinfos | [`trust`], [`signature`] |
//! | read, write and list NARs | [`nar`] |
//! | decompress NARs: gzip, zstd, lzip, xz | [`decompress`] |
//! | parse CIDs, verify blocks | [`cid`], [`block`] |
//! | read and build files and directories on IPFS | [`unixfs`], [`dag_pb`] |
//! | read and write CARs, which are streams of blocks | [`car`] |
//! | verify the signed records of IPNS names | [`ipns`] |
//! | fetch files and directories from gateways | [`fetch`] |
//! | decide which source a proxy uses during an install | [`install`] |
//! | cut NARs into pieces that similar items share | [`dedup`] |
//!
//! # List a NAR
//!
//! Parsers are *push parsers*: the caller passes the input in pieces of any size, and the parser
//! consumes bytes and returns events. `None` means that the piece is used up. `finish` tells
//! whether the input was complete. Memory stays small however large the input is.
//!
//! ```
//! use interplanar_core::nar::{Event, Parser};
//!
//! // A NAR with one file: each token is its length (8 bytes), its bytes, and padding to 8 bytes.
//! let mut nar = Vec::new();
//! for token in ["nix-archive-1", "(", "type", "regular", "contents", "hello", ")"] {
//!     nar.extend((token.len() as u64).to_le_bytes());
//!     nar.extend(token.bytes());
//!     nar.resize(nar.len().next_multiple_of(8), 0);
//! }
//!
//! let (mut parser, mut sizes) = (Parser::new(), Vec::new());
//! for mut piece in nar.chunks(10) {
//!     while let Some(event) = parser.push(&mut piece)? {
//!         if let Event::FileStart { size, .. } = event {
//!             sizes.push(size);
//!         }
//!     }
//! }
//! parser.finish()?;
//! assert_eq!(sizes, [5]);
//! # Ok::<(), interplanar_core::nar::NarError>(())
//! ```
//! A whole program: `cargo run --example list_nar -- FILE.nar`.
//!
//! # Verify a narinfo
//!
//! Types mark what was verified. A parsed narinfo proves nothing. Only
//! [`trust::TrustedKeys::verify`] makes a [`trust::Signed`], if a trusted key signed the narinfo.
//! It has the store path, the NarHash, the NarSize and the references, from the signed bytes alone.
//! URLs and CIDs are hints, which no signature covers.
//!
//! ```
//! use interplanar_core::narinfo::NarInfo;
//! use interplanar_core::signature::nix;
//! use interplanar_core::trust::{TrustError, TrustedKeys};
//!
//! let text = "\
//!     StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree\n\
//!     URL: nar/0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar\n\
//!     Compression: none\n\
//!     NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n\
//!     NarSize: 1272\n\
//!     References: \n\
//!     Sig: test-1:O38Kl6xy/DIcusDpWy0eFCYPFeqvHb21IP+JNlnU76yj\
//!     VHuckG2dNrBK/HgNAhOKZ/2RJXRWP0hEf7lCLxzNAw==\n";
//! let mut keys = TrustedKeys::default();
//! keys.nix.push(nix::PublicKey::parse("test-1:W7vf08UJWZmk+k/JiafSOqwqtOSJDA3HfjpkOT1xdOU=")?);
//!
//! let signed = keys.verify(&NarInfo::parse(text.as_bytes())?)?;
//! assert_eq!(signed.nar_size(), 1272);
//!
//! let forged = NarInfo::parse(text.replace("NarSize: 1272", "NarSize: 1273").as_bytes())?;
//! let error = keys.verify(&forged).unwrap_err();
//! assert!(matches!(error, TrustError::Bad { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! A whole program, for keys of Nix and Guix:
//! `cargo run --example verify_narinfo -- FILE.narinfo KEY_FILE`.
//!
//! # Fetch a CID from a gateway
//!
//! A [`fetch::Fetcher`] returns [`fetch::Action`]s, and its *driver* carries them out: it looks
//! blocks up, sends requests, writes content. The driver reports each result with the time in
//! milliseconds, and polls again. The engine verifies every block, retries, and changes gateways.
//!
//! ```
//! use interplanar_core::cid::IpfsUrl;
//! use interplanar_core::fetch::{Action, Fetcher, Gateway, GatewayPool, Options, Policy};
//!
//! # let cid = *interplanar_core::block::Block::raw("hello".into()).cid();
//! let mut pool = GatewayPool::new([Gateway::parse("http://127.0.0.1:8080")?], Policy::default());
//! let mut fetch = Fetcher::new(&IpfsUrl::new(cid), Options::default());
//! let (mut now_ms, mut content) = (0, Vec::new());
//! loop {
//!     now_ms += 1; // A real driver asks a clock here.
//!     match fetch.poll(&mut pool, now_ms) {
//!         Action::Load(cid) => fetch.loaded(&cid, None), // There is no local store here.
//!         Action::Request { id, url, .. } => {
//!             assert!(url.starts_with("http://127.0.0.1:8080/ipfs/"));
//!             // A real driver sends a GET request for `url` here.
//!             fetch.response(id, 200, None, &mut pool, now_ms);
//!             fetch.data(id, "hello".into(), &mut pool, now_ms);
//!             fetch.end(id, &mut pool, now_ms);
//!         }
//!         Action::Content(bytes) => content.extend(bytes),
//!         Action::Done(_) => break,
//!         Action::Failed(error) => return Err(error.into()),
//!         // Other actions: store a block, log an event, cancel a request, wait.
//!         _ => {}
//!     }
//! }
//! assert_eq!(content, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! A whole program with a real driver: `cargo run --example fetch_cid -- GATEWAY ipfs://CID`.
//!
//! A *walker* works the same way on a smaller scale. [`unixfs::Walker`] says which blocks it wants,
//! the caller pushes verified blocks, and it returns the content of the file in order.
//!
//! # Errors and limits
//!
//! Each module has one error type. An error says where the input is wrong and what the format
//! requires there. Input from the network never causes a panic. Every length is bounded by a
//! `MAX_…` constant of its module, and nothing is allocated for a length that was only announced.
//!
//! # Features and targets
//!
//! The crate has no features. It is `no_std` with `alloc`, has no unsafe code, and builds for
//! `wasm32-unknown-unknown` and `thumbv7em-none-eabihf` as well.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

// `cargo test --doc` runs the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod block;
pub mod car;
pub mod cid;
mod dag_cbor;
pub mod dag_pb;
pub mod decompress;
pub mod dedup;
pub mod fetch;
pub mod hash;
pub mod install;
pub mod ipns;
mod murmur3;
pub mod nar;
pub mod narinfo;
pub mod nix_base32;
pub mod signature;
pub mod store_path;
pub mod trust;
pub mod unixfs;
