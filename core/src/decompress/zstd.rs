//! Zstandard: frames in sequence, with skippable frames between them. Source: RFC 8878.
//!
//! ruzstd decodes whole blocks, so the input is buffered until a block is complete: at most 128
//! KiB. This module reads frame headers too, because it checks the window limit and the content
//! size.

use super::input_buffer::InputBuffer;
use super::{FormatFault, Limits, STEP};
use alloc::vec::Vec;
use ruzstd::decoding::FrameDecoder;

/// Longest block with its header and the checksum after the last block, in bytes.
const MAX_BLOCK: usize = (128 << 10) + 3 + 4;
/// Longest frame header, in bytes.
const MAX_HEADER: usize = 18;
const MAGIC: u32 = 0xfd2f_b528;
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
        content: Option<u64>,
        checksum: bool,
    },
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
        let (window, content) = sizes(self.held.bytes(), descriptor)
            .ok_or(FormatFault::Malformed("a zstd frame header"))?;
        // Bytes beyond the content size or the output limit need no window. But ruzstd follows the
        // header.
        limits.window(window.min(content.unwrap_or(u64::MAX)))?;
        self.decoder.set_max_window_size(window);
        let mut header = self.held.bytes().get(..length).unwrap_or_default();
        self.decoder
            .init(&mut header)
            .map_err(|_| FormatFault::Malformed("a zstd frame header"))?;
        self.held.consume(length);
        self.state = ZstdState::Frame {
            produced: 0,
            content,
            checksum: descriptor & 4 != 0,
        };
        Ok(true)
    }

    fn frame(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, FormatFault> {
        let ZstdState::Frame {
            produced,
            content,
            checksum,
        } = self.state
        else {
            return Ok(false);
        };
        if self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            self.end(produced, content, checksum)?;
            return Ok(true);
        }
        // Buffer only the bytes of the next block, so that bytes after the frame are not read as a
        // block.
        if !self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            let wanted = self.wanted(input)?;
            let enough = wanted <= self.held.bytes().len() || self.held.fill(input, wanted);
            if !enough {
                return Ok(false);
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
        if content.is_some_and(|content| produced > content) {
            return Err(FormatFault::Mismatch("the content size of a zstd frame"));
        }
        self.state = ZstdState::Frame {
            produced,
            content,
            checksum,
        };
        Ok(used > 0 || written > 0)
    }

    /// Returns the length in bytes of the next block with its header, and with the checksum after
    /// the last block.
    fn wanted(&mut self, input: &mut &[u8]) -> Result<usize, FormatFault> {
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
        let ZstdState::Frame { checksum, .. } = self.state else {
            return Ok(MAX_BLOCK);
        };
        let tail = if header & 1 == 1 && checksum { 4 } else { 0 };
        let whole = body.saturating_add(3).saturating_add(tail);
        if whole > MAX_BLOCK {
            Err(FormatFault::Malformed("a zstd block of at most 128 KiB"))
        } else {
            Ok(whole)
        }
    }

    fn end(
        &mut self,
        produced: u64,
        content: Option<u64>,
        checksum: bool,
    ) -> Result<(), FormatFault> {
        if content.is_some_and(|content| content != produced) {
            return Err(FormatFault::Mismatch("the content size of a zstd frame"));
        }
        if checksum
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

/// Returns the window of a frame header and the content size, if the header has it. Both in bytes.
fn sizes(header: &[u8], descriptor: u8) -> Option<(u64, Option<u64>)> {
    let single = descriptor & 0x20 != 0;
    let mut rest = header.get(5..)?;
    let mut window = None;
    if !single {
        let (byte, tail) = rest.split_first()?;
        let base = 1_u64.checked_shl(u32::from(byte >> 3).checked_add(10)?)?;
        window = base.checked_add((base / 8).checked_mul(u64::from(byte & 7))?);
        rest = tail;
    }
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied()?;
    rest = rest.get(dictionary..)?;
    let number = |bytes: usize| {
        let mut padded = [0_u8; 8];
        for (to, from) in padded.iter_mut().zip(rest.get(..bytes)?) {
            *to = *from;
        }
        Some(u64::from_le_bytes(padded))
    };
    let content = match descriptor >> 6 {
        0 if single => Some(number(1)?),
        0 => None,
        1 => Some(number(2)?.checked_add(256)?),
        2 => Some(number(4)?),
        _ => Some(number(8)?),
    };
    Some((window.or(content)?, content))
}
