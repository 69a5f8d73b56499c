//! Makes text that strangers chose safe to show: names in archives, paths of requests, URLs in
//! narinfos, and errors that contain them.
//!
//! [`printable`] escapes characters that would control the terminal, or make text look like another
//! one: control characters and those that change the direction of text or can't be seen. Everything
//! else stays as it is. In log lines, `short` also limits the length of each value.

use std::fmt::{self, Write};

/// Returns the text with unsafe characters escaped.
///
/// ```
/// use interplanar_server::printable::printable;
/// assert_eq!(printable("zażółć\t\u{202e}cod.exe"), "zażółć\\t\\u{202e}cod.exe");
/// ```
#[must_use]
pub fn printable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        escape(c, &mut escaped);
    }
    escaped
}

fn escape(c: char, out: &mut String) {
    if is_unsafe(c) {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

/// Control characters (C0, C1), line and paragraph separators, and the format characters that
/// reorder text or have no width (Unicode's category Cf).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Escapes what is written to it, and keeps only the start.
struct Shortener {
    text: String,
    /// Most bytes of the escaped text.
    most: usize,
    /// Characters that didn't fit.
    dropped: usize,
}

impl Write for Shortener {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let length = self.text.len();
            if self.dropped == 0 {
                escape(c, &mut self.text);
            }
            if self.dropped > 0 || self.text.len() > self.most {
                self.text.truncate(length);
                self.dropped += 1;
            }
        }
        Ok(())
    }
}

/// Returns the text of a value, printable and at most `most` bytes long. If it is longer, the number
/// of the missing characters replaces its end.
pub(crate) fn short(value: fmt::Arguments<'_>, most: usize) -> String {
    let mut shortener = Shortener {
        text: String::new(),
        most,
        dropped: 0,
    };
    // A value that can't be formatted is shown up to there.
    let _ = shortener.write_fmt(value);
    let Shortener {
        mut text, dropped, ..
    } = shortener;
    if dropped > 0 {
        text.push_str(&format!("… ({dropped} more characters)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_is_escaped_and_all_else_stays() {
        for (text, shown) in [
            ("a b/c'\"\\$", "a b/c'\"\\$"),
            ("zażółć 日本 🎉 e\u{301}", "zażółć 日本 🎉 e\u{301}"),
            (
                "a\nb\r\u{1b}[2J\u{7f}\u{9b}",
                "a\\nb\\r\\u{1b}[2J\\u{7f}\\u{9b}",
            ),
            (
                "\u{202e}exe.\u{2066}x\u{2069}",
                "\\u{202e}exe.\\u{2066}x\\u{2069}",
            ),
            (
                "\u{200b}\u{2028}\u{feff}\u{e0041}",
                "\\u{200b}\\u{2028}\\u{feff}\\u{e0041}",
            ),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        assert_eq!(short(format_args!("{}-{}", "ąę", "x"), 6), "ąę-x");
        assert_eq!(
            short(format_args!("{}{}", "ą".repeat(5), "b"), 7),
            "ąąą… (3 more characters)"
        );
        let bidi = short(format_args!("a\u{202e}\u{202e}"), 9);
        assert_eq!(bidi, "a\\u{202e}… (1 more characters)");
    }
}
