//! LZMA2: LZMA in chunks of at most 64 KiB of input and 2 MiB of output. Each chunk is buffered and
//! decoded as a whole. Sources: the xz format and the LZMA SDK.
//!
//! ```text
//! chunk := 00
//!        | (01 | 02) size(2) bytes
//!        | control(80…ff) unpacked(2) packed(2) [properties(1)] stream
//! ```

use super::FormatFault;
use super::lzma::{Lzma, Properties, RangeState, Symbol, Window};
use alloc::vec::Vec;

/// Longest chunk with its header, in bytes.
pub(super) const MAX_CHUNK: usize = (1 << 16) + 6;
const CORRUPT: FormatFault = FormatFault::Malformed("an LZMA2 chunk");

/// Decodes the chunks of one LZMA2 stream.
pub(super) struct Lzma2 {
    lzma: Option<Lzma>,
    properties: Option<Properties>,
    window: Window,
    /// Whether the window was reset once, as the first chunk must do.
    started: bool,
}

impl Lzma2 {
    pub(super) fn new(window: usize) -> Self {
        Self {
            lzma: None,
            properties: None,
            window: Window::new(window),
            started: false,
        }
    }

    /// Returns the length in bytes of the chunk that starts with these bytes. Returns `None` if
    /// more bytes are needed to know it.
    pub(super) fn chunk_length(bytes: &[u8]) -> Option<usize> {
        let number = |at: usize| {
            let pair: [u8; 2] = bytes.get(at..at.saturating_add(2))?.try_into().ok()?;
            Some(usize::from(u16::from_be_bytes(pair)).saturating_add(1))
        };
        match *bytes.first()? {
            0 => Some(1),
            control @ 0x80.. => {
                let header = if control >= 0xc0 { 6_usize } else { 5 };
                number(3).map(|packed| header.saturating_add(packed))
            }
            _ => number(1).map(|size| size.saturating_add(3)),
        }
    }

    /// Decodes a whole chunk. Returns whether it was the last one.
    pub(super) fn chunk(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<bool, FormatFault> {
        match chunk {
            [0] => Ok(true),
            [control @ (1 | 2), _, _, bytes @ ..] => {
                if *control == 1 {
                    self.window.reset();
                    self.started = true;
                } else if !self.started {
                    return Err(CORRUPT);
                }
                self.window.put_all(bytes);
                out.extend_from_slice(bytes);
                Ok(false)
            }
            [control @ 0x80..=0xff, high, low, _, _, rest @ ..] => {
                let size =
                    usize::from(control & 0x1f) << 16 | usize::from(*high) << 8 | usize::from(*low);
                self.packed(*control, size.saturating_add(1), rest, out)?;
                Ok(false)
            }
            _ => Err(CORRUPT),
        }
    }

    fn packed(
        &mut self,
        control: u8,
        size: usize,
        mut rest: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FormatFault> {
        let reset = control >> 5 & 3;
        if reset == 3 {
            self.window.reset();
            self.started = true;
        }
        if reset >= 2 {
            let (first, tail) = rest.split_first().ok_or(CORRUPT)?;
            self.properties = Some(properties(*first)?);
            rest = tail;
        }
        if reset >= 1 {
            self.lzma = Some(Lzma::new(self.properties.ok_or(CORRUPT)?));
        }
        if !self.started {
            return Err(CORRUPT);
        }
        let lzma = self.lzma.as_mut().ok_or(CORRUPT)?;
        let (head, stream) = rest.split_first_chunk::<5>().ok_or(CORRUPT)?;
        let mut range = RangeState::new(*head).map_err(|_| CORRUPT)?.resume(stream);
        let end = out.len().saturating_add(size);
        while out.len() < end {
            match lzma.symbol(&mut range, &mut self.window, out) {
                Ok(Symbol::Output) if range.used() <= stream.len() => {}
                _ => return Err(CORRUPT),
            }
        }
        let exact = out.len() == end && range.used() == stream.len() && range.state().is_finished();
        if exact { Ok(()) } else { Err(CORRUPT) }
    }
}

/// Decodes a properties byte. In LZMA2, lc + lp is at most 4.
fn properties(byte: u8) -> Result<Properties, FormatFault> {
    let number = u32::from(byte);
    let (lc, lp, pb) = (number % 9, number / 9 % 5, number / 45);
    if pb > 4 || lc.saturating_add(lp) > 4 {
        Err(CORRUPT)
    } else {
        Ok(Properties { lc, lp, pb })
    }
}
