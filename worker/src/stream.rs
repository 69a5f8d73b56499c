//! Converts a Rust stream to a `ReadableStream`. A slow reader slows down the sender.
//!
//! A browser pulls chunks. In workerd, chunks are written through one buffer instead: pulled chunks
//! would wait for the garbage collector, and fill the memory during a long stream.

use bytes::Bytes;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::{LocalBoxStream, StreamExt as _};
use interplanar_wasm::promise::promise;
use js_sys::{Error, Object, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Chunks of bytes, or the error that ended them.
pub(crate) type ByteStream = LocalBoxStream<'static, Result<Bytes, String>>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = ReadableStream)]
    type PulledStream;

    #[wasm_bindgen(constructor, js_class = ReadableStream, catch)]
    fn new(source: &Object, strategy: &Object) -> Result<PulledStream, JsValue>;

    /// The context that the edge passes with a request.
    pub type RequestContext;

    #[wasm_bindgen(method, js_name = waitUntil)]
    fn wait_until(this: &RequestContext, promise: &Promise);

    pub(crate) type FixedLengthStream;

    #[wasm_bindgen(constructor, catch)]
    pub(crate) fn new(length: f64) -> Result<FixedLengthStream, JsValue>;

    pub(crate) type IdentityTransformStream;

    #[wasm_bindgen(constructor, catch)]
    fn new() -> Result<IdentityTransformStream, JsValue>;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn readable(this: &IdentityTransformStream) -> web_sys::ReadableStream;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn writable(this: &IdentityTransformStream) -> Writable;

    pub(crate) type Writable;

    #[wasm_bindgen(method, js_name = getWriter)]
    pub(crate) fn get_writer(this: &Writable) -> Writer;

    pub(crate) type Writer;

    #[wasm_bindgen(method)]
    fn write(this: &Writer, chunk: &Uint8Array) -> Promise;

    #[wasm_bindgen(method)]
    pub(crate) fn close(this: &Writer) -> Promise;

    #[wasm_bindgen(method)]
    pub(crate) fn abort(this: &Writer, reason: &Error) -> Promise;

    type Controller;

    #[wasm_bindgen(method, catch)]
    fn enqueue(this: &Controller, chunk: &Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn close(this: &Controller) -> Result<(), JsValue>;
}

/// The end of an incomplete answer without a known length. workerd may end such an answer normally
/// even if its stream fails, so the client would not notice. Kubo does the same.
const INCOMPLETE: &[u8] = b"\n[this answer is incomplete]\n";

/// Most bytes of one write.
const BUFFER: usize = 128 << 10;

/// Converts a stream to a `ReadableStream`, with this length if it is known.
pub(crate) fn readable(
    chunks: ByteStream,
    length: Option<u64>,
    context: Option<&RequestContext>,
) -> Result<web_sys::ReadableStream, JsValue> {
    if !has_fixed_length() {
        return pulled(chunks);
    }
    let transform = match length {
        Some(length) => FixedLengthStream::new(length as f64)?.unchecked_into(),
        None => IdentityTransformStream::new()?,
    };
    let writer = transform.writable().get_writer();
    let written = promise(async move {
        write(chunks, length.is_some(), &writer).await;
        Ok(JsValue::UNDEFINED)
    });
    if let Some(context) = context {
        // If the client leaves, the written data must not stay in memory.
        context.wait_until(&written);
    }
    Ok(transform.readable())
}

/// Whether the runtime is workerd, which has streams of a fixed length.
fn has_fixed_length() -> bool {
    Reflect::has(&js_sys::global(), &"FixedLengthStream".into()).unwrap_or(false)
}

/// Writes the chunks at the reader's speed. Closes the stream only if it is complete. Stops if the
/// reader leaves.
async fn write(mut chunks: ByteStream, sized: bool, writer: &Writer) {
    let buffer = WriteBuffer::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                if sized {
                    // The reader sees the error, whatever this returns.
                    let _ = JsFuture::from(writer.abort(&Error::new(&error))).await;
                    return;
                }
                let _ = JsFuture::from(writer.write(&Uint8Array::from(INCOMPLETE))).await;
                break;
            }
        };
        if buffer.write(&chunk, writer).await.is_err() {
            return;
        }
    }
    let _ = JsFuture::from(writer.close()).await;
}

/// A buffer that all writes to a stream use.
pub(crate) struct WriteBuffer(Uint8Array);

impl WriteBuffer {
    pub(crate) fn new() -> Self {
        Self(Uint8Array::new_with_length(BUFFER as u32))
    }

    /// Writes a chunk at the reader's speed. Fails if the reader has left.
    pub(crate) async fn write(&self, chunk: &[u8], writer: &Writer) -> Result<(), JsValue> {
        for part in chunk.chunks(BUFFER) {
            let view = self.0.subarray(0, part.len() as u32);
            view.copy_from(part);
            JsFuture::from(writer.write(&view)).await?;
        }
        Ok(())
    }
}

/// Converts a stream to a `ReadableStream` that is pulled. Errors are passed on; a cancel drops the
/// stream.
fn pulled(chunks: ByteStream) -> Result<web_sys::ReadableStream, JsValue> {
    let chunks = Rc::new(RefCell::new(Some(chunks)));
    let pulling: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let pull = {
        let (chunks, pulling) = (Rc::clone(&chunks), Rc::clone(&pulling));
        Closure::<dyn FnMut(Controller) -> Promise>::new(move |controller: Controller| {
            let (next, abort) = abortable(pull(Rc::clone(&chunks), controller));
            *pulling.borrow_mut() = Some(abort);
            // After a cancel, nobody waits for the result.
            promise(async move { next.await.unwrap_or(Ok(JsValue::UNDEFINED)) })
        })
    };
    let cancel = Closure::<dyn FnMut()>::new(move || {
        if let Some(abort) = pulling.borrow_mut().take() {
            abort.abort();
        }
        chunks.borrow_mut().take();
    });
    let source = Object::new();
    // Only frozen objects refuse, and these are new.
    let _ = Reflect::set(&source, &"pull".into(), &pull.into_js_value());
    let _ = Reflect::set(&source, &"cancel".into(), &cancel.into_js_value());
    let strategy = Object::new();
    let _ = Reflect::set(&strategy, &"highWaterMark".into(), &0.into());
    Ok(PulledStream::new(&source, &strategy)?.unchecked_into())
}

async fn pull(
    chunks: Rc<RefCell<Option<ByteStream>>>,
    controller: Controller,
) -> Result<JsValue, JsValue> {
    // The stream is taken out during the wait: a cancel drops this future and the stream with it.
    let Some(mut stream) = chunks.borrow_mut().take() else {
        return Ok(JsValue::UNDEFINED);
    };
    match stream.next().await {
        Some(Ok(chunk)) => {
            *chunks.borrow_mut() = Some(stream);
            controller.enqueue(&Uint8Array::from(chunk.as_ref()))?;
        }
        Some(Err(error)) => return Err(Error::new(&error).into()),
        None => controller.close()?,
    }
    Ok(JsValue::UNDEFINED)
}
