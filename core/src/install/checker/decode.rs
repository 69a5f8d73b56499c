//! The decoder interface of the checker, so that each front end can use its fastest decoder.

use crate::decompress::{Decoder, DecompressError, Limits};
use crate::narinfo::Compression;
use alloc::vec::Vec;
use core::error::Error;

/// A push decoder of one stream with bounded output.
pub trait Decode: Sized {
    /// Why a stream can't be decoded.
    type Error: Error;

    /// Makes a decoder for `compression`.
    ///
    /// # Errors
    /// The compression method is not supported.
    fn begin(compression: Compression, limits: Limits) -> Result<Self, Self::Error>;

    /// Consumes `input` until it is empty or about [`STEP`](crate::decompress::STEP) bytes are
    /// appended to `out`.
    ///
    /// # Errors
    /// The data is invalid, or the output exceeds the limits.
    fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Decodes the rest after the last input, up to about the same number of bytes. Returns true
    /// once everything is decoded.
    ///
    /// # Errors
    /// The stream is incomplete.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, Self::Error>;
}

impl Decode for Decoder {
    type Error = DecompressError;

    fn begin(compression: Compression, limits: Limits) -> Result<Self, DecompressError> {
        Self::new(compression, limits)
    }

    fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecompressError> {
        Self::push(self, input, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, DecompressError> {
        Self::finish(self, out)
    }
}
