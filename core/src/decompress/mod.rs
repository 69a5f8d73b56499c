//! Decompression of NARs, pushed and bounded: none, gzip, zstd, lzip and xz.
//!
//! All take their input in pieces of any size, and concatenated members, frames or streams as one. Checksums and sizes inside the
//! formats are checked. Memory is the format's window and at most 192 KiB of input. bzip2 and br are named and refused.
//!
//! ```
//! use interplanar_core::decompress::{Decoder, Limits};
//! use interplanar_core::narinfo::Compression;
//! let gzip = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5, 0, 0, 0];
//! let mut decoder = Decoder::new(Compression::Gzip, Limits { max_output: 100, max_window: 1 << 23 }).unwrap();
//! let (mut input, mut out) = (&gzip[..], vec![]);
//! while !input.is_empty() {
//!     decoder.push(&mut input, &mut out).unwrap();
//! }
//! while !decoder.finish(&mut out).unwrap() {}
//! assert_eq!(out, b"hello");
//! ```

mod crc;
mod gzip;
mod held;
mod lzip;
mod lzma;
mod lzma2;
#[cfg(test)]
mod tests;
mod xz;
mod zstd;

use crate::narinfo::Compression;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Output after which [`Decoder::push`] returns, so that a caller can hand it on; one call may give up to [`MAX_STEP`] more.
pub const STEP: usize = 256 << 10;
/// Most output between two looks at [`STEP`]: an LZMA2 chunk.
pub const MAX_STEP: usize = 2 << 20;

/// What a decoder may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of output; one more is an error.
    pub max_output: u64,
    /// Bytes of window that are kept. Data that ask for more are an error, unless their output is bounded by less.
    pub max_window: u64,
}

/// Why bytes can't be decompressed. Offsets count bytes of the compressed input.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// A method that has no decoder here.
    #[error("compression {} is not supported: expected none, gzip, zstd, lzip or xz", .0.as_str())]
    Unsupported(Compression),
    /// Something in the format that has no decoder here.
    #[error("byte {at}: {what} is not supported")]
    UnsupportedFeature {
        /// Where.
        at: u64,
        /// What.
        what: &'static str,
    },
    /// Not the format.
    #[error("byte {at}: expected {expected}")]
    Malformed {
        /// Near where.
        at: u64,
        /// What should be there.
        expected: &'static str,
    },
    /// A checksum or size in the data is not that of the output.
    #[error("byte {at}: {what} does not match")]
    Mismatch {
        /// Near where.
        at: u64,
        /// Which.
        what: &'static str,
    },
    /// The input ends inside of the data.
    #[error("the compressed data ends at byte {at}, inside of it")]
    Truncated {
        /// Where.
        at: u64,
    },
    /// More output than allowed.
    #[error("more than {limit} bytes of output")]
    OutputLimit {
        /// The limit.
        limit: u64,
    },
    /// A larger window than allowed.
    #[error("a window of {window} bytes; {limit} are allowed")]
    WindowLimit {
        /// What the data want.
        window: u64,
        /// The limit.
        limit: u64,
    },
}

enum Method {
    None,
    Gzip(Box<gzip::Gzip>),
    Zstd(Box<zstd::Zstd>),
    Lzip(Box<lzip::Lzip>),
    Xz(Box<xz::Xz>),
}

/// Decompresses one NAR.
pub struct Decoder {
    method: Method,
    limits: Limits,
    consumed: u64,
    produced: u64,
}

impl Decoder {
    /// Starts.
    ///
    /// # Errors
    /// [`DecompressError::Unsupported`] for bzip2 and br.
    pub fn new(compression: Compression, limits: Limits) -> Result<Self, DecompressError> {
        let method = match compression {
            Compression::None => Method::None,
            Compression::Gzip => Method::Gzip(Box::new(gzip::Gzip::new())),
            Compression::Zstd => Method::Zstd(Box::new(zstd::Zstd::new())),
            Compression::Lzip => Method::Lzip(Box::new(lzip::Lzip::new())),
            Compression::Xz => Method::Xz(Box::new(xz::Xz::new())),
            Compression::Bzip2 | Compression::Br => {
                return Err(DecompressError::Unsupported(compression));
            }
        };
        Ok(Self {
            method,
            limits,
            consumed: 0,
            produced: 0,
        })
    }

    /// Takes from `input` and appends to `out`, until the input is used up or [`STEP`] bytes are appended: call it until
    /// the input is empty.
    ///
    /// # Errors
    /// [`DecompressError`]; what was appended before is right, but the decoder can't be used afterwards.
    pub fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecompressError> {
        let (had, filled) = (input.len(), out.len());
        let result = match &mut self.method {
            Method::None => {
                let (head, rest) = input.split_at_checked(STEP).unwrap_or((input, &[]));
                out.extend_from_slice(head);
                *input = rest;
                Ok(())
            }
            Method::Gzip(gzip) => gzip.push(input, out),
            Method::Zstd(zstd) => zstd.push(input, out, &self.limits),
            Method::Lzip(lzip) => lzip.push(input, out, &self.limits),
            Method::Xz(xz) => xz.push(input, out, &self.limits),
        };
        self.consumed = self
            .consumed
            .saturating_add(had.saturating_sub(input.len()) as u64);
        self.account(out.len().saturating_sub(filled))?;
        result.map_err(|fault| fault.at(self.consumed))
    }

    /// Says that no more input comes, and appends what is left, about [`STEP`] bytes at once: call it until it says `true`.
    ///
    /// # Errors
    /// [`DecompressError::Truncated`] when the data are not over.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, DecompressError> {
        let filled = out.len();
        self.push(&mut [].as_slice(), out)?;
        if out.len() > filled {
            return Ok(false);
        }
        let over = match &self.method {
            Method::None => true,
            Method::Gzip(gzip) => gzip.is_over(),
            Method::Zstd(zstd) => zstd.is_over(),
            Method::Lzip(lzip) => lzip.is_over(),
            Method::Xz(xz) => xz.is_over(),
        };
        if over {
            Ok(true)
        } else {
            Err(DecompressError::Truncated { at: self.consumed })
        }
    }

    /// Bytes of output until now.
    #[must_use]
    pub fn produced(&self) -> u64 {
        self.produced
    }

    fn account(&mut self, added: usize) -> Result<(), DecompressError> {
        self.produced = self.produced.saturating_add(added as u64);
        let limit = self.limits.max_output;
        if self.produced > limit {
            Err(DecompressError::OutputLimit { limit })
        } else {
            Ok(())
        }
    }
}

/// A fault of a format, before it is known where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Malformed(&'static str),
    Mismatch(&'static str),
    Feature(&'static str),
    Window { window: u64, limit: u64 },
}

impl Fault {
    fn at(self, at: u64) -> DecompressError {
        match self {
            Self::Malformed(expected) => DecompressError::Malformed { at, expected },
            Self::Mismatch(what) => DecompressError::Mismatch { at, what },
            Self::Feature(what) => DecompressError::UnsupportedFeature { at, what },
            Self::Window { window, limit } => DecompressError::WindowLimit { window, limit },
        }
    }
}

impl Limits {
    /// The window to keep for data that ask for `window`: what lies beyond the output limit is never looked at.
    fn window(&self, window: u64) -> Result<usize, Fault> {
        let limit = self.max_window;
        let needed = window.min(self.max_output).max(1);
        if needed > limit {
            return Err(Fault::Window { window, limit });
        }
        usize::try_from(needed).map_err(|_| Fault::Window { window, limit })
    }
}
