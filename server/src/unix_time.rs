//! Times as they are kept and told: in seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds from 1970 to now.
pub(crate) fn now() -> u64 {
    seconds(SystemTime::now())
}

/// Seconds from 1970 to a time; 0 for one before.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
