//! The body of an answer, read piece by piece and only when somebody asks.

use super::filled::Filled;
use super::time::now_ms;
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

/// Bytes that are gathered before they are handed on: each crossing into WebAssembly and each turn of the engine has its price.
const GATHER: u32 = 1 << 20;
/// And for how long, in milliseconds: the engine is to know that something comes.
const GATHER_MS: f64 = 50.0;

/// Gives the pieces; nothing is read ahead of them, so a body that nobody polls is paused.
pub(crate) enum Body {
    Pieces(Pieces),
    Filled(Filled),
}

pub(crate) struct Pieces {
    reader: Option<ReadableStreamDefaultReader>,
    reading: Option<JsFuture>,
    gathered: Gathered,
}

/// A piece, the end, or that the connection broke.
pub(crate) type Piece = Result<Option<Bytes>, JsValue>;

impl Body {
    pub(crate) fn new(response: &Response) -> Self {
        Filled::new(response).map_or_else(|| Self::Pieces(Pieces::new(response)), Self::Filled)
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        match self {
            Self::Pieces(pieces) => pieces.poll_next(context),
            Self::Filled(filled) => filled.poll_next(context),
        }
    }
}

impl Pieces {
    fn new(response: &Response) -> Self {
        // An empty answer may have no stream at all.
        let reader = response
            .body()
            .map(|stream| stream.get_reader().unchecked_into());
        Self {
            reader,
            reading: None,
            gathered: Gathered::new(),
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        while let Some(reader) = &self.reader {
            let reading = self
                .reading
                .get_or_insert_with(|| JsFuture::from(reader.read()));
            let result = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            let result: ReadResult = match result {
                Ok(result) => result.unchecked_into(),
                Err(error) => {
                    self.reader = None;
                    return Poll::Ready(Err(error));
                }
            };
            if result.done() {
                self.reader = None;
            } else if let Some(piece) = result.value()
                && self.gathered.push(piece)
            {
                break;
            }
        }
        Poll::Ready(Ok(self.gathered.take()))
    }
}

/// Pieces on their side of the border, to be copied across it once.
struct Gathered {
    pieces: Vec<Uint8Array>,
    bytes: u32,
    since_ms: f64,
}

impl Gathered {
    fn new() -> Self {
        Self {
            pieces: Vec::new(),
            bytes: 0,
            since_ms: now_ms(),
        }
    }

    /// Takes a piece; whether it is time to hand on.
    fn push(&mut self, piece: Uint8Array) -> bool {
        self.bytes = self.bytes.saturating_add(piece.length());
        self.pieces.push(piece);
        self.bytes >= GATHER || now_ms() - self.since_ms >= GATHER_MS
    }

    /// All that was gathered; none at the end.
    fn take(&mut self) -> Option<Bytes> {
        if self.pieces.is_empty() {
            return None;
        }
        let mut bytes = vec![0; self.bytes as usize];
        let mut rest = bytes.as_mut_slice();
        for piece in self.pieces.drain(..) {
            let (start, after) = rest.split_at_mut_checked(piece.length() as usize)?;
            piece.copy_to(start);
            rest = after;
        }
        self.bytes = 0;
        self.since_ms = now_ms();
        Some(bytes.into())
    }
}
