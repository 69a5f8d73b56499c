//! Decompression as a pair of streams, for `pipeThrough`.
//!
//! What is written waits until the reader has taken what came of it: a small piece may be a very large one compressed, and no more of it than
//! one step of the decoder is ever held.

use super::error::{js, make};
use super::stream::{Controller, ReadableStream, WritableStream, strategy};
use crate::promise::promise;
use interplanar_core::decompress::{Decoder, DecompressError, Limits};
use interplanar_core::narinfo::Compression;
use js_sys::{Promise, Uint8Array};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;

/// The largest window that is kept, unless `maxBytes` is less (design.md).
const MAX_WINDOW: u64 = 8 << 20;
/// Bytes of output that may wait in the stream.
const HIGH_WATER: f64 = 262_144.0;

/// Decompresses what is written to `writable`: `stream.pipeThrough(new DecompressStream("zstd", narSize))`.
#[wasm_bindgen]
pub struct DecompressStream {
    readable: ReadableStream,
    writable: WritableStream,
}

#[wasm_bindgen]
impl DecompressStream {
    /// `compression` is a narinfo's: `"none"`, `"gzip"`, `"zstd"`, `"lzip"` or `"xz"`. One byte more than `max_bytes` of output is an error.
    ///
    /// Throws `DECOMPRESS_UNSUPPORTED`; the stream fails with `DECOMPRESS_…`, `at` the byte of the input.
    #[wasm_bindgen(constructor)]
    pub fn new(compression: &str, max_bytes: f64) -> Result<DecompressStream, JsValue> {
        let limits = Limits {
            max_output: max_bytes as u64,
            max_window: MAX_WINDOW,
        };
        let pipe = Rc::new(RefCell::new(Pipe::new(decoder(compression, limits)?)));
        let source = DecompressSource(Rc::clone(&pipe));
        Ok(Self {
            readable: ReadableStream::new(&source.into(), &strategy(HIGH_WATER))?,
            writable: WritableStream::new(&DecompressSink(pipe).into())?,
        })
    }

    /// What comes out.
    #[wasm_bindgen(getter)]
    pub fn readable(&self) -> ReadableStream {
        self.readable.clone()
    }

    /// Where the compressed bytes go.
    #[wasm_bindgen(getter)]
    pub fn writable(&self) -> WritableStream {
        self.writable.clone()
    }
}

fn decoder(name: &str, limits: Limits) -> Result<Decoder, JsValue> {
    let unsupported = || {
        let message = "expected none, gzip, zstd, lzip or xz";
        make(message, "DECOMPRESS_UNSUPPORTED", None, None)
    };
    let compression = Compression::parse(name).ok_or_else(unsupported)?;
    // The small package has the decoder of zstd alone: what it can't reach is not built into it.
    #[cfg(not(feature = "full"))]
    if compression != Compression::Zstd {
        return Err(unsupported());
    }
    Decoder::new(compression, limits).map_err(js)
}

/// What lies between the two ends.
struct Pipe {
    decoder: Decoder,
    input: Vec<u8>,
    taken: usize,
    /// Nothing more is written.
    closed: bool,
    /// Why one of the ends failed.
    failed: Option<JsValue>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What a reader gets.
enum Output {
    Piece(Vec<u8>),
    End,
}

impl Pipe {
    fn new(decoder: Decoder) -> Self {
        Self {
            decoder,
            input: Vec::new(),
            taken: 0,
            closed: false,
            failed: None,
            reader: None,
            writer: None,
        }
    }

    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<Result<Output, JsValue>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let result = self.step();
        if self.taken == self.input.len() {
            self.input = Vec::new();
            self.taken = 0;
            wake(&mut self.writer);
        }
        match result {
            Ok(Some(output)) => Poll::Ready(Ok(output)),
            Ok(None) => {
                self.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(self.fail(js(error)))),
        }
    }

    /// A piece of output, or none if more input is needed.
    fn step(&mut self) -> Result<Option<Output>, DecompressError> {
        let mut out = Vec::new();
        while out.is_empty() {
            let mut input = self.input.get(self.taken..).unwrap_or_default();
            if input.is_empty() {
                if !self.closed {
                    return Ok(None);
                }
                if self.decoder.finish(&mut out)? {
                    return Ok(Some(Output::End));
                }
                continue;
            }
            self.decoder.push(&mut input, &mut out)?;
            self.taken = self.input.len() - input.len();
        }
        Ok(Some(Output::Piece(out)))
    }

    /// Ready when what was written is taken.
    fn poll_taken(&mut self, context: &mut Context<'_>) -> Poll<Result<(), JsValue>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.input.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn fail(&mut self, error: JsValue) -> JsValue {
        self.failed = Some(error.clone());
        self.input = Vec::new();
        self.taken = 0;
        wake(&mut self.reader);
        wake(&mut self.writer);
        error
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The underlying source of `readable`.
#[wasm_bindgen(skip_typescript)]
pub struct DecompressSource(Rc<RefCell<Pipe>>);

#[wasm_bindgen]
impl DecompressSource {
    /// A byte stream.
    #[wasm_bindgen(getter, js_name = type)]
    pub fn kind(&self) -> String {
        "bytes".to_owned()
    }

    /// The stream has room.
    pub fn pull(&self, controller: Controller) -> Promise {
        let pipe = Rc::clone(&self.0);
        promise(async move {
            match poll_fn(|context| pipe.borrow_mut().poll_output(context)).await? {
                Output::Piece(piece) => controller.enqueue(&Uint8Array::from(piece.as_slice()))?,
                Output::End => controller.finish()?,
            }
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Nobody reads it any more: writing fails from now on.
    pub fn cancel(&self, reason: JsValue) {
        self.0.borrow_mut().fail(reason);
    }
}

/// The underlying sink of `writable`.
#[wasm_bindgen(skip_typescript)]
pub struct DecompressSink(Rc<RefCell<Pipe>>);

#[wasm_bindgen]
impl DecompressSink {
    /// Takes compressed bytes; the promise is fulfilled when they are used up.
    pub fn write(&self, chunk: &[u8]) -> Promise {
        let pipe = Rc::clone(&self.0);
        {
            let mut pipe = pipe.borrow_mut();
            pipe.input.extend_from_slice(chunk);
            wake(&mut pipe.reader);
        }
        promise(async move {
            poll_fn(|context| pipe.borrow_mut().poll_taken(context)).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// The input is over.
    pub fn close(&self) {
        let mut pipe = self.0.borrow_mut();
        pipe.closed = true;
        wake(&mut pipe.reader);
    }

    /// The input failed.
    pub fn abort(&self, reason: JsValue) {
        self.0.borrow_mut().fail(reason);
    }
}
