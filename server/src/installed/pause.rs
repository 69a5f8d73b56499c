//! Pauses the background indexing while NARs are served.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of NARs being served, with waiting for zero. See the module.
#[derive(Default)]
pub(super) struct Pause {
    state: Mutex<PauseState>,
    changed: Condvar,
}

#[derive(Default)]
struct PauseState {
    /// NARs that are being served.
    serving: usize,
    stopped: bool,
}

/// Pauses the background indexing as long as it exists.
pub struct PauseGuard(Arc<Pause>);

impl PauseGuard {
    pub(super) fn new(pause: &Arc<Pause>) -> Self {
        pause.lock().serving += 1;
        Self(Arc::clone(pause))
    }
}

impl Drop for PauseGuard {
    fn drop(&mut self) {
        self.0.lock().serving -= 1;
        self.0.changed.notify_all();
    }
}

impl Pause {
    /// Waits until no NAR is being served. Returns `false` after [`Self::stop`].
    pub(super) fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.serving > 0 && !state.stopped {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        !state.stopped
    }

    /// Waits for `time`. Returns `false` after [`Self::stop`].
    pub(super) fn rest(&self, time: Duration) -> bool {
        let state = self.lock();
        let woken = self
            .changed
            .wait_timeout_while(state, time, |state| !state.stopped);
        let (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }

    /// Ends all waiting.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, PauseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
