//! Reads the body of a response in chunks, and only when it is polled.

use super::buffer_reader::BufferReader;
use super::chunk_reader::ChunkReader;
use bytes::Bytes;
use std::task::{Context, Poll};
use wasm_bindgen::JsValue;
use web_sys::Response;

/// Default number of bytes to collect before they are passed on. Each call into WebAssembly and
/// each step of the engine costs time.
pub(crate) const GATHER: usize = 1 << 20;

/// A body. It reads at most one chunk ahead, so a body that nobody polls is paused.
pub(crate) enum ResponseBody {
    Chunks(ChunkReader),
    Buffer(BufferReader),
}

/// A chunk, none at the end, or an error if the connection broke.
pub(crate) type BodyChunk = Result<Option<Bytes>, JsValue>;

impl ResponseBody {
    pub(crate) fn new(response: &Response) -> Self {
        BufferReader::new(response)
            .map_or_else(|| Self::Chunks(ChunkReader::new(response)), Self::Buffer)
    }

    /// Returns the next chunk. It has `best` bytes if they arrive quickly.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>, best: usize) -> Poll<BodyChunk> {
        match self {
            Self::Chunks(reader) => reader.poll_next(context, best),
            Self::Buffer(filled) => filled.poll_next(context),
        }
    }
}
