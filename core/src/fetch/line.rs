//! What the way to a gateway carries, by what was measured of it.
//!
//! ```
//! use interplanar_core::fetch::Line;
//! let line = Line::new(Some(25), Some(2_500_000));
//! assert_eq!(line.round_trip_bytes(), 62_500);
//! assert_eq!(line.time_us(1, 2_500_000), 1_025_000);
//! // Nothing is known, and nonsense was measured: what is reckoned with has bounds.
//! assert_eq!(Line::new(None, None), Line::new(Some(100), Some(8 << 20)));
//! assert_eq!(Line::new(Some(0), Some(0)).time_us(1, 0), 1_000);
//! ```

use core::ops::RangeInclusive;

/// What a gateway that was never asked is thought to need for its first byte, in milliseconds.
pub(super) const UNKNOWN_LATENCY_MS: u64 = 100;
/// And its rate, in bytes per second.
pub(super) const UNKNOWN_RATE: u64 = 8 << 20;
/// Round trips that are reckoned with, in milliseconds: a gateway can make its own look long.
pub const ROUND_TRIPS_MS: RangeInclusive<u64> = 1..=2_000;
/// Rates that are reckoned with, in bytes per second.
pub const RATES: RangeInclusive<u64> = 16 << 10..=1 << 30;

/// A round trip and a rate, both within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    round_trip_ms: u64,
    rate: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Line {
    /// By milliseconds from a request to the first byte of its answer, and by bytes per second after that.
    #[must_use]
    pub fn new(latency_ms: Option<u64>, rate: Option<u64>) -> Self {
        let within = |bounds: &RangeInclusive<u64>, number: u64| {
            number.clamp(*bounds.start(), *bounds.end())
        };
        Self {
            round_trip_ms: within(&ROUND_TRIPS_MS, latency_ms.unwrap_or(UNKNOWN_LATENCY_MS)),
            rate: within(&RATES, rate.unwrap_or(UNKNOWN_RATE)),
        }
    }

    /// Milliseconds of a round trip.
    #[must_use]
    pub fn round_trip_ms(&self) -> u64 {
        self.round_trip_ms
    }

    /// Bytes per second.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The bytes that could have come in the time of one round trip.
    #[must_use]
    pub fn round_trip_bytes(&self) -> u64 {
        self.rate.saturating_mul(self.round_trip_ms) / 1_000
    }

    /// Microseconds of so many round trips one after the other, and of so many bytes.
    #[must_use]
    pub fn time_us(&self, round_trips: u64, bytes: u64) -> u64 {
        let latency = round_trips
            .saturating_mul(self.round_trip_ms)
            .saturating_mul(1_000);
        let transfer = u128::from(bytes).saturating_mul(1_000_000);
        let transfer = transfer.checked_div(u128::from(self.rate));
        let transfer = transfer.and_then(|us| u64::try_from(us).ok());
        latency.saturating_add(transfer.unwrap_or(u64::MAX))
    }
}
