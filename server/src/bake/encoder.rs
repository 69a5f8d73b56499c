//! The streaming compressors: they write compressed bytes to a writer.
//!
//! The output depends only on the input, the method, the level and the library's version: one
//! thread, no time stamps. So the same program gives the same NAR the same CID everywhere.

use std::io::{self, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use interplanar_core::narinfo::Compression;
use lzma_rust2::{LzipOptions, LzipWriter};

use super::Compressor;

/// Largest zstd window, 2^23 bytes: decoders in browsers accept no more (docs/design.md).
const MAX_WINDOW_LOG: u32 = 23;
/// From this level on, zstd would use a larger window by itself.
const ULTRA_LEVEL: u32 = 20;
/// The dictionary sizes of lzip's levels in bytes: those of `lzip`, rounded to powers of two.
const LZIP_DICTIONARY: [u32; 10] = [
    1 << 16,
    1 << 20,
    1 << 21,
    1 << 21,
    1 << 22,
    1 << 22,
    1 << 23,
    1 << 24,
    1 << 25,
    1 << 25,
];
/// The smallest dictionary that lzip allows.
const MIN_LZIP_DICTIONARY: u64 = 4096;

/// Compresses one stream.
pub(crate) enum Encoder<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
    Lzip(Box<LzipWriter<W>>),
}

impl<W: Write> Encoder<W> {
    /// Starts a stream of `size` bytes. zstd writes the size into its header, and fails on any
    /// other length.
    pub(crate) fn new(compressor: Compressor, size: u64, out: W) -> io::Result<Self> {
        let level = compressor.level();
        Ok(match compressor.method() {
            Compression::Gzip => {
                Self::Gzip(GzBuilder::new().write(out, flate2::Compression::new(level)))
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, i32::try_from(level).unwrap_or(3))?;
                encoder.set_pledged_src_size(Some(size))?;
                if level >= ULTRA_LEVEL {
                    encoder.window_log(MAX_WINDOW_LOG)?;
                }
                Self::Zstd(encoder)
            }
            Compression::Lzip => {
                let mut options = LzipOptions::with_preset(level);
                let most = LZIP_DICTIONARY.get(level as usize).copied();
                // The encoder's memory is about ten times its dictionary, and no item needs a
                // dictionary larger than itself.
                let needed = size.next_power_of_two().max(MIN_LZIP_DICTIONARY);
                options.lzma_options.dict_size = most
                    .unwrap_or(1 << 25)
                    .min(u32::try_from(needed).unwrap_or(u32::MAX));
                Self::Lzip(Box::new(LzipWriter::new(out, options)))
            }
            _ => Self::None(out),
        })
    }

    /// Ends the stream and returns the writer.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Lzip(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Lzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Lzip(encoder) => encoder.flush(),
        }
    }
}
