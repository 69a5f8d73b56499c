//! The body of an answer, read piece by piece and only when somebody asks.

use bytes::Bytes;
use js_sys::Uint8Array;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

#[wasm_bindgen]
extern "C" {
    type ReadResult;

    #[wasm_bindgen(method, getter)]
    fn done(this: &ReadResult) -> bool;

    #[wasm_bindgen(method, getter)]
    fn value(this: &ReadResult) -> Option<Uint8Array>;
}

/// Gives the pieces; nothing is read ahead of them, so a body that nobody polls is paused.
pub(crate) struct Body {
    reader: Option<ReadableStreamDefaultReader>,
    reading: Option<JsFuture>,
}

/// A piece, the end, or that the connection broke.
pub(crate) type Piece = Result<Option<Bytes>, JsValue>;

impl Body {
    pub(crate) fn new(response: &Response) -> Self {
        // An empty answer may have no stream at all.
        let reader = response
            .body()
            .map(|stream| stream.get_reader().unchecked_into());
        Self {
            reader,
            reading: None,
        }
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        let Some(reader) = &self.reader else {
            return Poll::Ready(Ok(None));
        };
        let reading = self
            .reading
            .get_or_insert_with(|| JsFuture::from(reader.read()));
        let result = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(result.map(|result| {
            let result: ReadResult = result.unchecked_into();
            if result.done() {
                self.reader = None;
                return None;
            }
            let piece = result.value().map(|piece| piece.to_vec());
            Some(Bytes::from(piece.unwrap_or_default()))
        }))
    }
}
