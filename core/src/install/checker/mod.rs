//! Decodes, hashes and holds back: what leaves a [`Checker`] as a complete NAR is the NAR that the narinfo promises.
//!
//! One checker serves one response, over as many sources as it takes. Each source is decoded and hashed from its first byte.
//! An item of up to [`WHOLE`] bytes leaves when all of it is right; of a larger one everything but the newest piece leaves at
//! once, and the last piece when the hash of all is right. A source that stops in the middle does no harm: the next one is
//! compared with what has left already (by hash), and goes on from there. Where the two differ, somebody lied and nobody
//! knows who: then nothing leaves any more, and the second source is checked to its end only to find out.
//!
//! Without I/O: a [`Sink`] takes what leaves; it may wait for the client, or queue, since each step gives it little.
//!
//! ```
//! use bytes::Bytes;
//! use interplanar_core::decompress::Decoder;
//! use interplanar_core::hash::Sha256;
//! use interplanar_core::narinfo::Compression;
//! use interplanar_core::install::checker::Checker;
//! let mut checker = Checker::<Decoder, Vec<Bytes>>::new(Sha256::of(b"hello"), 5, 8 << 20, Vec::new());
//! checker.begin(Compression::None).unwrap();
//! checker.push(&Bytes::from_static(b"hello")).unwrap();
//! assert!(checker.sent() == 0);
//! checker.end().unwrap();
//! assert_eq!(checker.into_sink().concat(), b"hello");
//! ```

mod decode;
#[cfg(test)]
mod tests;

pub use decode::Decode;

use crate::decompress::{Limits, STEP};
use crate::hash::{Sha256, Sha256Hasher};
use crate::narinfo::Compression;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf as _, Bytes};

/// Items up to this size are verified whole before their first byte leaves.
pub const WHOLE: u64 = 8 << 20;

/// Smaller pieces of plain data are gathered, so that a server that sends byte by byte doesn't fill the memory with pieces.
const SMALL: usize = 16 << 10;

/// Where verified and nearly verified bytes go.
pub trait Sink {
    /// Takes the next piece, in order.
    ///
    /// # Errors
    /// Nobody wants more.
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

/// The client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Why a source is of no use.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault<E> {
    /// It can't be decoded.
    #[error("{0}")]
    Decode(E),
    /// More than `NarSize`.
    #[error("the NAR has {found} bytes or more, not {expected}")]
    TooLong {
        /// Bytes so far.
        found: u64,
        /// `NarSize`.
        expected: u64,
    },
    /// Less than `NarSize`.
    #[error("the NAR has {found} bytes, not {expected}")]
    TooShort {
        /// All bytes.
        found: u64,
        /// `NarSize`.
        expected: u64,
    },
    /// All is there and it is not what was signed.
    #[error("the NAR has the hash {found}, not {expected}")]
    Hash {
        /// Of what came.
        found: Sha256,
        /// `NarHash`.
        expected: Sha256,
    },
}

/// Why a source ends here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop<E> {
    /// The source is of no use.
    Wrong(Fault<E>),
    /// The source is right to its end, but what has left before was not: the response can't be completed.
    TooLate,
    /// The client is gone.
    Gone,
}

impl<E> From<Fault<E>> for Stop<E> {
    fn from(fault: Fault<E>) -> Self {
        Self::Wrong(fault)
    }
}

/// See the module.
pub struct Checker<D, S> {
    expected: Sha256,
    size: u64,
    sink: S,
    /// Bytes that have left, and the state of the hash after them.
    sent: u64,
    sent_state: Sha256Hasher,
    /// What has left is not what a later source says.
    contradicted: bool,
    /// The largest window that is decoded, in bytes.
    max_window: u64,
    source: Source<D>,
}

/// The state of one source.
struct Source<D> {
    /// None where the NAR comes as it is.
    decoder: Option<D>,
    out: Vec<u8>,
    state: Sha256Hasher,
    position: u64,
    /// Decoded and hashed, but not sent; with the state of the hash after each piece.
    held: VecDeque<(Bytes, Sha256Hasher)>,
}

impl<D: Decode, S: Sink> Checker<D, S> {
    /// A checker for a NAR of `size` bytes with the hash `expected`; windows of decoders may have `max_window` bytes.
    pub fn new(expected: Sha256, size: u64, max_window: u64, sink: S) -> Self {
        let state = Sha256Hasher::new();
        Self {
            max_window,
            expected,
            size,
            sink,
            sent: 0,
            sent_state: state.clone(),
            contradicted: false,
            source: Source::new(None),
        }
    }

    /// How many bytes have left.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Gives the sink back, to be closed.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// What leaves, for a sink that queues.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Begins a new source, from its first byte; what an earlier one held back is dropped.
    ///
    /// # Errors
    /// [`Fault::Decode`] where there is no decoder for it.
    pub fn begin(&mut self, compression: Compression) -> Result<(), Stop<D::Error>> {
        let limits = Limits {
            max_output: self.size,
            max_window: self.max_window,
        };
        let decoder = match compression {
            Compression::None => None,
            other => Some(D::begin(other, limits).map_err(Fault::Decode)?),
        };
        self.source = Source::new(decoder);
        Ok(())
    }

    /// Takes the next piece of the source, compressed as it is.
    ///
    /// # Errors
    /// [`Stop`]; then the source is over.
    pub fn push(&mut self, piece: &Bytes) -> Result<(), Stop<D::Error>> {
        let mut input = piece.clone();
        while !input.is_empty() {
            self.step(&mut input)?;
        }
        Ok(())
    }

    /// Takes from the front of the next piece, until about [`STEP`] bytes of the NAR came out or it is empty: for a sink that
    /// queues, and is emptied after each step.
    ///
    /// # Errors
    /// [`Stop`]; then the source is over.
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

    /// The source is complete, says its sender. When this is right, so is all that has left.
    ///
    /// # Errors
    /// [`Stop`]; only without it is the NAR complete.
    pub fn end(&mut self) -> Result<(), Stop<D::Error>> {
        while !self.end_step()? {}
        Ok(())
    }

    /// As [`Self::end`], about [`STEP`] bytes at once (at the end, all that was held back): true when it is complete.
    ///
    /// # Errors
    /// [`Stop`].
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
        let Source {
            position, state, ..
        } = &self.source;
        if *position < self.size {
            return Err(Fault::TooShort {
                found: *position,
                expected: self.size,
            }
            .into());
        }
        let found = state.clone().finish();
        if found != self.expected {
            return Err(Fault::Hash {
                found,
                expected: self.expected,
            }
            .into());
        }
        if self.contradicted {
            return Err(Stop::TooLate);
        }
        while self.send_oldest()? {}
        Ok(())
    }

    /// Takes the next piece of the NAR itself.
    fn take(&mut self, mut piece: Bytes) -> Result<(), Stop<D::Error>> {
        let found = self.source.position.saturating_add(piece.len() as u64);
        if found > self.size {
            return Err(Fault::TooLong {
                found,
                expected: self.size,
            }
            .into());
        }
        // What has left already is compared, not sent again.
        let known = self.sent.saturating_sub(self.source.position);
        if known > 0 {
            let known = piece.split_to(
                usize::try_from(known)
                    .unwrap_or(usize::MAX)
                    .min(piece.len()),
            );
            self.source.advance(&known);
            if self.source.position == self.sent {
                self.contradicted |=
                    self.source.state.clone().finish() != self.sent_state.clone().finish();
            }
        }
        if piece.is_empty() {
            return Ok(());
        }
        self.source.advance(&piece);
        if self.contradicted {
            return Ok(());
        }
        self.source
            .held
            .push_back((piece, self.source.state.clone()));
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

impl<D> Source<D> {
    fn new(decoder: Option<D>) -> Self {
        Self {
            decoder,
            out: Vec::new(),
            state: Sha256Hasher::new(),
            position: 0,
            held: VecDeque::new(),
        }
    }

    fn advance(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.position = self.position.saturating_add(piece.len() as u64);
    }
}
