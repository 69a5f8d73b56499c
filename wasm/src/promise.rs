//! Promises of futures that are settled even if the code panics, and calls that throw then.
//!
//! A panic in WebAssembly is a trap: what runs ends at once, and a promise whose future it was would stay pending for ever. So each is noted
//! until it is settled. The panic hook, which runs before the trap, rejects all of them with an `Error` of the code [`PANIC`], and throws the same
//! error, so that a call that isn't async ends with it too and not with a bare `RuntimeError`. The instance is not to be used again: a promise that
//! is asked for later is rejected at once.

use js_sys::{Error, Function, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::future::Future;
use wasm_bindgen::prelude::*;

/// The `code` of the error after a panic.
pub const PANIC: &str = "PANIC";

thread_local! {
    /// Few: each stream has one at most.
    static PENDING: RefCell<Vec<(u64, Function)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// What this instance ended with.
    static PANICKED: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Sets the panic hook. The runtime calls it before all else, in every program that this crate is part of.
#[wasm_bindgen(start)]
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        let error = Error::new(&panic.to_string());
        // This one is new, and takes it.
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
        // Nothing of this stack runs again, as after the trap.
        wasm_bindgen::throw_val(error.into());
    }));
}

/// Runs a future on the microtask queue.
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
            // These two never throw.
            let _ = match result {
                Ok(value) => resolve.call1(&JsValue::UNDEFINED, &value),
                Err(error) => reject.call1(&JsValue::UNDEFINED, &error),
            };
        });
    })
}
