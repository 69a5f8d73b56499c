//! gzip: members, each with a header, deflated data, CRC-32 and size. Source: RFC 1952.
//!
//! ```text
//! member := header deflate crc32 size
//! header := 1f 8b 08 flags mtime(4) xfl os [length(2) extra] [name 0] [comment 0] [crc(2)]
//! ```
//! Restrictions: names and comments have at most 64 KiB. Zeros after the last member are ignored as
//! padding, as gzip does.

use super::crc::Crc32;
use super::input_buffer::InputBuffer;
use super::{FormatFault, STEP};
use alloc::boxed::Box;
use alloc::vec::Vec;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// Longest name or comment that is skipped, in bytes.
const MAX_TEXT: u32 = 1 << 16;
const WINDOW: usize = 32 << 10;

#[derive(Debug, Clone, Copy)]
enum GzipState {
    /// Before a member that is not the first.
    Between,
    Header,
    ExtraLength {
        flags: u8,
    },
    Extra {
        flags: u8,
        left: usize,
    },
    Text {
        flags: u8,
        which: u8,
        left: u32,
    },
    HeaderCrc,
    Data,
    Trailer,
}

const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

pub(super) struct Gzip {
    state: GzipState,
    held: InputBuffer,
    inflate: Box<InflateState>,
    crc: Crc32,
    size: u32,
    chunk: Vec<u8>,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            state: GzipState::Header,
            held: InputBuffer::default(),
            inflate: InflateState::new_boxed(DataFormat::Raw),
            crc: Crc32::new(),
            size: 0,
            chunk: alloc::vec![0; WINDOW],
        }
    }

    pub(super) fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), FormatFault> {
        let start = out.len();
        while out.len().saturating_sub(start) < STEP {
            let progressed = match self.state {
                GzipState::Data => self.data(input, out)?,
                _ => self.frame(input)?,
            };
            if !progressed {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the input may end here.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.state, GzipState::Between) && self.held.bytes().is_empty()
    }

    /// Reads everything except the deflated data. Returns whether it made progress.
    fn frame(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        match self.state {
            GzipState::Between => {
                let Some((first, rest)) = input.split_first() else {
                    return Ok(false);
                };
                if *first == 0 {
                    *input = rest;
                } else {
                    self.state = GzipState::Header;
                }
            }
            GzipState::Header => {
                if !self.held.fill(input, 10) {
                    return Ok(false);
                }
                let Some([0x1f, 0x8b, 8, flags, ..]) = self.held.array::<10>() else {
                    return Err(FormatFault::Malformed("a gzip header"));
                };
                if flags & 0xe0 != 0 {
                    return Err(FormatFault::Malformed("known gzip flags"));
                }
                self.held.consume(10);
                self.state = GzipState::ExtraLength { flags };
            }
            GzipState::ExtraLength { flags } if flags & HAS_EXTRA == 0 => {
                self.state = GzipState::Text {
                    flags,
                    which: HAS_NAME,
                    left: MAX_TEXT,
                }
            }
            GzipState::ExtraLength { flags } => {
                if !self.held.fill(input, 2) {
                    return Ok(false);
                }
                let left = usize::from(u16::from_le_bytes(self.held.array().unwrap_or_default()));
                self.held.consume(2);
                self.state = GzipState::Extra { flags, left };
            }
            GzipState::Extra { flags, left: 0 } => {
                self.state = GzipState::Text {
                    flags,
                    which: HAS_NAME,
                    left: MAX_TEXT,
                }
            }
            GzipState::Extra { flags, left } => {
                let skipped = left.min(input.len());
                *input = input.get(skipped..).unwrap_or_default();
                self.state = GzipState::Extra {
                    flags,
                    left: left.saturating_sub(skipped),
                };
                return Ok(skipped > 0);
            }
            GzipState::Text { flags, which, left } => return self.text(input, flags, which, left),
            GzipState::HeaderCrc => {
                if !self.held.fill(input, 2) {
                    return Ok(false);
                }
                self.held.consume(2);
                self.start();
            }
            GzipState::Trailer => {
                if !self.held.fill(input, 8) {
                    return Ok(false);
                }
                self.trailer()?;
            }
            GzipState::Data => {}
        }
        Ok(true)
    }

    /// Skips a name or comment and its final zero.
    fn text(
        &mut self,
        input: &mut &[u8],
        flags: u8,
        which: u8,
        left: u32,
    ) -> Result<bool, FormatFault> {
        if flags & which != 0 {
            let Some((first, rest)) = input.split_first() else {
                return Ok(false);
            };
            *input = rest;
            if *first != 0 {
                let left = left.checked_sub(1).ok_or(FormatFault::Malformed(
                    "a name of at most 64 KiB in a gzip header",
                ))?;
                self.state = GzipState::Text { flags, which, left };
                return Ok(true);
            }
        }
        match which {
            HAS_NAME => {
                self.state = GzipState::Text {
                    flags,
                    which: HAS_COMMENT,
                    left: MAX_TEXT,
                }
            }
            _ if flags & HAS_CRC != 0 => self.state = GzipState::HeaderCrc,
            _ => self.start(),
        }
        Ok(true)
    }

    fn start(&mut self) {
        self.inflate.reset(DataFormat::Raw);
        self.crc = Crc32::new();
        self.size = 0;
        self.state = GzipState::Data;
    }

    fn data(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, FormatFault> {
        let result = inflate(&mut self.inflate, input, &mut self.chunk, MZFlush::None);
        *input = input.get(result.bytes_consumed..).unwrap_or_default();
        let bytes = self.chunk.get(..result.bytes_written).unwrap_or_default();
        self.crc.update(bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
        out.extend_from_slice(bytes);
        match result.status {
            Ok(MZStatus::StreamEnd) => {
                self.state = GzipState::Trailer;
                Ok(true)
            }
            Ok(_) => Ok(!bytes.is_empty() || result.bytes_consumed > 0),
            // The decoder made no progress: it needs more input.
            Err(MZError::Buf) => Ok(false),
            Err(_) => Err(FormatFault::Malformed("deflated data")),
        }
    }

    fn trailer(&mut self) -> Result<(), FormatFault> {
        let trailer: [u8; 8] = self.held.array().unwrap_or_default();
        let [a, b, c, d, e, f, g, h] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.value() {
            return Err(FormatFault::Mismatch("the CRC-32 of a gzip member"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.size {
            return Err(FormatFault::Mismatch("the size of a gzip member"));
        }
        self.held.consume(8);
        self.state = GzipState::Between;
        Ok(())
    }
}
