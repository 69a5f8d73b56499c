//! Decompression as a pair of streams, for `pipeThrough`.
//!
//! A write waits until the reader has taken all output of the written bytes. A few compressed bytes
//! may expand to very many, so the stream never holds more than the output of one decoder step.

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

/// Largest window in bytes, unless `maxBytes` is smaller (docs/design.md).
const MAX_WINDOW: u64 = 8 << 20;
/// Output in bytes that may wait in the stream.
const HIGH_WATER: f64 = 262_144.0;

/// Decompresses a stream: `stream.pipeThrough(new DecompressStream("zstd", narSize))`.
#[wasm_bindgen]
pub struct DecompressStream {
    readable: ReadableStream,
    writable: WritableStream,
}

#[wasm_bindgen]
impl DecompressStream {
    /// `compression` is the method in a narinfo: `"none"`, `"gzip"`, `"zstd"`, `"lzip"` or `"xz"`.
    /// The stream fails if the output has more than `max_bytes` bytes.
    ///
    /// Throws `DECOMPRESS_UNSUPPORTED`. The stream fails with `DECOMPRESS_…`; `at` is the byte of
    /// the input.
    #[wasm_bindgen(constructor)]
    pub fn new(compression: &str, max_bytes: f64) -> Result<DecompressStream, JsValue> {
        let limits = Limits {
            max_output: max_bytes as u64,
            max_window: MAX_WINDOW,
        };
        let state = Rc::new(RefCell::new(DecompressState::new(decoder(
            compression,
            limits,
        )?)));
        let source = DecompressSource(Rc::clone(&state));
        Ok(Self {
            readable: ReadableStream::new(&source.into(), &strategy(HIGH_WATER))?,
            writable: WritableStream::new(&DecompressSink(state).into())?,
        })
    }

    /// The decompressed bytes.
    #[wasm_bindgen(getter)]
    pub fn readable(&self) -> ReadableStream {
        self.readable.clone()
    }

    /// Accepts the compressed bytes.
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
    // The small package contains only the decoder for zstd. The compiler leaves out the others.
    #[cfg(not(feature = "full"))]
    if compression != Compression::Zstd {
        return Err(unsupported());
    }
    Decoder::new(compression, limits).map_err(js)
}

/// The state that both ends share.
struct DecompressState {
    decoder: Decoder,
    input: Vec<u8>,
    /// Bytes of `input` that the decoder has used.
    taken: usize,
    /// Whether the input is complete.
    closed: bool,
    /// The error of either end.
    failed: Option<JsValue>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The next result for the reader.
enum Output {
    Bytes(Vec<u8>),
    End,
}

impl DecompressState {
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

    /// Returns output, or none if the decoder needs more input.
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
        Ok(Some(Output::Bytes(out)))
    }

    /// Ready when the decoder has used all input.
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
pub struct DecompressSource(Rc<RefCell<DecompressState>>);

#[wasm_bindgen]
impl DecompressSource {
    /// Makes the stream a byte stream.
    #[wasm_bindgen(getter, js_name = type)]
    pub fn kind(&self) -> String {
        "bytes".to_owned()
    }

    /// Called when the stream has room.
    pub fn pull(&self, controller: Controller) -> Promise {
        let state = Rc::clone(&self.0);
        promise(async move {
            match poll_fn(|context| state.borrow_mut().poll_output(context)).await? {
                Output::Bytes(bytes) => controller.enqueue(&Uint8Array::from(bytes.as_slice()))?,
                Output::End => controller.finish()?,
            }
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Called when the reader cancels. Writes fail from now on.
    pub fn cancel(&self, reason: JsValue) {
        self.0.borrow_mut().fail(reason);
    }
}

/// The underlying sink of `writable`.
#[wasm_bindgen(skip_typescript)]
pub struct DecompressSink(Rc<RefCell<DecompressState>>);

#[wasm_bindgen]
impl DecompressSink {
    /// Accepts compressed bytes. The promise is fulfilled when the decoder has used all of them.
    pub fn write(&self, chunk: &[u8]) -> Promise {
        let state = Rc::clone(&self.0);
        {
            let mut state = state.borrow_mut();
            state.input.extend_from_slice(chunk);
            wake(&mut state.reader);
        }
        promise(async move {
            poll_fn(|context| state.borrow_mut().poll_taken(context)).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Called at the end of the input.
    pub fn close(&self) {
        let mut state = self.0.borrow_mut();
        state.closed = true;
        wake(&mut state.reader);
    }

    /// Called when the input fails.
    pub fn abort(&self, reason: JsValue) {
        self.0.borrow_mut().fail(reason);
    }
}
