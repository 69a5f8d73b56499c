//! The clock for time limits. It stops while the driver is busy.
//!
//! A driver that waits for its consumer neither polls nor reads. Time counts only from an
//! [`Action::Wait`](super::Action::Wait) to the next call, so a slow consumer is not blamed on
//! gateways.

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FetchClock {
    now_ms: Option<u64>,
    counted_ms: u64,
    waiting: bool,
}

impl FetchClock {
    /// Notes a call of the driver at this time of the driver's clock.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let last = self.now_ms.unwrap_or(now_ms);
        if self.waiting {
            self.counted_ms = self.counted_ms.saturating_add(now_ms.saturating_sub(last));
        }
        self.now_ms = Some(now_ms.max(last));
    }

    /// Notes whether the action returned to the driver is to wait.
    pub(super) fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// Time of the driver's last call, in the driver's clock.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.unwrap_or_default()
    }

    /// Time that counts for requests, in milliseconds.
    pub(super) fn counted_ms(&self) -> u64 {
        self.counted_ms
    }

    /// Time in the driver's clock at which `counted_ms` will be reached, if the driver only waits.
    pub(super) fn driver_ms(&self, counted_ms: u64) -> u64 {
        self.now_ms()
            .saturating_add(counted_ms.saturating_sub(self.counted_ms))
    }
}
