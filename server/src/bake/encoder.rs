//! The compressors themselves, one stream each: bytes in, compressed bytes to a writer.
//!
//! Output depends on the input, the method, the level, and the library's version only: one thread, no time stamps. So the same NAR
//! has the same CID wherever it is baked by the same program.

use std::io::{self, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use interplanar_core::narinfo::Compression;
use lzma_rust2::{LzipOptions, LzipWriter};

use super::Compressor;

/// zstd's window at most, 2^23 bytes: what decoders in browsers take (design.md).
const MAX_WINDOW_LOG: u32 = 23;
/// From this level on zstd would take a larger window.
const ULTRA_LEVEL: u32 = 20;
/// The dictionary of lzip's levels in bytes: those of `lzip`, rounded to powers of two.
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
/// The smallest dictionary that lzip has.
const MIN_LZIP_DICTIONARY: u64 = 4096;

/// One stream through one compressor.
pub(crate) enum Encoder<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
    Lzip(Box<LzipWriter<W>>),
}

impl<W: Write> Encoder<W> {
    /// A stream of `size` bytes, which zstd writes into its header; another length is an error there.
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
                // The encoder takes some ten times its dictionary, which no item needs to exceed.
                let needed = size.next_power_of_two().max(MIN_LZIP_DICTIONARY);
                options.lzma_options.dict_size = most
                    .unwrap_or(1 << 25)
                    .min(u32::try_from(needed).unwrap_or(u32::MAX));
                Self::Lzip(Box::new(LzipWriter::new(out, options)))
            }
            _ => Self::None(out),
        })
    }

    /// Ends the stream and gives the writer back.
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
