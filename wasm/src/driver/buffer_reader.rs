//! Reads a body into one buffer again and again. This is for workerd, which has little memory:
//! otherwise hundreds of megabytes of chunks would wait for the garbage collector.

use super::time::now_ms;
use bytes::Bytes;
use js_sys::{ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, Response};

/// Size of the buffer in bytes.
const BUFFER: u32 = 256 << 10;
/// Longest wait for a full buffer, in milliseconds.
const WAIT_MS: f64 = 50.0;
/// Least bytes of one read, because each read creates some objects. Even the slowest gateway that
/// the engine accepts sends this much within seconds.
const LEAST: u32 = 64 << 10;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = ReadableStream)]
    type Bytestream;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader_with(this: &Bytestream, options: &Object) -> Result<Reader, JsValue>;

    type Reader;

    /// A method that only workerd has: waits for at least this many bytes, or the end.
    #[wasm_bindgen(method, catch, js_name = readAtLeast)]
    fn read_at_least(this: &Reader, least: u32, view: &Uint8Array) -> Result<Promise, JsValue>;

    type ReadResult;

    #[wasm_bindgen(method, getter)]
    fn done(this: &ReadResult) -> bool;

    #[wasm_bindgen(method, getter)]
    fn value(this: &ReadResult) -> Option<Uint8Array>;
}

/// A reader with one buffer.
pub(super) struct BufferReader {
    reader: Reader,
    reading: Option<JsFuture>,
    /// Each read transfers it to the runtime and back.
    buffer: ArrayBuffer,
    filled: u32,
    since_ms: f64,
    done: bool,
}

impl BufferReader {
    /// Creates a reader if the runtime is workerd and the body supports it.
    pub(super) fn new(response: &Response) -> Option<Self> {
        if !is_workerd() {
            return None;
        }
        let body: Bytestream = response.body()?.unchecked_into();
        let options = Object::new();
        Reflect::set(&options, &"mode".into(), &"byob".into()).ok()?;
        Some(Self {
            reader: body.get_reader_with(&options).ok()?,
            reading: None,
            buffer: ArrayBuffer::new(BUFFER),
            filled: 0,
            since_ms: now_ms(),
            done: false,
        })
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, JsValue>> {
        while !self.done {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                none => {
                    let room = BUFFER.saturating_sub(self.filled);
                    let view = Uint8Array::new_with_byte_offset_and_length(
                        &self.buffer,
                        self.filled,
                        room,
                    );
                    let reading = self.reader.read_at_least(LEAST.min(room), &view)?;
                    none.insert(JsFuture::from(reading))
                }
            };
            let result = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            let result: ReadResult = match result {
                Ok(result) => result.unchecked_into(),
                Err(error) => {
                    self.done = true;
                    return Poll::Ready(Err(error));
                }
            };
            if let Some(value) = result.value() {
                self.filled = self.filled.saturating_add(value.length());
                self.buffer = value.buffer();
            }
            self.done = result.done();
            if self.filled >= BUFFER || now_ms() - self.since_ms >= WAIT_MS {
                break;
            }
        }
        Poll::Ready(Ok(self.take()))
    }

    /// Returns the content of the buffer; none at the end.
    fn take(&mut self) -> Option<Bytes> {
        if self.filled == 0 {
            return None;
        }
        let view = Uint8Array::new_with_byte_offset_and_length(&self.buffer, 0, self.filled);
        self.filled = 0;
        self.since_ms = now_ms();
        Some(view.to_vec().into())
    }
}

/// Checks the runtime's user agent.
fn is_workerd() -> bool {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &JsValue::from_str(name)).ok();
    let agent =
        get(&js_sys::global(), "navigator").and_then(|navigator| get(&navigator, "userAgent"));
    agent.and_then(|agent| agent.as_string()).as_deref() == Some("Cloudflare-Workers")
}
