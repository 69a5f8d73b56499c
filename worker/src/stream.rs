//! A stream of Rust as a `ReadableStream`, so that a slow reader slows whoever sends.
//!
//! Browsers pull. workerd is written to, through one buffer: what is pulled there waits for the garbage collector, and pieces of a
//! long stream fill its memory meanwhile.

use bytes::Bytes;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::{LocalBoxStream, StreamExt as _};
use interplanar_wasm::promise::promise;
use js_sys::{Error, Object, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Pieces, or why there are no more.
pub(crate) type Pieces = LocalBoxStream<'static, Result<Bytes, String>>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = ReadableStream)]
    type PulledStream;

    #[wasm_bindgen(constructor, js_class = ReadableStream, catch)]
    fn new(source: &Object, strategy: &Object) -> Result<PulledStream, JsValue>;

    /// What the edge hands along with a request.
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

/// What an answer without a length ends with where it can't be completed: workerd may end it in good order, whatever becomes of its
/// stream, so that nobody would know. Kubo does the same.
const INCOMPLETE: &[u8] = b"\n[this answer is incomplete]\n";

/// Bytes that are written at once.
const BUFFER: usize = 128 << 10;

/// A `ReadableStream` of these pieces, of this length if it is known.
pub(crate) fn readable(
    pieces: Pieces,
    length: Option<u64>,
    context: Option<&RequestContext>,
) -> Result<web_sys::ReadableStream, JsValue> {
    if !has_fixed_length() {
        return pulled(pieces);
    }
    let transform = match length {
        Some(length) => FixedLengthStream::new(length as f64)?.unchecked_into(),
        None => IdentityTransformStream::new()?,
    };
    let writer = transform.writable().get_writer();
    let written = promise(async move {
        write(pieces, length.is_some(), &writer).await;
        Ok(JsValue::UNDEFINED)
    });
    if let Some(context) = context {
        // A client that goes away must not leave what was written to it behind in our memory.
        context.wait_until(&written);
    }
    Ok(transform.readable())
}

/// Whether this is workerd, where streams of a known length are written to.
fn has_fixed_length() -> bool {
    Reflect::has(&js_sys::global(), &"FixedLengthStream".into()).unwrap_or(false)
}

/// Writes the pieces, waiting for the reader. Only all of them close the stream; a reader that goes away drops the rest.
async fn write(mut pieces: Pieces, sized: bool, writer: &Writer) {
    let buffer = Buffer::new();
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                if sized {
                    // Whatever it answers, the reader sees the error.
                    let _ = JsFuture::from(writer.abort(&Error::new(&error))).await;
                    return;
                }
                let _ = JsFuture::from(writer.write(&Uint8Array::from(INCOMPLETE))).await;
                break;
            }
        };
        if buffer.write(&piece, writer).await.is_err() {
            return;
        }
    }
    let _ = JsFuture::from(writer.close()).await;
}

/// What goes into streams that are written to, over and over.
pub(crate) struct Buffer(Uint8Array);

impl Buffer {
    pub(crate) fn new() -> Self {
        Self(Uint8Array::new_with_length(BUFFER as u32))
    }

    /// Writes a piece, waiting for the reader; an error if there is none any more.
    pub(crate) async fn write(&self, piece: &[u8], writer: &Writer) -> Result<(), JsValue> {
        for part in piece.chunks(BUFFER) {
            let view = self.0.subarray(0, part.len() as u32);
            view.copy_from(part);
            JsFuture::from(writer.write(&view)).await?;
        }
        Ok(())
    }
}

/// A `ReadableStream` of these pieces. An error of theirs is an error of the stream; a reader that goes away drops them.
fn pulled(pieces: Pieces) -> Result<web_sys::ReadableStream, JsValue> {
    let pieces = Rc::new(RefCell::new(Some(pieces)));
    let pulling: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let pull = {
        let (pieces, pulling) = (Rc::clone(&pieces), Rc::clone(&pulling));
        Closure::<dyn FnMut(Controller) -> Promise>::new(move |controller: Controller| {
            let (next, abort) = abortable(pull(Rc::clone(&pieces), controller));
            *pulling.borrow_mut() = Some(abort);
            // Whoever cancelled waits for nothing.
            promise(async move { next.await.unwrap_or(Ok(JsValue::UNDEFINED)) })
        })
    };
    let cancel = Closure::<dyn FnMut()>::new(move || {
        if let Some(abort) = pulling.borrow_mut().take() {
            abort.abort();
        }
        pieces.borrow_mut().take();
    });
    let source = Object::new();
    // These are new objects, which take every property.
    let _ = Reflect::set(&source, &"pull".into(), &pull.into_js_value());
    let _ = Reflect::set(&source, &"cancel".into(), &cancel.into_js_value());
    let strategy = Object::new();
    let _ = Reflect::set(&strategy, &"highWaterMark".into(), &0.into());
    Ok(PulledStream::new(&source, &strategy)?.unchecked_into())
}

async fn pull(
    pieces: Rc<RefCell<Option<Pieces>>>,
    controller: Controller,
) -> Result<JsValue, JsValue> {
    // Taken out while it is waited for: a reader that cancels meanwhile drops this future, and it with it.
    let Some(mut stream) = pieces.borrow_mut().take() else {
        return Ok(JsValue::UNDEFINED);
    };
    match stream.next().await {
        Some(Ok(piece)) => {
            *pieces.borrow_mut() = Some(stream);
            controller.enqueue(&Uint8Array::from(piece.as_ref()))?;
        }
        Some(Err(error)) => return Err(Error::new(&error).into()),
        None => controller.close()?,
    }
    Ok(JsValue::UNDEFINED)
}
