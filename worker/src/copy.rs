//! Copies a response into the runtime's cache while the client receives it.
//!
//! ```text
//! chunks ─► CacheCopy ─► the client
//!               └──────► FixedLengthStream ─► cache.put
//! ```
//!
//! The client gets a chunk when the cache has accepted it, so nothing accumulates. Only a complete
//! copy is stored: one that was aborted, or has the wrong length, is never found in the cache. The
//! client gets all bytes even if the copy fails.

use crate::stream::{ByteStream, FixedLengthStream, IdentityTransformStream, WriteBuffer, Writer};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{StreamExt as _, unfold};
use interplanar_wasm::driver::sleep;
use js_sys::{Error, Promise};
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::ReadableStream;

/// Longest time that a client waits for the cache to accept a chunk.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A running copy.
struct CacheCopy {
    writer: Writer,
    buffer: WriteBuffer,
    /// Resolves when the cache has the whole body, or refuses it.
    put: JsFuture,
    closed: bool,
}

/// Returns the same stream, and copies it to `put`. `put` gets a body of this length, and the end
/// of the stream waits for its promise.
pub(crate) fn copied(
    chunks: ByteStream,
    length: u64,
    put: impl FnOnce(&ReadableStream) -> Result<Promise, JsValue>,
) -> ByteStream {
    // Without a copy, the client still gets its response.
    let copy = CacheCopy::begin(length, put).ok();
    unfold((chunks, copy), |(mut chunks, mut copy)| async move {
        let chunk = chunks.next().await;
        match (&chunk, copy.take()) {
            (Some(Ok(chunk)), Some(running)) => copy = running.write(chunk).await,
            (None, Some(complete)) => complete.finish().await,
            // After an error, the copy is dropped.
            (_, _) => {}
        }
        Some((chunk?, (chunks, copy)))
    })
    .boxed_local()
}

impl CacheCopy {
    fn begin(
        length: u64,
        put: impl FnOnce(&ReadableStream) -> Result<Promise, JsValue>,
    ) -> Result<Self, JsValue> {
        let stream = FixedLengthStream::new(length as f64)?;
        let stream = stream.unchecked_into::<IdentityTransformStream>();
        let writer = stream.writable().get_writer();
        Ok(Self {
            put: JsFuture::from(put(&stream.readable())?),
            writer,
            buffer: WriteBuffer::new(),
            closed: false,
        })
    }

    /// Adds a chunk. Returns none if the cache refuses it, or doesn't accept it in time.
    async fn write(mut self, chunk: &Bytes) -> Option<Self> {
        let wrote = {
            let written = pin!(self.buffer.write(chunk, &self.writer));
            let timeout = pin!(sleep(TIMEOUT));
            match select(written, select(&mut self.put, timeout)).await {
                Either::Left((written, _)) => written.is_ok(),
                Either::Right(_) => false,
            }
        };
        wrote.then_some(self)
    }

    /// Ends a complete copy.
    async fn finish(mut self) {
        self.closed = true;
        let closed = JsFuture::from(self.writer.close());
        let stored = async { closed.await.is_ok() && (&mut self.put).await.is_ok() };
        select(pin!(stored), pin!(sleep(TIMEOUT))).await;
    }
}

impl Drop for CacheCopy {
    fn drop(&mut self) {
        if !self.closed {
            let aborted = JsFuture::from(self.writer.abort(&Error::new("the copy was aborted")));
            // Ignores the rejection of this promise.
            spawn_local(async move { drop(aborted.await) });
        }
    }
}
