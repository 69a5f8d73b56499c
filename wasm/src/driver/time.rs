//! The runtime's clock and timers.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// Longest wait of `setTimeout` in milliseconds. A longer wait needs several.
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

/// Returns the milliseconds since the runtime started; they never decrease. In workerd, time
/// advances only with I/O.
pub fn now_ms() -> f64 {
    performance_now()
}

/// Waits for this duration.
pub async fn sleep(time: Duration) {
    let until_ms = now_ms() + time.as_secs_f64() * 1000.0;
    let mut alarm = Alarm::new();
    poll_fn(|context| alarm.poll(context, until_ms)).await;
}

#[derive(Default)]
struct AlarmState {
    fired: bool,
    waker: Option<Waker>,
}

/// A timer that is reused. It is set again only for an earlier time. Otherwise an engine that waits
/// after each chunk of a response would create and clear thousands of timers.
pub(crate) struct Alarm {
    state: Rc<RefCell<AlarmState>>,
    callback: Option<Closure<dyn FnMut()>>,
    /// The time for which it is set, and the handle that clears it.
    set: Option<(f64, JsValue)>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            state: Rc::default(),
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
        if std::mem::take(&mut self.state.borrow_mut().fired) {
            self.set = None;
        }
        if self.set.as_ref().is_none_or(|(at_ms, _)| *at_ms > until_ms) {
            self.clear();
            let state = &self.state;
            let callback = self
                .callback
                .get_or_insert_with(|| timer_callback(Rc::clone(state)));
            // Timers may fire a little early. One more millisecond avoids a second timer.
            let delay_ms = (left_ms.ceil()).min(MAX_TIMEOUT_MS);
            let timeout = set_timeout(callback.as_ref(), delay_ms);
            self.set = Some((until_ms, timeout));
        }
        self.state.borrow_mut().waker = Some(context.waker().clone());
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

fn timer_callback(state: Rc<RefCell<AlarmState>>) -> Closure<dyn FnMut()> {
    Closure::new(move || {
        let waker = {
            let mut state = state.borrow_mut();
            state.fired = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    })
}

/// The engine's clock: milliseconds since the runtime started, without the time when the fetch had
/// to wait for its reader.
pub(crate) struct Clock {
    skipped_ms: f64,
    /// Time when it was paused.
    paused_ms: Option<f64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            skipped_ms: 0.0,
            paused_ms: None,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (now_ms() - self.skipped_ms).max(0.0) as u64
    }

    /// Pauses the clock until [`Self::resume`], while the fetch can't make progress.
    pub(crate) fn pause(&mut self) {
        self.paused_ms = Some(now_ms());
    }

    pub(crate) fn resume(&mut self) {
        if let Some(paused_ms) = self.paused_ms.take() {
            self.skipped_ms += now_ms() - paused_ms;
        }
    }

    /// Returns the time of [`now_ms`] at which this clock will show `ms`.
    pub(crate) fn at(&self, ms: u64) -> f64 {
        ms as f64 + self.skipped_ms
    }
}
