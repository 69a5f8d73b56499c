//! Varints, CIDs and the DAG-CBOR header.

use super::{CarError, MAX_ROOTS, MAX_VARINT};
use crate::cid::Cid;
use crate::dag_cbor::{self, Reader, Unexpected};
use alloc::vec::Vec;

/// A varint that is read byte by byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Varint {
    value: u64,
    bytes: u8,
}

impl Varint {
    /// Number of bytes that were read so far.
    pub(super) fn len(self) -> usize {
        usize::from(self.bytes)
    }

    /// Reads one byte. Returns the value if this byte was the last one, and `Ok(None)` if more must
    /// follow. Returns `Err` if the varint is too long or not in its shortest form.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<u64>, ()> {
        if self.len() >= MAX_VARINT {
            return Err(());
        }
        let shift = u32::from(self.bytes).saturating_mul(7);
        self.value |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(())?;
        self.bytes = self.bytes.saturating_add(1);
        match byte {
            0 if self.bytes > 1 => Err(()),
            0..0x80 => Ok(Some(self.value)),
            _ if self.len() == MAX_VARINT => Err(()),
            _ => Ok(None),
        }
    }
}

/// Appends `value` as a varint.
pub(super) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads the CID at the start of `bytes` and returns it with its length in bytes.
pub(super) fn cid_prefix(bytes: &[u8]) -> Option<(Cid, usize)> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).ok()?;
    Some((cid, bytes.len().checked_sub(rest.len())?))
}

/// Makes the error for a header that starts at `start` in the stream.
fn wrong(fault: Unexpected, start: u64) -> CarError {
    CarError::Header {
        offset: start.saturating_add(fault.at as u64),
        expected: fault.expected,
    }
}

/// Parses the header `bytes`, which start at `start` in the stream.
pub(super) fn parse_header(bytes: &[u8], start: u64) -> Result<Vec<Cid>, CarError> {
    const SHAPE: &str = "a map of roots and version";
    const ROOTS: &str = "the key \"roots\"";
    let at = |fault| wrong(fault, start);
    let mut cbor = Reader::new(bytes);
    let shape = cbor.wrong(SHAPE);
    match cbor.map(SHAPE).map_err(at)? {
        1 => {
            // A CARv2 starts with {"version": 2} alone: name the version, not the missing roots.
            version(&mut cbor, start)?;
            return Err(at(cbor.wrong(ROOTS)));
        }
        2 => {}
        _ => return Err(at(shape)),
    }
    cbor.key(b"roots", ROOTS).map_err(at)?;
    let offset = start.saturating_add(cbor.position() as u64);
    let count = cbor.array("a list of roots").map_err(at)?;
    if count > MAX_ROOTS as u64 {
        return Err(CarError::TooManyRoots { offset });
    }
    let mut roots = Vec::new();
    for _ in 0..count {
        roots.push(cbor.link().map_err(at)?);
    }
    version(&mut cbor, start)?;
    cbor.end("the end of the header").map_err(at)?;
    Ok(roots)
}

fn version(cbor: &mut Reader<'_>, start: u64) -> Result<(), CarError> {
    cbor.key(b"version", "the key \"version\"")
        .map_err(|fault| wrong(fault, start))?;
    match cbor
        .uint("a version")
        .map_err(|fault| wrong(fault, start))?
    {
        1 => Ok(()),
        version => Err(CarError::Version { version }),
    }
}

/// Appends the header as DAG-CBOR, without its length.
pub(super) fn write_header(roots: &[Cid], out: &mut Vec<u8>) {
    dag_cbor::put_map(2, out);
    dag_cbor::put_text(b"roots", out);
    dag_cbor::put_array(roots.len(), out);
    roots.iter().for_each(|root| dag_cbor::put_link(root, out));
    dag_cbor::put_text(b"version", out);
    dag_cbor::put_uint(1, out);
}
