//! gzip: members of a header, deflated data, CRC-32 and size. Source: RFC 1952.
//!
//! ```text
//! header := 1f 8b 08 flags mtime(4) xfl os [length(2) extra] [name 0] [comment 0] [crc(2)]      member := header deflate crc32 size
//! ```
//! Restrictions: names and comments of at most 64 KiB. Zeros behind the last member are padding, as gzip has it.

use super::crc::Crc32;
use super::held::Held;
use super::{Fault, STEP};
use alloc::boxed::Box;
use alloc::vec::Vec;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// Longest name or comment that is skipped.
const MAX_TEXT: u32 = 1 << 16;
const WINDOW: usize = 32 << 10;

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a member, not the first one.
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
    state: State,
    held: Held,
    inflate: Box<InflateState>,
    crc: Crc32,
    size: u32,
    chunk: Vec<u8>,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            state: State::Header,
            held: Held::default(),
            inflate: InflateState::new_boxed(DataFormat::Raw),
            crc: Crc32::new(),
            size: 0,
            chunk: alloc::vec![0; WINDOW],
        }
    }

    pub(super) fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        while out.len().saturating_sub(start) < STEP {
            let went_on = match self.state {
                State::Data => self.data(input, out)?,
                _ => self.frame(input)?,
            };
            if !went_on {
                break;
            }
        }
        Ok(())
    }

    /// Whether the data may end here.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Between) && self.held.bytes().is_empty()
    }

    /// All but the deflated data; whether it went on.
    fn frame(&mut self, input: &mut &[u8]) -> Result<bool, Fault> {
        match self.state {
            State::Between => {
                let Some((first, rest)) = input.split_first() else {
                    return Ok(false);
                };
                if *first == 0 {
                    *input = rest;
                } else {
                    self.state = State::Header;
                }
            }
            State::Header => {
                if !self.held.fill(input, 10) {
                    return Ok(false);
                }
                let Some([0x1f, 0x8b, 8, flags, ..]) = self.held.array::<10>() else {
                    return Err(Fault::Malformed("a gzip header"));
                };
                if flags & 0xe0 != 0 {
                    return Err(Fault::Malformed("known gzip flags"));
                }
                self.held.consume(10);
                self.state = State::ExtraLength { flags };
            }
            State::ExtraLength { flags } if flags & HAS_EXTRA == 0 => {
                self.state = State::Text {
                    flags,
                    which: HAS_NAME,
                    left: MAX_TEXT,
                }
            }
            State::ExtraLength { flags } => {
                if !self.held.fill(input, 2) {
                    return Ok(false);
                }
                let left = usize::from(u16::from_le_bytes(self.held.array().unwrap_or_default()));
                self.held.consume(2);
                self.state = State::Extra { flags, left };
            }
            State::Extra { flags, left: 0 } => {
                self.state = State::Text {
                    flags,
                    which: HAS_NAME,
                    left: MAX_TEXT,
                }
            }
            State::Extra { flags, left } => {
                let skipped = left.min(input.len());
                *input = input.get(skipped..).unwrap_or_default();
                self.state = State::Extra {
                    flags,
                    left: left.saturating_sub(skipped),
                };
                return Ok(skipped > 0);
            }
            State::Text { flags, which, left } => return self.text(input, flags, which, left),
            State::HeaderCrc => {
                if !self.held.fill(input, 2) {
                    return Ok(false);
                }
                self.held.consume(2);
                self.start();
            }
            State::Trailer => {
                if !self.held.fill(input, 8) {
                    return Ok(false);
                }
                self.trailer()?;
            }
            State::Data => {}
        }
        Ok(true)
    }

    /// A name or comment, up to its zero.
    fn text(&mut self, input: &mut &[u8], flags: u8, which: u8, left: u32) -> Result<bool, Fault> {
        if flags & which != 0 {
            let Some((first, rest)) = input.split_first() else {
                return Ok(false);
            };
            *input = rest;
            if *first != 0 {
                let left = left
                    .checked_sub(1)
                    .ok_or(Fault::Malformed("a shorter name in a gzip header"))?;
                self.state = State::Text { flags, which, left };
                return Ok(true);
            }
        }
        match which {
            HAS_NAME => {
                self.state = State::Text {
                    flags,
                    which: HAS_COMMENT,
                    left: MAX_TEXT,
                }
            }
            _ if flags & HAS_CRC != 0 => self.state = State::HeaderCrc,
            _ => self.start(),
        }
        Ok(true)
    }

    fn start(&mut self) {
        self.inflate.reset(DataFormat::Raw);
        self.crc = Crc32::new();
        self.size = 0;
        self.state = State::Data;
    }

    fn data(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        let result = inflate(&mut self.inflate, input, &mut self.chunk, MZFlush::None);
        *input = input.get(result.bytes_consumed..).unwrap_or_default();
        let bytes = self.chunk.get(..result.bytes_written).unwrap_or_default();
        self.crc.update(bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
        out.extend_from_slice(bytes);
        match result.status {
            Ok(MZStatus::StreamEnd) => {
                self.state = State::Trailer;
                Ok(true)
            }
            Ok(_) => Ok(!bytes.is_empty() || result.bytes_consumed > 0),
            // Nothing could be done with what is there: more input is needed.
            Err(MZError::Buf) => Ok(false),
            Err(_) => Err(Fault::Malformed("deflated data")),
        }
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let trailer: [u8; 8] = self.held.array().unwrap_or_default();
        let [a, b, c, d, e, f, g, h] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.value() {
            return Err(Fault::Mismatch("gzip's CRC-32"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.size {
            return Err(Fault::Mismatch("gzip's size"));
        }
        self.held.consume(8);
        self.state = State::Between;
        Ok(())
    }
}
