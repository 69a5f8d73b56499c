//! S-expressions as libgcrypt reads and writes them.
//!
//! ```text
//! expression := atom | "(" expression* ")"
//! atom       := token | decimal ":" bytes | "#" hexadecimal "#" | "|" base64 "|"
//!             | '"' characters '"'
//! ```
//! Restrictions: at most [`MAX_SEXP`] bytes and [`MAX_DEPTH`] nested lists. Sources: Rivest's draft
//! on s-expressions, libgcrypt's manual.

use super::SignatureError;
use alloc::string::String;
use alloc::vec::Vec;
use data_encoding::{BASE64, HEXUPPER};

/// Longest text of an s-expression, in bytes: an ACL with some thousand keys fits.
pub const MAX_SEXP: usize = 1 << 20;
/// Most lists nested in each other.
pub const MAX_DEPTH: usize = 16;

/// An s-expression, nested at most [`MAX_DEPTH`] deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sexp {
    /// Bytes.
    Atom(Vec<u8>),
    /// A list.
    List(Vec<Sexp>),
}

impl Sexp {
    /// Parses one expression. Only white space may surround it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        if text.len() > MAX_SEXP {
            return Err(SignatureError::TooLarge);
        }
        let mut open: Vec<Vec<Self>> = Vec::new();
        let mut done = None;
        let mut cursor = Cursor { text, at: 0 };
        while let Some(byte) = cursor.skip_space() {
            if done.is_some() {
                return Err(cursor.malformed());
            }
            let finished = match byte {
                b'(' => {
                    cursor.advance(1);
                    open.push(Vec::new());
                    if open.len() > MAX_DEPTH {
                        return Err(SignatureError::TooLarge);
                    }
                    continue;
                }
                b')' => {
                    let list = open.pop().ok_or(cursor.malformed())?;
                    cursor.advance(1);
                    Self::List(list)
                }
                _ => Self::Atom(cursor.atom(byte)?),
            };
            match open.last_mut() {
                Some(list) => list.push(finished),
                None => done = Some(finished),
            }
        }
        done.filter(|_| open.is_empty())
            .ok_or(SignatureError::Sexp { at: text.len() })
    }

    /// Returns the items after the name, if this is a list with this name.
    pub(super) fn list(&self, name: &str) -> Option<&[Self]> {
        match self {
            Self::List(items) => match items.split_first() {
                Some((Self::Atom(head), rest)) if head == name.as_bytes() => Some(rest),
                _ => None,
            },
            Self::Atom(_) => None,
        }
    }

    /// Returns the items of the first list with this name among `items`.
    pub(super) fn find<'a>(items: &'a [Self], name: &str) -> Option<&'a [Self]> {
        items.iter().find_map(|item| item.list(name))
    }

    /// Returns the bytes of an atom.
    pub(super) fn atom(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(bytes) => Some(bytes),
            Self::List(_) => None,
        }
    }
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn malformed(&self) -> SignatureError {
        SignatureError::Sexp { at: self.at }
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) -> Option<u8> {
        let space = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace() || **byte == 0)
            .count();
        self.advance(space);
        self.rest().first().copied()
    }

    fn atom(&mut self, first: u8) -> Result<Vec<u8>, SignatureError> {
        match first {
            b'#' => self.encoded(b'#'),
            b'|' => self.encoded(b'|'),
            b'"' => self.quoted(),
            b'0'..=b'9' => self.counted(),
            _ => {
                let token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-./_:*+=".contains(byte);
                let length = self.rest().iter().take_while(token).count();
                let bytes = self
                    .rest()
                    .get(..length)
                    .filter(|bytes| !bytes.is_empty())
                    .ok_or(self.malformed())?;
                self.advance(length);
                Ok(bytes.to_vec())
            }
        }
    }

    /// Reads digits between two marks. Ignores white space between hexadecimal digits.
    fn encoded(&mut self, mark: u8) -> Result<Vec<u8>, SignatureError> {
        let malformed = self.malformed();
        self.advance(1);
        let length = self
            .rest()
            .iter()
            .position(|byte| *byte == mark)
            .ok_or(malformed.clone())?;
        let digits = self.rest().get(..length).unwrap_or_default();
        let digits: Vec<u8> = digits
            .iter()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(u8::to_ascii_uppercase)
            .collect();
        let plain = self.rest().get(..length).unwrap_or_default();
        let bytes = match mark {
            b'#' => HEXUPPER.decode(&digits),
            _ => BASE64.decode(plain),
        };
        self.advance(length.saturating_add(1));
        bytes.map_err(|_| malformed)
    }

    fn quoted(&mut self) -> Result<Vec<u8>, SignatureError> {
        let malformed = self.malformed();
        self.advance(1);
        let mut bytes = Vec::new();
        loop {
            let byte = *self.rest().first().ok_or(malformed.clone())?;
            self.advance(1);
            match byte {
                b'"' => return Ok(bytes),
                b'\\' => {
                    let escaped = *self.rest().first().ok_or(malformed.clone())?;
                    self.advance(1);
                    // Keys and hashes need no other escapes.
                    bytes.push(match escaped {
                        b'"' | b'\\' | b'\'' => escaped,
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        _ => return Err(malformed),
                    });
                }
                _ => bytes.push(byte),
            }
        }
    }

    /// Reads `length:bytes`. Digits without the colon are a token.
    fn counted(&mut self) -> Result<Vec<u8>, SignatureError> {
        let malformed = self.malformed();
        let count = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let digits = self.rest().get(..count).unwrap_or_default();
        let length = core::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok());
        let start = count.saturating_add(1);
        if self.rest().get(count) != Some(&b':') {
            self.advance(count);
            return Ok(digits.to_vec());
        }
        let end = length
            .and_then(|length| start.checked_add(length))
            .ok_or(malformed.clone())?;
        let bytes = self.rest().get(start..end).ok_or(malformed)?;
        self.advance(end);
        Ok(bytes.to_vec())
    }
}

/// Returns `#HEX#`, the form in which libgcrypt writes bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    alloc::format!("#{}#", HEXUPPER.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn every_form_of_an_atom_is_read() {
        let expected = Sexp::List(vec![
            Sexp::Atom(b"a".to_vec()),
            Sexp::List(vec![Sexp::Atom(b"hi\"".to_vec())]),
        ]);
        for text in [
            "(a (3:hi\"))",
            "(a(#686922#))",
            " ( a ( |aGki| ) )\n",
            "(a (\"hi\\\"\"))",
            "(1:a (#68 69\n22#))",
        ] {
            assert_eq!(Sexp::parse(text.as_bytes()), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn malformed_texts_give_exact_errors() {
        let parse = |text: &str| Sexp::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse("(a"), SignatureError::Sexp { at: 2 });
        assert_eq!(parse("a)"), SignatureError::Sexp { at: 1 });
        assert_eq!(parse("(#6#)"), SignatureError::Sexp { at: 1 });
        assert_eq!(parse("(9:x)"), SignatureError::Sexp { at: 1 });
        assert_eq!(parse("(\"x)"), SignatureError::Sexp { at: 1 });
        assert_eq!(parse(&"(".repeat(17)), SignatureError::TooLarge);
        assert_eq!(
            Sexp::parse(&vec![b' '; MAX_SEXP + 1]),
            Err(SignatureError::TooLarge)
        );
    }
}
