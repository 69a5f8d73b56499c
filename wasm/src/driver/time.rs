//! Time and timers of whatever runtime this is.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// The longest that `setTimeout` can wait, in milliseconds; a longer wait is several.
const MAX_TIMEOUT_MS: f64 = 2_147_483_647.0;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &JsValue, delay_ms: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timeout: &JsValue);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Milliseconds since the runtime started; they never go back. In workerd time stands still between I/O.
pub fn now_ms() -> f64 {
    performance_now()
}

/// Waits for so long.
pub async fn sleep(time: Duration) {
    let until_ms = now_ms() + time.as_secs_f64() * 1000.0;
    let mut alarm = Alarm::new();
    poll_fn(|context| alarm.poll(context, until_ms)).await;
}

#[derive(Default)]
struct Rung {
    fired: bool,
    waker: Option<Waker>,
}

/// One timer that is set again only for an earlier time than it has: an engine that waits after every piece of an answer would
/// otherwise make and clear thousands.
pub(crate) struct Alarm {
    rung: Rc<RefCell<Rung>>,
    callback: Option<Closure<dyn FnMut()>>,
    /// The time that it is set for, and what clears it.
    set: Option<(f64, JsValue)>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            rung: Rc::default(),
            callback: None,
            set: None,
        }
    }

    /// Ready at `until_ms` of [`now_ms`].
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, until_ms: f64) -> Poll<()> {
        let left_ms = until_ms - now_ms();
        if left_ms <= 0.0 {
            return Poll::Ready(());
        }
        if std::mem::take(&mut self.rung.borrow_mut().fired) {
            self.set = None;
        }
        if self.set.as_ref().is_none_or(|(at_ms, _)| *at_ms > until_ms) {
            self.clear();
            let rung = &self.rung;
            let callback = self.callback.get_or_insert_with(|| ring(Rc::clone(rung)));
            // Timers may fire a little early: a millisecond later spares a second one.
            let delay_ms = (left_ms.ceil()).min(MAX_TIMEOUT_MS);
            let timeout = set_timeout(callback.as_ref(), delay_ms);
            self.set = Some((until_ms, timeout));
        }
        self.rung.borrow_mut().waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn clear(&mut self) {
        if let Some((_, timeout)) = self.set.take() {
            clear_timeout(&timeout);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}

fn ring(rung: Rc<RefCell<Rung>>) -> Closure<dyn FnMut()> {
    Closure::new(move || {
        let waker = {
            let mut rung = rung.borrow_mut();
            rung.fired = true;
            rung.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    })
}

/// The engine's clock: milliseconds since the runtime started, less what this fetch was made to wait.
pub(crate) struct Clock {
    skipped_ms: f64,
    /// Since when it stands still.
    stopped_ms: Option<f64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            skipped_ms: 0.0,
            stopped_ms: None,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (now_ms() - self.skipped_ms).max(0.0) as u64
    }

    /// Leaves out the time from here to [`Self::go_on`], in which the fetch cannot go on.
    pub(crate) fn stop(&mut self) {
        self.stopped_ms = Some(now_ms());
    }

    pub(crate) fn go_on(&mut self) {
        if let Some(stopped_ms) = self.stopped_ms.take() {
            self.skipped_ms += now_ms() - stopped_ms;
        }
    }

    /// When the clock will show `ms`, by [`now_ms`].
    pub(crate) fn at(&self, ms: u64) -> f64 {
        ms as f64 + self.skipped_ms
    }
}
