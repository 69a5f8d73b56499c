//! Turns futures into promises that settle even if the code panics.
//!
//! A panic in WebAssembly is a trap: the running code ends at once, and its promise would stay
//! pending for ever. So this module keeps a list of pending promises. The panic hook, which runs
//! before the trap, rejects all of them with an `Error` whose code is [`PANIC`]. It then throws the
//! same error, so that synchronous calls end with it too, and not with a bare `RuntimeError`. Don't
//! use the instance after that: every new promise is rejected at once.

use js_sys::{Error, Function, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::future::Future;
use wasm_bindgen::prelude::*;

/// The `code` of the error after a panic.
pub const PANIC: &str = "PANIC";

thread_local! {
    /// Rejects the pending promises. There are few, because each stream has at most one.
    static PENDING: RefCell<Vec<(u64, Function)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// The error of the panic that ended this instance.
    static PANICKED: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Sets the panic hook. The bindings call it at the start of every program that contains this
/// crate.
#[wasm_bindgen(start)]
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        let error = Error::new(&panic.to_string());
        // Only frozen objects refuse, and this one is new.
        let _ = Reflect::set(&error, &"code".into(), &PANIC.into());
        PANICKED.set(Some(error.clone()));
        let pending = PENDING.with(|pending| {
            pending
                .try_borrow_mut()
                .map(|mut pending| std::mem::take(&mut *pending))
        });
        for (_, reject) in pending.unwrap_or_default() {
            let _ = reject.call1(&JsValue::UNDEFINED, &error);
        }
        // The code on this stack doesn't run again, as after the trap.
        wasm_bindgen::throw_val(error.into());
    }));
}

/// Runs a future on the microtask queue, and returns a promise for its result.
pub fn promise(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    if let Some(error) = PANICKED.with_borrow(Clone::clone) {
        return Promise::reject(&error);
    }
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
            // Neither function throws.
            let _ = match result {
                Ok(value) => resolve.call1(&JsValue::UNDEFINED, &value),
                Err(error) => reject.call1(&JsValue::UNDEFINED, &error),
            };
        });
    })
}
