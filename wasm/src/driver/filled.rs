//! A body that is read into one buffer, over and over: in workerd, whose memory is little, and whose pieces would otherwise wait
//! for the garbage collector by the hundred megabytes.

use super::time::now_ms;
use bytes::Bytes;
use js_sys::{ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, Response};

/// Bytes of the buffer; it is handed on when it is full, or when the first of it is [`WAIT_MS`] old.
const BUFFER: u32 = 256 << 10;
const WAIT_MS: f64 = 50.0;
/// Bytes of one read: each costs some objects. So few that the slowest gateway that is put up with sends them within seconds.
const LEAST: u32 = 64 << 10;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = ReadableStream)]
    type Bytestream;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader_with(this: &Bytestream, options: &Object) -> Result<Reader, JsValue>;

    type Reader;

    /// workerd's own: waits for so many bytes, or the end.
    #[wasm_bindgen(method, catch, js_name = readAtLeast)]
    fn read_at_least(this: &Reader, least: u32, view: &Uint8Array) -> Result<Promise, JsValue>;

    type ReadResult;

    #[wasm_bindgen(method, getter)]
    fn done(this: &ReadResult) -> bool;

    #[wasm_bindgen(method, getter)]
    fn value(this: &ReadResult) -> Option<Uint8Array>;
}

/// See the module.
pub(super) struct Filled {
    reader: Reader,
    reading: Option<JsFuture>,
    /// It travels to the runtime and back with each read.
    buffer: ArrayBuffer,
    filled: u32,
    since_ms: f64,
    over: bool,
}

impl Filled {
    /// A reader of this kind, where the runtime is workerd and the body can be read so.
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
            over: false,
        })
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, JsValue>> {
        while !self.over {
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
                    self.over = true;
                    return Poll::Ready(Err(error));
                }
            };
            if let Some(value) = result.value() {
                self.filled = self.filled.saturating_add(value.length());
                self.buffer = value.buffer();
            }
            self.over = result.done();
            if self.filled >= BUFFER || now_ms() - self.since_ms >= WAIT_MS {
                break;
            }
        }
        Poll::Ready(Ok(self.take()))
    }

    /// All that is in the buffer; none at the end.
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

/// By the name that it gives itself.
fn is_workerd() -> bool {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &JsValue::from_str(name)).ok();
    let agent =
        get(&js_sys::global(), "navigator").and_then(|navigator| get(&navigator, "userAgent"));
    agent.and_then(|agent| agent.as_string()).as_deref() == Some("Cloudflare-Workers")
}
