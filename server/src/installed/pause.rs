//! Whether somebody is waiting for something better than the index.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Quiet {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// NARs that are being served.
    busy: usize,
    stopped: bool,
}

/// While this is held the background work rests.
pub struct Busy(Arc<Quiet>);

impl Busy {
    pub(super) fn new(quiet: &Arc<Quiet>) -> Self {
        quiet.hold().busy += 1;
        Self(Arc::clone(quiet))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.hold().busy -= 1;
        self.0.changed.notify_all();
    }
}

impl Quiet {
    /// Waits until nobody is busy; false when it is over.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.hold();
        while state.busy > 0 && !state.stopped {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        !state.stopped
    }

    /// Rests for so long; false when it is over.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let state = self.hold();
        let woken = self
            .changed
            .wait_timeout_while(state, time, |state| !state.stopped);
        let (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }

    /// Ends all waiting.
    pub(super) fn stop(&self) {
        self.hold().stopped = true;
        self.changed.notify_all();
    }

    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
