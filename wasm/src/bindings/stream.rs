//! The runtime's streams.

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The runtime's `ReadableStream`.
    #[wasm_bindgen(typescript_type = "ReadableStream<Uint8Array>")]
    #[derive(Clone)]
    pub type ReadableStream;

    #[wasm_bindgen(constructor, catch)]
    pub(super) fn new(source: &JsValue, strategy: &Object) -> Result<ReadableStream, JsValue>;

    /// The runtime's `WritableStream`.
    #[cfg(feature = "zstd")]
    #[wasm_bindgen(typescript_type = "WritableStream<Uint8Array>")]
    #[derive(Clone)]
    pub type WritableStream;

    #[cfg(feature = "zstd")]
    #[wasm_bindgen(constructor, catch)]
    pub(super) fn new(sink: &JsValue) -> Result<WritableStream, JsValue>;

    /// `ReadableByteStreamController`.
    #[wasm_bindgen(typescript_type = "ReadableByteStreamController")]
    pub type Controller;

    #[wasm_bindgen(method, getter, js_name = desiredSize)]
    fn desired_size(this: &Controller) -> Option<f64>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn enqueue(this: &Controller, chunk: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn close(this: &Controller) -> Result<(), JsValue>;

    #[wasm_bindgen(method, getter, js_name = byobRequest)]
    fn byob_request(this: &Controller) -> Option<ByobRequest>;

    type ByobRequest;

    #[wasm_bindgen(method, catch)]
    fn respond(this: &ByobRequest, bytes: f64) -> Result<(), JsValue>;
}

impl Controller {
    /// Whether the stream has room for more.
    pub(super) fn has_room(&self) -> bool {
        self.desired_size().is_some_and(|room| room > 0.0)
    }

    /// Ends the stream, also for a reader that waits with its own buffer.
    pub(super) fn finish(&self) -> Result<(), JsValue> {
        self.close()?;
        match self.byob_request() {
            Some(request) => request.respond(0.0),
            None => Ok(()),
        }
    }
}

/// Creates a queuing strategy with this high-water mark.
pub(super) fn strategy(high_water: f64) -> Object {
    let strategy = Object::new();
    let mark = JsValue::from_f64(high_water);
    // Only frozen objects refuse, and this one is new.
    let _ = Reflect::set(&strategy, &JsValue::from_str("highWaterMark"), &mark);
    strategy
}
