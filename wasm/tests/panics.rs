//! A panic as JavaScript sees it. This file has one test, because an instance is unusable after a
//! panic.
#![cfg(all(target_arch = "wasm32", feature = "full"))]

use interplanar_wasm::bindings::DecompressStream;
use interplanar_wasm::promise::{promise, watch};
use js_sys::{Error, Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = ReadableStream)]
    type AnyStream;

    #[wasm_bindgen(method, js_name = getReader)]
    fn get_reader(this: &AnyStream) -> Reader;

    type Reader;

    #[wasm_bindgen(method)]
    fn read(this: &Reader) -> Promise;
}

/// `code` and message of what was thrown; asserting would be a second panic, of which nothing is
/// told. Returns the code and the message of an error. It doesn't assert: that would be a second
/// panic, which nobody would see.
fn code_and_message(result: Result<JsValue, JsValue>) -> Result<(String, String), JsValue> {
    let Err(thrown) = result else {
        return Err(JsValue::from_str("the panic caused no error"));
    };
    let code = Reflect::get(&thrown, &JsValue::from_str("code"))?.as_string();
    let message = thrown
        .dyn_ref::<Error>()
        .map(|error| String::from(error.message()));
    code.zip(message).ok_or(thrown)
}

#[wasm_bindgen_test]
#[expect(clippy::panic, reason = "the test is about panics")]
async fn a_panic_is_an_error_of_the_call_and_of_promises_and_streams_under_way_and_to_come()
-> Result<(), JsValue> {
    // The test runner has replaced the package's panic hook.
    watch();
    let promised = JsFuture::from(promise(std::future::pending()));
    let decoder = DecompressStream::new("zstd", f64::INFINITY)?;
    let readable: AnyStream = Reflect::get(&decoder.into(), &JsValue::from_str("readable"))?.into();
    let read = JsFuture::from(readable.get_reader().read());
    // The stream requests its first bytes in another turn of the event loop.
    JsFuture::from(Promise::resolve(&JsValue::NULL)).await?;

    let call = Closure::<dyn FnMut()>::new(|| panic!("a bug of ours"));
    let call: &Function = call.as_ref().unchecked_ref();
    let ends = [
        call.call0(&JsValue::UNDEFINED),
        promised.await,
        read.await,
        JsFuture::from(promise(std::future::pending())).await,
    ];
    for end in ends {
        let (code, message) = code_and_message(end)?;
        if code != "PANIC" || !message.contains("a bug of ours") {
            return Err(JsValue::from_str(&format!("{code}: {message}")));
        }
    }
    Ok(())
}
