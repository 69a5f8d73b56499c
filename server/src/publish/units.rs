//! Parses durations and sizes as Guix writes them on its command lines.
//!
//! ```text
//! duration := digits ("s" | "h" | "d" | "w" | "m")     m: months of 30 days
//! size     := number unit                              number: digits, optionally with a fraction
//! unit     := "" | "k" | "K" | "KiB" | "M" | "MiB" | … | "YiB"       (powers of 1024)
//!           | "kB" | "MB" | … | "YB"                                 (powers of 1000)
//! ```

/// Parses a duration, in seconds.
///
/// # Errors
/// Describes the expected form.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let expected =
        || "expected a number followed by s, h, d, w or m (months), such as 2h".to_owned();
    let (digits, unit) = text
        .char_indices()
        .next_back()
        .and_then(|(at, _)| text.split_at_checked(at))
        .ok_or_else(expected)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        "m" => 30 * 24 * 3600,
        _ => return Err(expected()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected());
    }
    digits
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(seconds))
        .ok_or_else(|| "the duration is too long".to_owned())
}

/// Parses a size, in bytes.
///
/// # Errors
/// Describes the expected form.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let expected =
        || "expected a number and a unit such as KiB, M, G or MB, for example 10M".to_owned();
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let length = text.bytes().take_while(|byte| is_number(byte)).count();
    let (number, unit) = text.split_at_checked(length).ok_or_else(expected)?;
    if !number.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(expected());
    }
    let number: f64 = number.parse().map_err(|_| expected())?;
    let factor = factor(unit).ok_or_else(expected)?;
    let bytes = (number * factor).round();
    if bytes > u64::MAX as f64 {
        return Err("the size is too large".to_owned());
    }
    Ok(bytes as u64)
}

fn factor(unit: &str) -> Option<f64> {
    const LETTERS: &str = "KMGTPEZY";
    if unit.is_empty() {
        return Some(1.0);
    }
    let power = |letter: &str| Some(LETTERS.find(letter)? as i32 + 1);
    if let Some(letter) = unit
        .strip_suffix("iB")
        .or(Some(unit))
        .filter(|unit| unit.len() == 1)
    {
        let letter = if unit == "k" { "K" } else { letter };
        return Some(1024_f64.powi(power(letter)?));
    }
    let letter = unit.strip_suffix('B').filter(|letter| letter.len() == 1)?;
    let letter = match letter {
        "k" => "K",
        // Guix knows kB only.
        "K" => return None,
        letter => letter,
    };
    Some(1000_f64.powi(power(letter)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", 90),
            ("2h", 7200),
            ("5d", 432_000),
            ("1w", 604_800),
            ("1m", 2_592_000),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "h",
            "5",
            "5y",
            "-1s",
            "1.5h",
            "5ü",
            "99999999999999999999s",
            "9999999999999999999w",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1024", 1024),
            ("10M", 10 << 20),
            ("1.5KiB", 1536),
            ("2k", 2048),
            ("1GiB", 1 << 30),
            ("3kB", 3000),
            ("1MB", 1_000_000),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "", "M", "1 M", "1KB", "1X", "1MiBs", "-1", "1.2.3", "1Y", ".", "1ü",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
