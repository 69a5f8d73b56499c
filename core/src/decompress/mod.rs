//! Decompresses NARs with bounded memory, from pushed input: none, gzip, zstd, lzip and xz.
//!
//! Every decoder accepts input in pieces of any size. It decodes concatenated members, frames or
//! streams as one. It checks the checksums and sizes in the format. It needs the format's window
//! and at most [`MAX_TABLES`] more: no length in the input decides how much it reserves. bzip2 and
//! br are refused by name.
//!
//! ```
//! use interplanar_core::decompress::{Decoder, Limits};
//! use interplanar_core::narinfo::Compression;
//! let gzip = [
//!     31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5, 0, 0, 0,
//! ];
//! let limits = Limits { max_output: 100, max_window: 1 << 23 };
//! let mut decoder = Decoder::new(Compression::Gzip, limits).unwrap();
//! let (mut input, mut out) = (&gzip[..], vec![]);
//! while !input.is_empty() {
//!     decoder.push(&mut input, &mut out).unwrap();
//! }
//! while !decoder.finish(&mut out).unwrap() {}
//! assert_eq!(out, b"hello");
//! ```

mod crc;
mod gzip;
mod input_buffer;
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

/// Bytes of output after which [`Decoder::push`] returns, so that the caller can pass them on. One
/// call may produce up to [`MAX_STEP`] bytes more.
pub const STEP: usize = 256 << 10;
/// Most bytes of output between two comparisons with [`STEP`]: one LZMA2 chunk.
pub const MAX_STEP: usize = 2 << 20;
/// Most bytes that a decoder takes beside its window: buffers, and the tables of the formats. The
/// window itself takes up to three times its size while it grows.
pub const MAX_TABLES: usize = 2 << 20;

/// Limits on what a decoder may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of output. One byte more is an error.
    pub max_output: u64,
    /// Most bytes of window to keep. Data with a larger window is an error, unless `max_output` is
    /// at most this.
    pub max_window: u64,
}

/// Why bytes can't be decompressed. Offsets count bytes of the compressed input.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// This compression method has no decoder here.
    #[error("compression {} is not supported: expected none, gzip, zstd, lzip or xz", .0.as_str())]
    Unsupported(Compression),
    /// The data uses a feature of the format that has no decoder here.
    #[error("byte {at}: {what} is not supported")]
    UnsupportedFeature {
        /// Offset near the feature.
        at: u64,
        /// The feature.
        what: &'static str,
    },
    /// The data doesn't follow the format.
    #[error("byte {at}: expected {expected}")]
    Malformed {
        /// Offset near the fault.
        at: u64,
        /// What the format requires.
        expected: &'static str,
    },
    /// A checksum or size in the data doesn't match the output.
    #[error("byte {at}: {what} does not match the data")]
    Mismatch {
        /// Offset near the fault.
        at: u64,
        /// The checksum or size.
        what: &'static str,
    },
    /// The input ends before the compressed data does.
    #[error("the compressed data is truncated at byte {at}")]
    Truncated {
        /// Offset at which the input ends.
        at: u64,
    },
    /// The output is larger than [`Limits::max_output`].
    #[error("the output is larger than {limit} bytes")]
    OutputLimit {
        /// The limit in bytes.
        limit: u64,
    },
    /// The window is larger than [`Limits::max_window`].
    #[error("the data needs a window of {window} bytes, but at most {limit} are allowed")]
    WindowLimit {
        /// Bytes that the data needs.
        window: u64,
        /// The limit in bytes.
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
    /// Creates a decoder for a compression method.
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

    /// Reads from `input` and appends to `out`, until the input is used up or [`STEP`] bytes were
    /// appended. Call it until the input is empty.
    ///
    /// # Errors
    /// [`DecompressError`]. Output appended before the error is correct. The decoder can't be used
    /// afterwards.
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

    /// Ends the input and appends the remaining output, about [`STEP`] bytes per call. Call it
    /// until it returns `true`.
    ///
    /// # Errors
    /// [`DecompressError::Truncated`] if the compressed data has not ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, DecompressError> {
        let filled = out.len();
        self.push(&mut [].as_slice(), out)?;
        if out.len() > filled {
            return Ok(false);
        }
        let over = match &self.method {
            Method::None => true,
            Method::Gzip(gzip) => gzip.may_end(),
            Method::Zstd(zstd) => zstd.may_end(),
            Method::Lzip(lzip) => lzip.may_end(),
            Method::Xz(xz) => xz.may_end(),
        };
        if over {
            Ok(true)
        } else {
            Err(DecompressError::Truncated { at: self.consumed })
        }
    }

    /// Returns the number of bytes of output so far.
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

/// A fault in the format, without its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormatFault {
    Malformed(&'static str),
    Mismatch(&'static str),
    Feature(&'static str),
    Window { window: u64, limit: u64 },
}

impl FormatFault {
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
    /// Returns the window to keep for data that needs `window` bytes. Bytes beyond the output limit
    /// are never used, so they need no window.
    fn window(&self, window: u64) -> Result<usize, FormatFault> {
        let limit = self.max_window;
        let needed = window.min(self.max_output).max(1);
        if needed > limit {
            return Err(FormatFault::Window { window, limit });
        }
        usize::try_from(needed).map_err(|_| FormatFault::Window { window, limit })
    }
}
