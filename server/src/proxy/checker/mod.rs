//! Decodes, hashes and holds back: what leaves a [`Checker`] as a complete NAR is the NAR that the narinfo promises.
//!
//! One checker serves one response, over as many sources as it takes. Each source is decoded and hashed from its first byte.
//! An item of up to [`WHOLE`] bytes leaves when all of it is right; of a larger one everything but the newest piece leaves at
//! once, and the last piece when the hash of all is right. A source that stops in the middle does no harm: the next one is
//! compared with what has left already (by hash), and goes on from there. Where the two differ, somebody lied and nobody
//! knows who: then nothing leaves any more, and the second source is checked to its end only to find out.
//!
//! Blocking: everything here computes, and [`Sink::send`] may wait for the client.

#[cfg(test)]
mod tests;

use crate::decode::{DecodeError, Decoder, OUTPUT_STEP};
use bytes::Bytes;
use interplanar_core::decompress::Limits;
use interplanar_core::hash::{Sha256, Sha256Hasher};
use interplanar_core::narinfo::Compression;
use std::collections::VecDeque;

/// Items up to this size are verified whole before their first byte leaves.
pub(super) const WHOLE: u64 = 8 << 20;
/// The largest zstd window that is decoded (design.md).
const MAX_WINDOW: u64 = 128 << 20;

/// Smaller pieces of plain data are gathered, so that a server that sends byte by byte doesn't fill the memory with pieces.
const SMALL: usize = 16 << 10;

/// Where verified and nearly verified bytes go.
pub(super) trait Sink {
    /// Takes the next piece, in order.
    fn send(&mut self, piece: Bytes) -> Result<(), Gone>;
}

/// The client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// Why a source is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It can't be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More or less than `NarSize`.
    #[error("the NAR has {found} bytes or more, not {expected}")]
    TooLong { found: u64, expected: u64 },
    #[error("the NAR has {found} bytes, not {expected}")]
    TooShort { found: u64, expected: u64 },
    /// All is there and it is not what was signed.
    #[error("the NAR has the hash {found}, not {expected}")]
    Hash { found: Sha256, expected: Sha256 },
}

/// Why a source ends here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The source is of no use.
    Wrong(Fault),
    /// The source is right to its end, but what has left before was not: the response can't be completed.
    TooLate,
    /// The client is gone.
    Gone,
}

impl<F: Into<Fault>> From<F> for Stop {
    fn from(fault: F) -> Self {
        Self::Wrong(fault.into())
    }
}

/// See the module.
pub(super) struct Checker<S> {
    expected: Sha256,
    size: u64,
    sink: S,
    /// Bytes that have left, and the state of the hash after them.
    sent: u64,
    sent_state: Sha256Hasher,
    /// What has left is not what a later source says.
    contradicted: bool,
    source: Source,
}

/// The state of one source.
struct Source {
    /// None where the NAR comes as it is.
    decoder: Option<Decoder>,
    out: Vec<u8>,
    state: Sha256Hasher,
    position: u64,
    /// Decoded and hashed, but not sent; with the state of the hash after each piece.
    held: VecDeque<(Bytes, Sha256Hasher)>,
}

impl<S: Sink> Checker<S> {
    /// A checker for a NAR of `size` bytes with the hash `expected`.
    pub(super) fn new(expected: Sha256, size: u64, sink: S) -> Self {
        let state = Sha256Hasher::new();
        let source = Source {
            decoder: None,
            out: Vec::new(),
            state: state.clone(),
            position: 0,
            held: VecDeque::new(),
        };
        Self {
            expected,
            size,
            sink,
            sent: 0,
            sent_state: state,
            contradicted: false,
            source,
        }
    }

    /// How many bytes have left.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Gives the sink back, to be closed.
    pub(super) fn into_sink(self) -> S {
        self.sink
    }

    /// Begins a new source, from its first byte; what an earlier one held back is dropped.
    pub(super) fn begin(&mut self, compression: Compression) -> Result<(), Stop> {
        let limits = Limits {
            max_output: self.size,
            max_window: MAX_WINDOW,
        };
        let decoder = match compression {
            Compression::None => None,
            other => Some(Decoder::new(other, limits).map_err(Fault::from)?),
        };
        let (out, state) = (Vec::new(), Sha256Hasher::new());
        self.source = Source {
            decoder,
            out,
            state,
            position: 0,
            held: VecDeque::new(),
        };
        Ok(())
    }

    /// Takes the next piece of the source, compressed as it is.
    pub(super) fn push(&mut self, piece: &Bytes) -> Result<(), Stop> {
        if self.source.decoder.is_none() && self.source.out.is_empty() && piece.len() >= SMALL {
            return self.take(piece.clone());
        }
        let mut input = piece.as_ref();
        while !input.is_empty() {
            match &mut self.source.decoder {
                Some(decoder) => decoder
                    .push(&mut input, &mut self.source.out)
                    .map_err(Fault::from)?,
                None => self
                    .source
                    .out
                    .extend_from_slice(std::mem::take(&mut input)),
            }
            if self.source.out.len() >= OUTPUT_STEP {
                let full = std::mem::take(&mut self.source.out);
                self.take(full.into())?;
            }
        }
        Ok(())
    }

    /// The source is complete, says its sender. When this is right, so is all that has left.
    pub(super) fn end(&mut self) -> Result<(), Stop> {
        loop {
            let complete = match &mut self.source.decoder {
                Some(decoder) => decoder.finish(&mut self.source.out).map_err(Fault::from)?,
                None => true,
            };
            let rest = std::mem::take(&mut self.source.out);
            self.take(rest.into())?;
            if complete {
                break;
            }
        }
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
    fn take(&mut self, mut piece: Bytes) -> Result<(), Stop> {
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

    fn send_oldest(&mut self) -> Result<bool, Stop> {
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

impl Source {
    fn advance(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.position = self.position.saturating_add(piece.len() as u64);
    }
}
