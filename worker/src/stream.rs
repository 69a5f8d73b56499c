//! A stream of Rust as a `ReadableStream`: pulled, so that a slow reader slows whoever sends.

use bytes::Bytes;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::{LocalBoxStream, StreamExt as _};
use js_sys::{Error, Object, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Pieces, or why there are no more.
pub(crate) type Pieces = LocalBoxStream<'static, Result<Bytes, String>>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = ReadableStream)]
    type PulledStream;

    #[wasm_bindgen(constructor, js_class = ReadableStream, catch)]
    fn new(source: &Object, strategy: &Object) -> Result<PulledStream, JsValue>;

    type Controller;

    #[wasm_bindgen(method, catch)]
    fn enqueue(this: &Controller, chunk: &Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn close(this: &Controller) -> Result<(), JsValue>;
}

/// A `ReadableStream` of these pieces. An error of theirs is an error of the stream; a reader that goes away drops them.
pub(crate) fn readable(pieces: Pieces) -> Result<web_sys::ReadableStream, JsValue> {
    let pieces = Rc::new(RefCell::new(Some(pieces)));
    let pulling: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let pull = {
        let (pieces, pulling) = (Rc::clone(&pieces), Rc::clone(&pulling));
        Closure::<dyn FnMut(Controller) -> Promise>::new(move |controller: Controller| {
            let (next, abort) = abortable(pull(Rc::clone(&pieces), controller));
            *pulling.borrow_mut() = Some(abort);
            // Whoever cancelled waits for nothing.
            future_to_promise(async move { next.await.unwrap_or(Ok(JsValue::UNDEFINED)) })
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
