//! Time as requests feel it: it stands still while the driver is busy elsewhere.
//!
//! A driver that waits for its consumer neither polls nor reads. Time counts only from an [`Action::Wait`](super::Action::Wait)
//! to the next call, so that no gateway is blamed for a slow consumer.

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    now_ms: Option<u64>,
    felt_ms: u64,
    waiting: bool,
}

impl Clock {
    /// The driver called, at this time of its own clock.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let last = self.now_ms.unwrap_or(now_ms);
        if self.waiting {
            self.felt_ms = self.felt_ms.saturating_add(now_ms.saturating_sub(last));
        }
        self.now_ms = Some(now_ms.max(last));
    }

    /// Whether what is returned to the driver is to wait.
    pub(super) fn returns(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// The driver's time at its last call.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.unwrap_or_default()
    }

    /// The time that counts for requests.
    pub(super) fn felt_ms(&self) -> u64 {
        self.felt_ms
    }

    /// When, in the driver's time, this much will have been felt, if all that it does is wait.
    pub(super) fn driver_ms(&self, felt_ms: u64) -> u64 {
        self.now_ms()
            .saturating_add(felt_ms.saturating_sub(self.felt_ms))
    }
}
