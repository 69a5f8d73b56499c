//! Zstandard: frames in sequence, with skippable frames between them. Source: RFC 8878.
//!
//! ruzstd decodes whole blocks, so the input is buffered until a block is complete: at most 128
//! KiB.
//!
//! ruzstd reserves the window that a frame header names, and the literals that a block names. So
//! this module reads both first. ruzstd gets a header that is written here, with the window that
//! the limits allow, and never a header of the input.
//!
//! Restrictions: no dictionaries; a block's literals are no longer than a block may be.

use super::input_buffer::InputBuffer;
use super::{FormatFault, Limits, STEP};
use alloc::vec::Vec;
use ruzstd::decoding::FrameDecoder;

/// Longest content of a block, packed or not, in bytes. A smaller window lowers it.
const MAX_CONTENT: usize = 128 << 10;
/// Longest block with its header and the checksum after the last block, in bytes.
const MAX_BLOCK: usize = MAX_CONTENT + 3 + 4;
/// Longest frame header, in bytes.
const MAX_HEADER: usize = 18;
const MAGIC: u32 = 0xfd2f_b528;
const HEADER_FAULT: FormatFault = FormatFault::Malformed("a zstd frame header");
const SKIPPABLE: u32 = 0x184d_2a50;

#[derive(Debug, Clone, Copy)]
enum ZstdState {
    /// Before a frame. `first` means that the input may not end here.
    Start {
        first: bool,
    },
    Skip {
        left: u64,
    },
    Frame {
        produced: u64,
        header: FrameHeader,
    },
}

/// What a frame header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHeader {
    /// Bytes of the window.
    window: u64,
    /// Bytes of output, if the header has them.
    content: Option<u64>,
    /// Whether a checksum follows the last block.
    checksum: bool,
}

pub(super) struct Zstd {
    state: ZstdState,
    held: InputBuffer,
    decoder: FrameDecoder,
    chunk: Vec<u8>,
}

impl Zstd {
    pub(super) fn new() -> Self {
        let chunk = alloc::vec![0; 128 << 10];
        Self {
            state: ZstdState::Start { first: true },
            held: InputBuffer::default(),
            decoder: FrameDecoder::new(),
            chunk,
        }
    }

    pub(super) fn push(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), FormatFault> {
        let start = out.len();
        while out.len().saturating_sub(start) < STEP {
            let progressed = match self.state {
                ZstdState::Start { .. } => self.start(input, limits)?,
                ZstdState::Skip { left } => self.skip(input, left),
                ZstdState::Frame { .. } => self.frame(input, out)?,
            };
            if !progressed {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the input may end here.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.state, ZstdState::Start { first: false }) && self.held.bytes().is_empty()
    }

    fn skip(&mut self, input: &mut &[u8], left: u64) -> bool {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        let held = wanted.min(self.held.bytes().len());
        self.held.consume(held);
        let direct = wanted.saturating_sub(held).min(input.len());
        *input = input.get(direct..).unwrap_or_default();
        let left = left
            .saturating_sub(held as u64)
            .saturating_sub(direct as u64);
        self.state = if left == 0 {
            ZstdState::Start { first: false }
        } else {
            ZstdState::Skip { left }
        };
        left == 0
    }

    fn start(&mut self, input: &mut &[u8], limits: &Limits) -> Result<bool, FormatFault> {
        if !self.held.fill(input, 5) {
            return Ok(false);
        }
        let [a, b, c, d, descriptor] = self.held.array().unwrap_or_default();
        let magic = u32::from_le_bytes([a, b, c, d]);
        if magic & 0xffff_fff0 == SKIPPABLE {
            if !self.held.fill(input, 8) {
                return Ok(false);
            }
            let [_, _, _, _, length @ ..] = self.held.array::<8>().unwrap_or_default();
            self.held.consume(8);
            self.state = ZstdState::Skip {
                left: u64::from(u32::from_le_bytes(length)),
            };
            return Ok(true);
        }
        if magic != MAGIC {
            return Err(FormatFault::Malformed("a zstd frame"));
        }
        let length = header_length(descriptor);
        if !self.held.fill(input, length) {
            return Ok(false);
        }
        let header = frame_header(self.held.bytes(), descriptor)?;
        let window = header.kept_window(limits)?;
        self.decoder.set_max_window_size(window);
        self.decoder
            .init(header.rewritten(window).as_slice())
            .map_err(|_| HEADER_FAULT)?;
        self.held.consume(length);
        self.state = ZstdState::Frame {
            produced: 0,
            header,
        };
        Ok(true)
    }

    fn frame(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, FormatFault> {
        let ZstdState::Frame { produced, header } = self.state else {
            return Ok(false);
        };
        if self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            self.end(produced, header)?;
            return Ok(true);
        }
        // Buffer only the bytes of the next block, so that bytes after the frame are not read as a
        // block.
        if !self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            let wanted = self.wanted(input, header)?;
            let enough = wanted <= self.held.bytes().len() || self.held.fill(input, wanted);
            if !enough {
                return Ok(false);
            }
            if literals(self.held.bytes()) > header.longest_block() {
                return Err(FormatFault::Malformed(
                    "literals that fit into a zstd block",
                ));
            }
        }
        let (used, written) = self
            .decoder
            .decode_from_to(self.held.bytes(), &mut self.chunk)
            .map_err(|_| FormatFault::Malformed("a zstd block"))?;
        let used = used.min(self.held.bytes().len());
        self.held.consume(used);
        out.extend_from_slice(self.chunk.get(..written).unwrap_or_default());
        let produced = produced.saturating_add(written as u64);
        if header.content.is_some_and(|content| produced > content) {
            return Err(FormatFault::Mismatch("the content size of a zstd frame"));
        }
        self.state = ZstdState::Frame { produced, header };
        Ok(used > 0 || written > 0)
    }

    /// Returns the length in bytes of the next block with its header, and with the checksum after
    /// the last block.
    fn wanted(&mut self, input: &mut &[u8], frame: FrameHeader) -> Result<usize, FormatFault> {
        if !self.held.fill(input, 3) {
            return Ok(MAX_BLOCK);
        }
        let [a, b, c] = self.held.array().unwrap_or_default();
        let header = u32::from_le_bytes([a, b, c, 0]);
        let size = usize::try_from(header >> 3).unwrap_or(usize::MAX);
        let body = match header >> 1 & 3 {
            1 => 1,
            0 | 2 => size,
            _ => return Err(FormatFault::Malformed("a zstd block")),
        };
        let tail = if header & 1 == 1 && frame.checksum {
            4
        } else {
            0
        };
        let whole = body.saturating_add(3).saturating_add(tail);
        if whole > MAX_BLOCK {
            Err(FormatFault::Malformed("a zstd block of at most 128 KiB"))
        } else {
            Ok(whole)
        }
    }

    fn end(&mut self, produced: u64, header: FrameHeader) -> Result<(), FormatFault> {
        if header.content.is_some_and(|content| content != produced) {
            return Err(FormatFault::Mismatch("the content size of a zstd frame"));
        }
        if header.checksum
            && self.decoder.get_checksum_from_data() != self.decoder.get_calculated_checksum()
        {
            return Err(FormatFault::Mismatch("the checksum of a zstd frame"));
        }
        self.state = ZstdState::Start { first: false };
        Ok(())
    }
}

/// Returns the length of a frame header in bytes, given its descriptor.
fn header_length(descriptor: u8) -> usize {
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4]
        .get(usize::from(descriptor & 3))
        .copied()
        .unwrap_or(0_usize);
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let length = usize::from(!single)
        .saturating_add(dictionary)
        .saturating_add(content)
        .saturating_add(5);
    length.min(MAX_HEADER)
}

impl FrameHeader {
    /// Returns the window to keep, in bytes. Bytes beyond the content size or the output limit need
    /// no window. But the window has room for a block, so that a block beyond the limit is told
    /// apart from a malformed one.
    fn kept_window(&self, limits: &Limits) -> Result<u64, FormatFault> {
        let needed = limits.window(self.window.min(self.content.unwrap_or(u64::MAX)))?;
        Ok(self.window.min(needed.max(MAX_CONTENT) as u64))
    }

    /// Returns the longest content of a block, in bytes.
    fn longest_block(&self) -> usize {
        usize::try_from(self.window).map_or(MAX_CONTENT, |window| window.min(MAX_CONTENT))
    }

    /// Writes a header for ruzstd: a single segment, whose content size is the window.
    fn rewritten(&self, window: u64) -> [u8; 13] {
        let [a, b, c, d] = MAGIC.to_le_bytes();
        let descriptor = 0xe0 | u8::from(self.checksum) << 2;
        let [e, f, g, h, i, j, k, l] = window.to_le_bytes();
        [a, b, c, d, descriptor, e, f, g, h, i, j, k, l]
    }
}

/// Reads a whole frame header.
fn frame_header(header: &[u8], descriptor: u8) -> Result<FrameHeader, FormatFault> {
    let single = descriptor & 0x20 != 0;
    let mut rest = header.get(5..).ok_or(HEADER_FAULT)?;
    let mut number = |length: usize| {
        let (bytes, tail) = rest.split_at_checked(length).ok_or(HEADER_FAULT)?;
        rest = tail;
        let number = bytes.iter().rev();
        Ok(number.fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    // The reserved bit.
    if descriptor & 8 != 0 {
        return Err(HEADER_FAULT);
    }
    let window = if single { 0 } else { number(1)? };
    let dictionary = match descriptor & 3 {
        3 => number(4)?,
        length => number(usize::from(length))?,
    };
    if dictionary != 0 {
        return Err(FormatFault::Feature("a dictionary of zstd"));
    }
    let content = match descriptor >> 6 {
        0 if single => Some(number(1)?),
        0 => None,
        1 => Some(number(2)?.saturating_add(256)),
        2 => Some(number(4)?),
        _ => Some(number(8)?),
    };
    let window = match content {
        Some(content) if single => content,
        _ => {
            // 2^(10 + exponent) and eighths of it: 41 bits at most.
            let exponent = (window >> 3).saturating_add(10);
            let base = 1_u64.wrapping_shl(u32::try_from(exponent).unwrap_or_default());
            base.saturating_add((base / 8).saturating_mul(window & 7))
        }
    };
    Ok(FrameHeader {
        window,
        content,
        checksum: descriptor & 4 != 0,
    })
}

/// Returns how many literals a whole block has, if it is a compressed one.
fn literals(block: &[u8]) -> usize {
    let [kind, _, _, section @ ..] = block else {
        return 0;
    };
    if kind >> 1 & 3 != 2 {
        return 0;
    }
    let bytes = section.iter().take(3).rev();
    let header = bytes.fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    // Bits 0 and 1 are the type: raw, one repeated byte, or compressed. Bits 2 and 3 are the format.
    match (header & 3, header >> 2 & 3) {
        (0 | 1, 0 | 2) => header >> 3 & 0x1f,
        (0 | 1, 1) => header >> 4 & 0xfff,
        (0 | 1, _) => header >> 4 & 0xf_ffff,
        (_, 0 | 1) => header >> 4 & 0x3ff,
        (_, 2) => header >> 4 & 0x3fff,
        (_, _) => header >> 4 & 0x3_ffff,
    }
}
