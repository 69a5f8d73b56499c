//! The part of the protobuf wire format that dag-pb, UnixFS and IPNS use: varints and
//! length-delimited fields.
//!
//! ```text
//! field := varint(number << 3 | type) value      type 0: varint, 2: varint(length) bytes
//! ```
//! Restrictions: varints have at most 10 bytes; other wire types are errors. Source: protobuf's
//! encoding guide.

use alloc::vec::Vec;
use bytes::Bytes;

/// Value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2: a slice of the message, not a copy.
    Bytes(Bytes),
}

/// The message is not valid protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Byte offset in the message.
    pub(crate) at: usize,
}

/// Reads the fields of one message in order.
pub(crate) struct Fields {
    message: Bytes,
    at: usize,
}

impl Fields {
    pub(crate) fn new(message: &Bytes) -> Self {
        Self {
            message: message.clone(),
            at: 0,
        }
    }

    /// Reads the next field and returns its number and value.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.at >= self.message.len() {
            return Ok(None);
        }
        let start = Malformed { at: self.at };
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| start)?;
                let end = self.at.checked_add(length).ok_or(start)?;
                if end > self.message.len() {
                    return Err(start);
                }
                let value = self.message.slice(self.at..end);
                self.at = end;
                Value::Bytes(value)
            }
            _ => return Err(start),
        };
        Ok(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let start = Malformed { at: self.at };
        let rest = self.message.get(self.at..).unwrap_or_default();
        let (value, length) = varint(rest).ok_or(start)?;
        self.at = self.at.saturating_add(length);
        Ok(value)
    }
}

/// Reads a varint and returns its value and length. Returns `None` if the varint is truncated or
/// exceeds 64 bits.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits.checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value, index.saturating_add(1)));
        }
    }
    None
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits always fit.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field of wire type 0.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

/// Appends a field of wire type 2.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn varints_read_back_and_too_long_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = vec![];
            put_varint(&mut out, value);
            assert_eq!(varint(&out), Some((value, out.len())));
            assert_eq!(varint(&out[..out.len() - 1]), None);
        }
        assert_eq!(varint(&[0xff; 11]), None);
        assert_eq!(
            varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            None
        );
    }

    #[test]
    fn a_length_beyond_the_message_is_malformed_where_its_field_starts() {
        let mut fields = Fields::new(&Bytes::from_static(&[0x08, 1, 0x12, 5, 1]));
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(1)))));
        assert_eq!(fields.next(), Err(Malformed { at: 2 }));
    }
}
