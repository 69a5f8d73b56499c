//! Decodes, hashes, parses and holds back the bytes of a NAR. A NAR that leaves a [`Checker`]
//! complete is the one that the narinfo's signature covers, and it is well-formed.
//!
//! One checker serves one response and can try any number of sources. It decodes and hashes each
//! source from its first byte.
//!
//! - An item of up to [`WHOLE`] bytes is sent only once all of it is verified.
//! - Of a larger item, everything except the newest piece is sent at once. The last piece is sent
//!   once the hash of the whole NAR is right.
//! - If a source stops early, the next one continues. The checker compares, by hash, the bytes of
//!   the new source with those already sent.
//! - If they differ, one of the two sources is wrong, and it is not known which. Then nothing more
//!   is sent. The second source is still checked to its end, to find out which one was wrong.
//! - If a source is not a NAR from some byte on, nothing from there on is sent. The source is still
//!   checked to its end, at most `NarSize` bytes. Only then the hash shows whether this source is
//!   wrong ([`Fault::Malformed`]), or all right sources send these bytes ([`Stop::Malformed`]).
//!
//! The checker does no I/O: a [`Sink`] takes the bytes to send. The sink may wait for the client,
//! or queue the pieces, since each step produces only a few.
//!
//! ```
//! use bytes::Bytes;
//! use interplanar_core::decompress::Decoder;
//! use interplanar_core::hash::Sha256;
//! use interplanar_core::narinfo::Compression;
//! use interplanar_core::install::checker::Checker;
//! use interplanar_core::nar::{Encoder, Event};
//! let (mut encoder, mut nar) = (Encoder::new(), Vec::new());
//! for event in [Event::Symlink { target: b"elsewhere" }, Event::End] {
//!     encoder.write(event, &mut nar).unwrap();
//! }
//! let (hash, size) = (Sha256::of(&nar), nar.len() as u64);
//! let mut checker = Checker::<Decoder, Vec<Bytes>>::new(hash, size, 8 << 20, Vec::new());
//! checker.begin(Compression::None).unwrap();
//! checker.push(&Bytes::from(nar.clone())).unwrap();
//! assert!(checker.sent() == 0);
//! checker.end().unwrap();
//! assert_eq!(checker.into_sink().concat(), nar);
//! ```

mod decode;
#[cfg(test)]
mod tests;

pub use decode::Decode;

use crate::decompress::{Limits, STEP};
use crate::hash::{Sha256, Sha256Hasher};
use crate::nar::{NarError, NarHasher};
use crate::narinfo::Compression;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf as _, Bytes};

/// Size up to which an item is verified whole before its first byte is sent, in bytes.
pub const WHOLE: u64 = 8 << 20;

/// Pieces of uncompressed data below this size in bytes are joined. Otherwise a server that sends
/// byte by byte would fill the memory with small pieces.
const SMALL: usize = 16 << 10;

/// Takes the bytes that the checker sends.
pub trait Sink {
    /// Takes the next piece, in order.
    ///
    /// # Errors
    /// [`Gone`] if the receiver wants no more.
    fn send(&mut self, piece: Bytes) -> Result<(), Gone>;
}

impl Sink for Vec<Bytes> {
    fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        self.push(piece);
        Ok(())
    }
}

impl Sink for VecDeque<Bytes> {
    fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        self.push_back(piece);
        Ok(())
    }
}

/// The client closed the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Why a source can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault<E> {
    /// The source can't be decoded.
    #[error("{0}")]
    Decode(E),
    /// The source has more than `NarSize` bytes.
    #[error("the NAR has at least {found} bytes, not {expected}")]
    TooLong {
        /// Bytes received so far.
        found: u64,
        /// `NarSize`.
        expected: u64,
    },
    /// The source ended before `NarSize` bytes.
    #[error("the NAR has {found} bytes, not {expected}")]
    TooShort {
        /// Bytes received in total.
        found: u64,
        /// `NarSize`.
        expected: u64,
    },
    /// The source has `NarSize` bytes, but its hash is not the signed one.
    #[error("the NAR has the hash {found}, not {expected}")]
    Hash {
        /// Hash of the bytes received.
        found: Sha256,
        /// `NarHash`.
        expected: Sha256,
    },
    /// The source has `NarSize` bytes, but it is not a NAR, and its hash is not the signed one.
    #[error("the NAR is malformed: {0}")]
    Malformed(NarError),
}

/// Why the checker stopped a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop<E> {
    /// The source is wrong.
    Wrong(Fault<E>),
    /// The source is right to its end, but the bytes sent earlier were wrong: the response can't be
    /// completed.
    TooLate,
    /// The source is right to its end, but the NAR that was signed is malformed. All right sources
    /// send the same bytes, so no source can complete the response.
    Malformed(NarError),
    /// The client closed the connection.
    Gone,
}

impl<E> From<Fault<E>> for Stop<E> {
    fn from(fault: Fault<E>) -> Self {
        Self::Wrong(fault)
    }
}

/// Checks the bytes of a NAR from one or more sources. See the [module](self).
pub struct Checker<D, S> {
    expected: Sha256,
    size: u64,
    sink: S,
    /// Number of bytes sent.
    sent: u64,
    sent_state: Sha256Hasher,
    /// The bytes sent differ from those of a later source.
    contradicted: bool,
    /// Largest window that a decoder may use, in bytes.
    max_window: u64,
    source: SourceState<D>,
}

/// State of the source that is being read.
struct SourceState<D> {
    /// `None` if the NAR is not compressed.
    decoder: Option<D>,
    out: Vec<u8>,
    nar: NarHasher,
    /// Pieces that are decoded and hashed but not sent, each with the hash state after it.
    held: VecDeque<(Bytes, Sha256Hasher)>,
}

impl<D: Decode, S: Sink> Checker<D, S> {
    /// Makes a checker for a NAR of `size` bytes whose hash is `expected`. Decoders may use windows
    /// of up to `max_window` bytes.
    pub fn new(expected: Sha256, size: u64, max_window: u64, sink: S) -> Self {
        Self {
            max_window,
            expected,
            size,
            sink,
            sent: 0,
            sent_state: Sha256Hasher::new(),
            contradicted: false,
            source: SourceState::new(None),
        }
    }

    /// Number of bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the sink, so that the caller can close it.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// Gives access to the sink, for example to empty its queue.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Starts a new source, from its first byte. Bytes that were held back from the source before
    /// it are dropped.
    ///
    /// # Errors
    /// [`Fault::Decode`] if there is no decoder for `compression`.
    pub fn begin(&mut self, compression: Compression) -> Result<(), Stop<D::Error>> {
        let limits = Limits {
            max_output: self.size,
            max_window: self.max_window,
        };
        let decoder = match compression {
            Compression::None => None,
            other => Some(D::begin(other, limits).map_err(Fault::Decode)?),
        };
        self.source = SourceState::new(decoder);
        Ok(())
    }

    /// Reads the next piece of the source, still compressed.
    ///
    /// # Errors
    /// [`Stop`] if the source is wrong or the client is gone. The source then ends.
    pub fn push(&mut self, piece: &Bytes) -> Result<(), Stop<D::Error>> {
        let mut input = piece.clone();
        while !input.is_empty() {
            self.step(&mut input)?;
        }
        Ok(())
    }

    /// Consumes `input` until it is empty or about [`STEP`] bytes of the NAR were decoded. It is
    /// for a sink that queues, and whose queue is emptied after each step.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn step(&mut self, input: &mut Bytes) -> Result<(), Stop<D::Error>> {
        let Some(decoder) = &mut self.source.decoder else {
            let piece = core::mem::take(input);
            if self.source.out.is_empty() && piece.len() >= SMALL {
                return self.take(piece);
            }
            self.source.out.extend_from_slice(&piece);
            return self.take_full();
        };
        let mut rest = input.as_ref();
        let pushed = decoder.push(&mut rest, &mut self.source.out);
        let taken = input.len().saturating_sub(rest.len());
        input.advance(taken);
        pushed.map_err(Fault::Decode)?;
        self.take_full()
    }

    fn take_full(&mut self) -> Result<(), Stop<D::Error>> {
        if self.source.out.len() < STEP {
            return Ok(());
        }
        let full = core::mem::take(&mut self.source.out);
        self.take(full.into())
    }

    /// Ends the source, which its sender reported as complete. The NAR is complete if this
    /// succeeds.
    ///
    /// # Errors
    /// [`Stop`] if the source is wrong, or the bytes sent before it were.
    pub fn end(&mut self) -> Result<(), Stop<D::Error>> {
        while !self.end_step()? {}
        Ok(())
    }

    /// As [`Self::end`], about [`STEP`] bytes at a time. The last step also sends all pieces that
    /// were held back. Returns true once the NAR is complete.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub fn end_step(&mut self) -> Result<bool, Stop<D::Error>> {
        let complete = match &mut self.source.decoder {
            Some(decoder) => decoder
                .finish(&mut self.source.out)
                .map_err(Fault::Decode)?,
            None => true,
        };
        let rest = core::mem::take(&mut self.source.out);
        self.take(rest.into())?;
        if complete {
            self.conclude()?;
        }
        Ok(complete)
    }

    fn conclude(&mut self) -> Result<(), Stop<D::Error>> {
        let (nar, expected) = (&self.source.nar, self.expected);
        if nar.size() < self.size {
            return Err(Fault::TooShort {
                found: nar.size(),
                expected: self.size,
            }
            .into());
        }
        let found = nar.hash();
        if found != expected {
            let malformed = nar.error().cloned().map(Fault::Malformed);
            return Err(malformed.unwrap_or(Fault::Hash { found, expected }).into());
        }
        nar.finish().map_err(Stop::Malformed)?;
        if self.contradicted {
            return Err(Stop::TooLate);
        }
        while self.send_oldest()? {}
        Ok(())
    }

    /// Adds the next piece of the decoded NAR.
    fn take(&mut self, mut piece: Bytes) -> Result<(), Stop<D::Error>> {
        let nar = &mut self.source.nar;
        let found = nar.size().saturating_add(piece.len() as u64);
        if found > self.size {
            return Err(Fault::TooLong {
                found,
                expected: self.size,
            }
            .into());
        }
        // Bytes that were already sent are only compared.
        let known = self.sent.saturating_sub(nar.size());
        if known > 0 {
            let known = piece.split_to(
                usize::try_from(known)
                    .unwrap_or(usize::MAX)
                    .min(piece.len()),
            );
            nar.update(&known);
            if nar.size() == self.sent {
                self.contradicted |= nar.hash() != self.sent_state.clone().finish();
            }
        }
        if piece.is_empty() {
            return Ok(());
        }
        nar.update(&piece);
        // A malformed piece doesn't end the source, because only the hash of the whole tells whom
        // to blame. It costs no memory, and no more time than any other wrong source.
        if self.contradicted || nar.error().is_some() {
            return Ok(());
        }
        let state = nar.hash_state().clone();
        self.source.held.push_back((piece, state));
        while self.size > WHOLE && self.source.held.len() > 1 {
            self.send_oldest()?;
        }
        Ok(())
    }

    fn send_oldest(&mut self) -> Result<bool, Stop<D::Error>> {
        let Some((piece, state)) = self.source.held.pop_front() else {
            return Ok(false);
        };
        let length = piece.len() as u64;
        self.sink.send(piece).map_err(|Gone| Stop::Gone)?;
        self.sent = self.sent.saturating_add(length);
        self.sent_state = state;
        Ok(true)
    }
}

impl<D> SourceState<D> {
    fn new(decoder: Option<D>) -> Self {
        Self {
            decoder,
            out: Vec::new(),
            nar: NarHasher::new(),
            held: VecDeque::new(),
        }
    }
}
