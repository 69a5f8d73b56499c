//! Latency and rate of the connection to a gateway, as measured.
//!
//! ```
//! use interplanar_core::fetch::LinkSpeed;
//! let line = LinkSpeed::new(Some(25), Some(2_500_000));
//! assert_eq!(line.round_trip_bytes(), 62_500);
//! assert_eq!(line.time_us(1, 2_500_000), 1_025_000);
//! // Unknown values get defaults, and measured ones are clamped.
//! assert_eq!(LinkSpeed::new(None, None), LinkSpeed::new(Some(100), Some(8 << 20)));
//! assert_eq!(LinkSpeed::new(Some(0), Some(0)).time_us(1, 0), 1_000);
//! ```

use core::ops::RangeInclusive;

/// Assumed time until the first byte of a gateway that was never asked, in milliseconds.
pub(super) const UNKNOWN_LATENCY_MS: u64 = 100;
/// Assumed rate of such a gateway, in bytes per second.
pub(super) const UNKNOWN_RATE: u64 = 8 << 20;
/// Bounds of the round trip in milliseconds: a gateway can delay its own answers.
pub const ROUND_TRIPS_MS: RangeInclusive<u64> = 1..=2_000;
/// Bounds of the rate, in bytes per second.
pub const RATES: RangeInclusive<u64> = 16 << 10..=1 << 30;

/// A round trip time and a rate, both within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSpeed {
    round_trip_ms: u64,
    rate: u64,
}

impl Default for LinkSpeed {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl LinkSpeed {
    /// Makes a value from the milliseconds between a request and the first byte of its answer, and
    /// from the bytes per second after that.
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

    /// Round trip time, in milliseconds.
    #[must_use]
    pub fn round_trip_ms(&self) -> u64 {
        self.round_trip_ms
    }

    /// Rate, in bytes per second.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Number of bytes that could arrive during one round trip.
    #[must_use]
    pub fn round_trip_bytes(&self) -> u64 {
        self.rate.saturating_mul(self.round_trip_ms) / 1_000
    }

    /// Time for so many consecutive round trips and so many bytes, in microseconds.
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
