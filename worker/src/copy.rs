//! A copy of what passes to a client, into the runtime's cache.
//!
//! ```text
//! pieces ─► Copy ─► the client
//!             └───► FixedLengthStream ─► cache.put
//! ```
//!
//! A piece leaves when the cache has taken it, so nothing piles up. Only all of them make a copy: one that is given up, or whose length isn't
//! what was said, is never found. The client gets its bytes whatever becomes of it.

use crate::stream::{Buffer, FixedLengthStream, IdentityTransformStream, Pieces, Writer};
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

/// How long a client waits for a cache that doesn't take what it is given.
const PATIENCE: Duration = Duration::from_secs(2);

/// A copy under way.
struct Copy {
    writer: Writer,
    buffer: Buffer,
    /// Settled once the cache has all, or wants no more.
    put: JsFuture,
    closed: bool,
}

/// The same pieces. Those of a stream that comes to its end go to `put` as well: it is given a body of this length, and its promise is waited for.
pub(crate) fn copied(
    pieces: Pieces,
    length: u64,
    put: impl FnOnce(&ReadableStream) -> Result<Promise, JsValue>,
) -> Pieces {
    // Without a copy the answer is as good.
    let copy = Copy::begin(length, put).ok();
    unfold((pieces, copy), |(mut pieces, mut copy)| async move {
        let piece = pieces.next().await;
        match (&piece, copy.take()) {
            (Some(Ok(piece)), Some(going)) => copy = going.write(piece).await,
            (None, Some(whole)) => whole.finish().await,
            // What broke is dropped, and with it the copy.
            (_, _) => {}
        }
        Some((piece?, (pieces, copy)))
    })
    .boxed_local()
}

impl Copy {
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
            buffer: Buffer::new(),
            closed: false,
        })
    }

    /// Adds a piece; nothing is left of a copy that the cache doesn't want, or not soon.
    async fn write(mut self, piece: &Bytes) -> Option<Self> {
        let wrote = {
            let written = pin!(self.buffer.write(piece, &self.writer));
            let patience = pin!(sleep(PATIENCE));
            match select(written, select(&mut self.put, patience)).await {
                Either::Left((written, _)) => written.is_ok(),
                Either::Right(_) => false,
            }
        };
        wrote.then_some(self)
    }

    /// All of it was written.
    async fn finish(mut self) {
        self.closed = true;
        let closed = JsFuture::from(self.writer.close());
        let kept = async { closed.await.is_ok() && (&mut self.put).await.is_ok() };
        select(pin!(kept), pin!(sleep(PATIENCE))).await;
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.closed {
            let aborted = JsFuture::from(self.writer.abort(&Error::new("given up")));
            // Nobody is to hear that it was.
            spawn_local(async move { drop(aborted.await) });
        }
    }
}
