//! RFC 3339 times in UTC, as IPNS records contain them.
//!
//! ```text
//! time := YYYY "-" MM "-" DD "T" hh ":" mm ":" ss [ "." 1–9 digits ] "Z"
//! ```
//! Restrictions: years 1970 to 9999. A leap second counts as the second after it.

/// Parses a time to whole seconds since 1970. Returns `None` if the text is not a time in UTC.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let (time, rest) = text.split_at_checked(19)?;
    let fraction = rest.strip_suffix(b"Z")?;
    if let Some(digits) = fraction.strip_prefix(b".") {
        if !(1..=9).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
    } else if !fraction.is_empty() {
        return None;
    }
    for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if time.get(at) != Some(&separator) {
            return None;
        }
    }
    let number = |from: usize, to: usize, least: u64, most: u64| {
        let digits = time.get(from..to)?;
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            let digit = digit.is_ascii_digit().then(|| digit & 0xf)?;
            Some(value.saturating_mul(10).saturating_add(u64::from(digit)))
        })?;
        (least..=most).contains(&value).then_some(value)
    };
    let (year, month) = (number(0, 4, 1970, 9999)?, number(5, 7, 1, 12)?);
    let day = number(8, 10, 1, days_in(year, month))?;
    let (hours, minutes) = (number(11, 13, 0, 23)?, number(14, 16, 0, 59)?);
    let seconds = number(17, 19, 0, 60)?;
    let mut days = day.checked_sub(1)?;
    for before in 1..month {
        days = days.saturating_add(days_in(year, before));
    }
    let years = year.checked_sub(1)?;
    // Days from January 1 of year 1 to January 1 of this year, less those up to 1970.
    let leaps = (years / 4)
        .saturating_add(years / 400)
        .saturating_sub(years / 100);
    days = days.saturating_add(years.saturating_mul(365).saturating_add(leaps));
    let days = days.checked_sub(719_162)?;
    let hours = days.saturating_mul(24).saturating_add(hours);
    let minutes = hours.saturating_mul(60).saturating_add(minutes);
    Some(minutes.saturating_mul(60).saturating_add(seconds))
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28_u64.saturating_add(u64::from(leap)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_equal_those_of_the_date_command() {
        // `date -ud … +%s`
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2027-11-25T06:26:30.515338964Z", 1_827_123_990),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn texts_that_are_not_times_in_utc_are_refused() {
        for text in [
            "",
            "2027-11-25T06:26:30",
            "2027-11-25T06:26:30+01:00",
            "2027-11-25 06:26:30Z",
            "2027-11-25T06:26:30.Z",
            "2027-11-25T06:26:30.1234567890Z",
            "2027-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-04-31T00:00:00Z",
            "2027-04-00T00:00:00Z",
            "2027-04-01T24:00:00Z",
            "2027-04-01T00:60:00Z",
            "1969-12-31T23:59:59Z",
            "+027-04-01T00:00:00Z",
            "2027-11-25T06:26:30ZZ",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
