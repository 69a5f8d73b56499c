//! Promises of futures that are settled even if the code panics.
//!
//! A panic in WebAssembly is a trap: what runs ends at once, and a promise whose future it was would stay pending for ever. So each is noted
//! until it is settled, and the panic hook, which runs before the trap, rejects all of them with an `Error` of the code [`PANIC`]. A call that
//! isn't async throws the trap's own `RuntimeError`. After either the instance is not to be used again.

use js_sys::{Error, Function, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::Once;
use wasm_bindgen::prelude::*;

/// The `code` of the error after a panic.
pub const PANIC: &str = "PANIC";

thread_local! {
    /// Few: each stream has one at most.
    static PENDING: RefCell<Vec<(u64, Function)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Sets the panic hook, once for an instance.
fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let error = Error::new(&panic.to_string());
            // This one is new, and takes it.
            let _ = Reflect::set(&error, &"code".into(), &PANIC.into());
            let pending = PENDING.with(|pending| {
                pending
                    .try_borrow_mut()
                    .map(|mut pending| std::mem::take(&mut *pending))
            });
            for (_, reject) in pending.unwrap_or_default() {
                let _ = reject.call1(&JsValue::UNDEFINED, &error);
            }
        }));
    });
}

/// Runs a future on the microtask queue.
pub fn promise(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    watch();
    let mut future = Some(future);
    Promise::new(&mut |resolve, reject| {
        let Some(future) = future.take() else {
            return;
        };
        let id = NEXT.get();
        NEXT.set(id.wrapping_add(1));
        PENDING.with_borrow_mut(|pending| pending.push((id, reject.clone())));
        wasm_bindgen_futures::spawn_local(async move {
            let result = future.await;
            PENDING.with_borrow_mut(|pending| pending.retain(|(known, _)| *known != id));
            // These two never throw.
            let _ = match result {
                Ok(value) => resolve.call1(&JsValue::UNDEFINED, &value),
                Err(error) => reject.call1(&JsValue::UNDEFINED, &error),
            };
        });
    })
}
