//! Decompresses at native speed: with C libzstd and zlib-rs, and other methods with
//! [`interplanar_core::decompress`].
//!
//! [`Decoder::push`] fills its output up to [`OUTPUT_STEP`] bytes (for xz and lzip up to one step
//! of core's decoders more). So a small input with a huge output can't fill the memory. Several
//! zstd frames or gzip members in a row are one stream. Output is complete only when
//! [`Decoder::finish`] says so.
//!
//! Restrictions: zstd windows up to 128 MiB (docs/design.md), output up to [`Limits::max_output`];
//! bzip2 and br are errors.
//!
//! ```
//! use interplanar_core::{decompress::Limits, narinfo::Compression};
//! use interplanar_server::decode::Decoder;
//!
//! let frame = zstd::encode_all(&b"hello"[..], 3).unwrap();
//! let limits = Limits { max_output: 100, max_window: 8 << 20 };
//! let mut decoder = Decoder::new(Compression::Zstd, limits).unwrap();
//! let (mut input, mut out) = (frame.as_slice(), Vec::new());
//! while !input.is_empty() {
//!     decoder.push(&mut input, &mut out).unwrap();
//! }
//! while !decoder.finish(&mut out).unwrap() {}
//! assert_eq!(out, b"hello");
//! ```

use flate2::{Decompress, FlushDecompress, Status};
use interplanar_core::decompress::{self, DecompressError, Limits};
use interplanar_core::install::checker::Decode;
use interplanar_core::narinfo::Compression;
use zstd::stream::raw::{DParameter, InBuffer, Operation as _, OutBuffer};

/// An output buffer with this many bytes is full. Empty it before the next call of
/// [`Decoder::push`] or [`Decoder::finish`].
pub const OUTPUT_STEP: usize = 256 << 10;

/// Why compressed data can't be decoded.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The data is malformed, or its window is larger than the limit.
    #[error("malformed {format} data before byte {offset}")]
    Corrupt {
        /// The expected format.
        format: &'static str,
        /// Bytes of compressed data that were read before the error was found.
        offset: u64,
    },
    /// The stream is cut short.
    #[error("the {format} data is cut short after {offset} bytes")]
    Truncated {
        /// The expected format.
        format: &'static str,
        /// Bytes of the compressed data.
        offset: u64,
    },
    /// The output is larger than the limit.
    #[error("the decompressed data is larger than {limit} bytes")]
    TooLong {
        /// [`Limits::max_output`].
        limit: u64,
    },
    /// An error of core's decoders.
    #[error(transparent)]
    Core(#[from] DecompressError),
}

/// Decodes one stream.
pub struct Decoder {
    decoder: FormatDecoder,
    max_output: u64,
    consumed: u64,
    produced: u64,
}

enum FormatDecoder {
    Zstd {
        decoder: zstd::stream::raw::Decoder<'static>,
        at_frame_end: bool,
    },
    Gzip {
        decoder: Box<Decompress>,
        at_member_end: bool,
    },
    Core(Box<decompress::Decoder>),
}

/// The outcome of one step.
struct DecodeStep {
    consumed: usize,
    more: bool,
}

impl Decoder {
    /// Returns a decoder for `compression`.
    ///
    /// # Errors
    /// The compression is not supported.
    pub fn new(compression: Compression, limits: Limits) -> Result<Self, DecodeError> {
        let max_output = limits.max_output;
        let decoder = match compression {
            Compression::Zstd => {
                let corrupt = |_| DecodeError::Corrupt {
                    format: "zstd",
                    offset: 0,
                };
                let mut decoder = zstd::stream::raw::Decoder::new().map_err(corrupt)?;
                let log = limits.max_window.clamp(1 << 10, 1 << 27).ilog2();
                decoder
                    .set_parameter(DParameter::WindowLogMax(log))
                    .map_err(corrupt)?;
                FormatDecoder::Zstd {
                    decoder,
                    at_frame_end: false,
                }
            }
            Compression::Gzip => FormatDecoder::Gzip {
                decoder: Box::new(new_member()),
                at_member_end: false,
            },
            other => FormatDecoder::Core(Box::new(decompress::Decoder::new(other, limits)?)),
        };
        Ok(Self {
            decoder,
            max_output,
            consumed: 0,
            produced: 0,
        })
    }

    /// Decodes from the front of `input` until that is empty or `out` has [`OUTPUT_STEP`] bytes.
    /// The next call returns output that didn't fit.
    ///
    /// # Errors
    /// The data is malformed or the output too large. Don't use the decoder after an error.
    pub fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if let FormatDecoder::Core(decoder) = &mut self.decoder {
            while !input.is_empty() && out.len() < OUTPUT_STEP {
                decoder.push(input, out)?;
            }
            return Ok(());
        }
        self.step(input, out).map(|_| ())
    }

    /// After the last input, appends the remaining output until `out` has [`OUTPUT_STEP`] bytes.
    /// Returns true if that was all.
    ///
    /// # Errors
    /// The stream is not complete.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, DecodeError> {
        if let FormatDecoder::Core(decoder) = &mut self.decoder {
            return Ok(decoder.finish(out)?);
        }
        if self.step(&mut &[][..], out)? {
            return Ok(false);
        }
        let offset = self.consumed;
        match &self.decoder {
            FormatDecoder::Zstd {
                at_frame_end: false,
                ..
            } => Err(DecodeError::Truncated {
                format: "zstd",
                offset,
            }),
            FormatDecoder::Gzip {
                at_member_end: false,
                ..
            } => Err(DecodeError::Truncated {
                format: "gzip",
                offset,
            }),
            _ => Ok(true),
        }
    }

    /// Decodes until input or space is used up. Returns true if output may be left.
    fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, DecodeError> {
        let before = out.len();
        let room = OUTPUT_STEP.saturating_sub(before);
        if room == 0 {
            return Ok(true);
        }
        let useful = usize::try_from(
            self.max_output
                .saturating_sub(self.produced)
                .saturating_add(1),
        )
        .unwrap_or(room);
        out.reserve_exact(room.min(useful.max(64)));
        let step = match &mut self.decoder {
            FormatDecoder::Zstd {
                decoder,
                at_frame_end,
            } => zstd_step(decoder, at_frame_end, input, out),
            FormatDecoder::Gzip {
                decoder,
                at_member_end,
            } => gzip_step(decoder, at_member_end, input, out),
            FormatDecoder::Core(_) => return Ok(false),
        };
        let step = step.map_err(|format| DecodeError::Corrupt {
            format,
            offset: self.consumed + input.len() as u64,
        })?;
        *input = input.get(step.consumed..).unwrap_or_default();
        self.consumed += step.consumed as u64;
        self.produced += out.len().saturating_sub(before) as u64;
        if self.produced > self.max_output {
            return Err(DecodeError::TooLong {
                limit: self.max_output,
            });
        }
        Ok(step.more)
    }
}

impl Decode for Decoder {
    type Error = DecodeError;

    fn begin(compression: Compression, limits: Limits) -> Result<Self, DecodeError> {
        Self::new(compression, limits)
    }

    fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        Self::push(self, input, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, DecodeError> {
        Self::finish(self, out)
    }
}

fn zstd_step(
    decoder: &mut zstd::stream::raw::Decoder<'static>,
    at_frame_end: &mut bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<DecodeStep, &'static str> {
    let mut source = InBuffer::around(input);
    let full = loop {
        // At the end of the last frame, another call would already expect the next frame.
        if *at_frame_end && source.pos() == input.len() {
            break false;
        }
        let (taken, written) = (source.pos(), out.len());
        let hint = {
            let mut target = OutBuffer::around_pos(out, written);
            decoder.run(&mut source, &mut target).map_err(|_| "zstd")?
        };
        *at_frame_end = hint == 0;
        if out.len() == out.capacity() {
            break !*at_frame_end;
        }
        if source.pos() == taken && out.len() == written {
            break false;
        }
    };
    Ok(DecodeStep {
        consumed: source.pos(),
        more: full,
    })
}

fn gzip_step(
    decoder: &mut Decompress,
    at_member_end: &mut bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<DecodeStep, &'static str> {
    let mut consumed = 0;
    let full = loop {
        let rest = input.get(consumed..).unwrap_or_default();
        if *at_member_end {
            if rest.is_empty() {
                break false;
            }
            *decoder = new_member();
            *at_member_end = false;
        }
        let (taken, written) = (decoder.total_in(), out.len());
        let status = decoder
            .decompress_vec(rest, out, FlushDecompress::None)
            .map_err(|_| "gzip")?;
        let taken = usize::try_from(decoder.total_in() - taken).unwrap_or(rest.len());
        consumed += taken;
        *at_member_end = status == Status::StreamEnd;
        if out.len() == out.capacity() {
            break !*at_member_end;
        }
        if !*at_member_end && taken == 0 && out.len() == written {
            break false;
        }
    };
    Ok(DecodeStep {
        consumed,
        more: full,
    })
}

fn new_member() -> Decompress {
    Decompress::new_gzip(15)
}

#[cfg(test)]
mod tests;
