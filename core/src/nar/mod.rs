//! The Nix archive (NAR): one store item as a stream of bytes.
//!
//! - [`Parser`]: turns pushed bytes into [`Event`]s. File data is a slice of the input.
//! - [`NarHasher`]: hashes an archive and checks in the same pass that it is well-formed.
//! - [`Encoder`]: turns events into bytes, so that `encode ∘ parse` is the identity.
//! - [`Listing`]: the tree with the offset of each file, and Nix's `.ls` files.
//! - [`NarSkimmer`]: builds a listing without reading the contents of files.
//! - [`Restore`]: lists what to create, in order, to unpack an archive.
//!
//! The grammar is in the source of `wire`. Restrictions: names have 1–255 bytes without `/` and
//! NUL, are neither `.` nor `..`, and are strictly increasing. At most 64 directories are nested.
//! Symlink targets have 1–4095 bytes without NUL. Padding is zero. Nothing follows the archive.
//!
//! ```
//! use interplanar_core::nar::{Encoder, Event, Parser};
//! let mut nar = vec![];
//! let mut encoder = Encoder::new();
//! for event in [Event::Symlink { target: b"elsewhere" }, Event::End] {
//!     encoder.write(event, &mut nar).unwrap();
//! }
//! let mut parser = Parser::new();
//! let mut input = nar.as_slice();
//! assert_eq!(parser.push(&mut input), Ok(Some(Event::Symlink { target: b"elsewhere" })));
//! assert_eq!(parser.push(&mut input), Ok(Some(Event::End)));
//! assert_eq!(parser.finish(), Ok(()));
//! ```

mod encode;
mod error;
mod hasher;
mod listing;
#[cfg(test)]
pub(crate) mod malformed;
mod parse;
mod restore;
mod skim;
#[cfg(test)]
mod tests;
mod wire;

pub use encode::Encoder;
pub use error::NarError;
pub use hasher::NarHasher;
pub use listing::{ListEntry, Listing, MAX_ENTRIES, Node};
pub use parse::{Event, Parser};
pub use restore::{Restore, RestoreStep};
pub use skim::NarSkimmer;
pub use wire::{MAX_DEPTH, MAX_NAME, MAX_TARGET};
