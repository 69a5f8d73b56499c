//! What a checker needs of a decoder, so that each front end brings the fastest that it has.

use crate::decompress::{Decoder, DecompressError, Limits};
use crate::narinfo::Compression;
use alloc::vec::Vec;
use core::error::Error;

/// A decoder of one stream, pushed and bounded.
pub trait Decode: Sized {
    /// Why data can't be decoded.
    type Error: Error;

    /// A decoder for `compression`.
    ///
    /// # Errors
    /// The compression is not supported.
    fn begin(compression: Compression, limits: Limits) -> Result<Self, Self::Error>;

    /// Takes from the front of `input` until that is empty or about [`STEP`](crate::decompress::STEP) bytes are appended to `out`.
    ///
    /// # Errors
    /// The data is wrong, or too much comes out.
    fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// After the last input: appends about as much of what is left; true once that was all.
    ///
    /// # Errors
    /// The stream is not complete.
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
