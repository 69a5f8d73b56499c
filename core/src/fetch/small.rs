//! Rules for fetching small files over HTTP, such as narinfos: retries, timeouts and cache
//! lifetimes.
//!
//! ```
//! use core::time::Duration;
//! use interplanar_core::fetch::small::{fresh_for, is_transient};
//!
//! assert!(is_transient(503) && !is_transient(404));
//! assert_eq!(fresh_for(["public, max-age=300"], Some("100")), Some(Duration::from_secs(200)));
//! assert_eq!(fresh_for(["no-store"], None), Some(Duration::ZERO));
//! ```

use core::time::Duration;

/// Pauses before the second and the third attempt after a transient error.
pub const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// Time limit of one attempt, from the first byte sent to the last byte received.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(15);

/// Whether the status means that a later attempt may succeed.
#[must_use]
pub fn is_transient(status: u16) -> bool {
    matches!(status, 500..=599 | 408 | 429)
}

/// Returns how long an answer may be cached by its `Cache-Control` lines and `Age`: `max-age` (zero
/// for `no-store` and `no-cache`) less the answer's age. Returns `None` if the sender gives no
/// lifetime.
#[must_use]
pub fn fresh_for<'a>(
    control: impl IntoIterator<Item = &'a str>,
    age: Option<&str>,
) -> Option<Duration> {
    let mut max_age: Option<u64> = None;
    let lines = control.into_iter();
    for directive in lines.flat_map(|line| line.split(',')).map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            max_age = seconds.trim().trim_matches('"').parse().ok();
        }
    }
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    Some(Duration::from_secs(max_age?.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_is_that_of_the_sender_less_the_age() {
        type Row<'a> = (&'a [&'a str], Option<&'a str>, Option<u64>);
        let table: [Row<'_>; 10] = [
            (&[], None, None),
            (&["public"], None, None),
            (&["max-age=300"], None, Some(300)),
            (&["public, Max-Age = \"300\""], None, Some(300)),
            (&["max-age=300"], Some("100"), Some(200)),
            (&["max-age=300"], Some("301"), Some(0)),
            (&["max-age=300"], Some("old"), Some(300)),
            (&["max-age=300, no-store"], None, Some(0)),
            (&["max-age=300", "no-store"], None, Some(0)),
            (&["max-age=soon"], None, None),
        ];
        for (control, age, seconds) in table {
            let expected = seconds.map(Duration::from_secs);
            let lines = control.iter().copied();
            assert_eq!(fresh_for(lines, age), expected, "{control:?} {age:?}");
        }
    }

    #[test]
    fn only_statuses_that_a_retry_may_change_are_transient() {
        let transient = (100..600).filter(|status| is_transient(*status));
        assert!(transient.eq([408, 429].into_iter().chain(500..600)));
    }
}
