//! xz: streams of blocks with checks, an index and a footer. Source: the .xz file format, 1.2.0.
//!
//! ```text
//! file   := stream (stream | padding(4 × n))*
//! stream := fd "7zXZ" 00 flags(2) crc32(4) block* index footer
//! block  := header LZMA2-chunks padding-to-4 check
//! index  := 00 count record* padding-to-4 crc32(4)
//! record := unpadded-size unpacked-size
//! footer := crc32(4) backward-size(4) flags(2) "YZ"
//! ```
//! Restrictions: the only filter is LZMA2, as `xz` and Nix write it. The checks are none, CRC-32,
//! CRC-64 and SHA-256.

use super::crc::{Crc32, Crc64};
use super::input_buffer::InputBuffer;
use super::lzma2::{Lzma2, MAX_CHUNK};
use super::{FormatFault, Limits, STEP};
use crate::hash::{Sha256, Sha256Hasher};
use alloc::vec::Vec;

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// Bytes of a stream header, and of a footer.
const FRAME: usize = 12;
/// Longest block header, in bytes.
const MAX_HEADER: usize = 1024;
/// Identifier of the LZMA2 filter.
const LZMA2: u64 = 0x21;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum XzState {
    /// After a stream: another stream, padding or the end of the input may follow.
    Between,
    StreamHeader,
    /// A block or the index must follow.
    Block,
    Chunks,
    BlockPadding,
    Check,
    IndexCount,
    IndexRecord {
        left: u64,
        first: u64,
        second: bool,
    },
    IndexPadding,
    IndexCrc,
    Footer,
}

enum BlockCheck {
    None,
    Crc32(Crc32),
    Crc64(Crc64),
    Sha256(Sha256Hasher),
}

pub(super) struct Xz {
    state: XzState,
    held: InputBuffer,
    /// The stream's flags, which its footer repeats.
    flags: [u8; 2],
    lzma2: Lzma2,
    check: BlockCheck,
    /// Bytes of the block's header, of its chunks and of its output.
    header: u64,
    packed: u64,
    unpacked: u64,
    /// Sizes of the chunks and of the output according to the block's header.
    claimed: [Option<u64>; 2],
    /// The number of blocks and a hash over their sizes, to compare with the index.
    blocks: (u64, Sha256Hasher),
    index: Sha256Hasher,
    index_crc: Crc32,
    index_size: u64,
}

impl Xz {
    pub(super) fn new() -> Self {
        Self {
            state: XzState::StreamHeader,
            held: InputBuffer::default(),
            flags: [0; 2],
            lzma2: Lzma2::new(1),
            check: BlockCheck::None,
            header: 0,
            packed: 0,
            unpacked: 0,
            claimed: [None; 2],
            blocks: Default::default(),
            index: Default::default(),
            index_crc: Crc32::new(),
            index_size: 0,
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
            if !self.advance(input, out, limits)? {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the input may end here.
    pub(super) fn may_end(&self) -> bool {
        self.state == XzState::Between && self.held.bytes().is_empty()
    }

    /// Advances by one step. Returns whether there was enough input for it.
    fn advance(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<bool, FormatFault> {
        match self.state {
            XzState::Between => self.between(input),
            XzState::StreamHeader => self.stream_header(input),
            XzState::Block => self.block_header(input, limits),
            XzState::Chunks => self.chunks(input, out),
            XzState::BlockPadding => self.padding(input, self.packed, XzState::Check),
            XzState::Check => self.block_check(input),
            XzState::IndexCount => self.index_count(input),
            XzState::IndexRecord {
                left,
                first,
                second,
            } => self.index_record(input, left, first, second),
            XzState::IndexPadding => self.padding(input, self.index_size, XzState::IndexCrc),
            XzState::IndexCrc => self.index_crc(input),
            XzState::Footer => self.footer(input),
        }
    }

    fn between(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        if !self.held.fill(input, 4) {
            return Ok(false);
        }
        if self.held.array() == Some([0; 4]) {
            self.held.consume(4);
        } else {
            self.state = XzState::StreamHeader;
        }
        Ok(true)
    }

    fn stream_header(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        if !self.held.fill(input, FRAME) {
            return Ok(false);
        }
        let header: [u8; FRAME] = self.held.array().unwrap_or_default();
        let (magic, rest) = header.split_at(6);
        let (flags, crc) = rest.split_at(2);
        if magic != MAGIC || crc != Crc32::of(flags).to_le_bytes() {
            return Err(FormatFault::Malformed("an xz stream header"));
        }
        self.flags = flags.try_into().unwrap_or_default();
        self.new_check()?;
        self.blocks = Default::default();
        self.index = Sha256Hasher::new();
        self.held.consume(FRAME);
        self.state = XzState::Block;
        Ok(true)
    }

    fn new_check(&mut self) -> Result<(), FormatFault> {
        self.check = match self.flags {
            [0, 0] => BlockCheck::None,
            [0, 1] => BlockCheck::Crc32(Crc32::new()),
            [0, 4] => BlockCheck::Crc64(Crc64::new()),
            [0, 10] => BlockCheck::Sha256(Sha256Hasher::new()),
            _ => return Err(FormatFault::Feature("this type of check in xz")),
        };
        Ok(())
    }

    fn block_header(&mut self, input: &mut &[u8], limits: &Limits) -> Result<bool, FormatFault> {
        if !self.held.fill(input, 1) {
            return Ok(false);
        }
        let [first] = self.held.array().unwrap_or_default();
        if first == 0 {
            self.index_crc = Crc32::new();
            self.index_crc.update(&[0]);
            self.index_size = 1;
            self.held.consume(1);
            self.state = XzState::IndexCount;
            return Ok(true);
        }
        let length = usize::from(first)
            .saturating_add(1)
            .saturating_mul(4)
            .min(MAX_HEADER);
        if !self.held.fill(input, length) {
            return Ok(false);
        }
        let header = self.held.bytes().get(..length).unwrap_or_default();
        let (fields, crc) = header
            .split_at_checked(length.saturating_sub(4))
            .unwrap_or_default();
        if crc != Crc32::of(fields).to_le_bytes() {
            return Err(FormatFault::Mismatch("the CRC-32 of an xz block header"));
        }
        let (claimed, dictionary) = block_fields(fields)?;
        self.lzma2 = Lzma2::new(limits.window(dictionary)?);
        (self.claimed, self.packed, self.unpacked) = (claimed, 0, 0);
        self.header = length as u64;
        self.held.consume(length);
        self.new_check()?;
        self.state = XzState::Chunks;
        Ok(true)
    }

    fn chunks(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, FormatFault> {
        // The chunk's header holds the length of the chunk.
        let mut wanted = 1_usize;
        let length = loop {
            if !self.held.fill(input, wanted) {
                return Ok(false);
            }
            match Lzma2::chunk_length(self.held.bytes()) {
                Some(length) => break length.min(MAX_CHUNK),
                None => wanted = wanted.saturating_add(1),
            }
        };
        if !self.held.fill(input, length) {
            return Ok(false);
        }
        let start = out.len();
        let chunk = self.held.bytes().get(..length).unwrap_or_default();
        let last = self.lzma2.chunk(chunk, out)?;
        self.held.consume(length);
        self.packed = self.packed.saturating_add(length as u64);
        let produced = out.get(start..).unwrap_or_default();
        self.unpacked = self.unpacked.saturating_add(produced.len() as u64);
        match &mut self.check {
            BlockCheck::None => {}
            BlockCheck::Crc32(crc) => crc.update(produced),
            BlockCheck::Crc64(crc) => crc.update(produced),
            BlockCheck::Sha256(hasher) => hasher.update(produced),
        }
        if last {
            let [packed, unpacked] = self.claimed;
            let differs =
                |claimed: Option<u64>, actual| claimed.is_some_and(|claimed| claimed != actual);
            if differs(packed, self.packed) || differs(unpacked, self.unpacked) {
                return Err(FormatFault::Mismatch("the size of an xz block"));
            }
            self.state = XzState::BlockPadding;
        }
        Ok(true)
    }

    /// Reads zeros up to a multiple of 4 bytes.
    fn padding(
        &mut self,
        input: &mut &[u8],
        length: u64,
        then: XzState,
    ) -> Result<bool, FormatFault> {
        let count = (length.wrapping_neg() % 4) as usize;
        if !self.held.fill(input, count) {
            return Ok(false);
        }
        let zeros = self.held.bytes().get(..count).unwrap_or_default();
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(FormatFault::Malformed("zeros as padding in xz"));
        }
        if then == XzState::IndexCrc {
            self.index_crc.update(zeros);
            self.index_size = self.index_size.saturating_add(count as u64);
        }
        self.held.consume(count);
        self.state = then;
        Ok(true)
    }

    fn block_check(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        let size = match &self.check {
            BlockCheck::None => 0,
            BlockCheck::Crc32(_) => 4,
            BlockCheck::Crc64(_) => 8,
            BlockCheck::Sha256(_) => 32,
        };
        if !self.held.fill(input, size) {
            return Ok(false);
        }
        let stored = self.held.bytes().get(..size).unwrap_or_default();
        let matches = match core::mem::replace(&mut self.check, BlockCheck::None) {
            BlockCheck::None => true,
            BlockCheck::Crc32(crc) => stored == crc.value().to_le_bytes(),
            BlockCheck::Crc64(crc) => stored == crc.value().to_le_bytes(),
            BlockCheck::Sha256(hasher) => stored == hasher.finish().as_bytes(),
        };
        if !matches {
            return Err(FormatFault::Mismatch("the check of an xz block"));
        }
        self.held.consume(size);
        // The sizes that the index must repeat for this block.
        let unpadded = self
            .header
            .saturating_add(self.packed)
            .saturating_add(size as u64);
        self.blocks.0 = self.blocks.0.saturating_add(1);
        self.blocks.1.update(&unpadded.to_le_bytes());
        self.blocks.1.update(&self.unpacked.to_le_bytes());
        self.state = XzState::Block;
        Ok(true)
    }

    fn index_count(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        let Some(left) = self.index_number(input)? else {
            return Ok(false);
        };
        if left != self.blocks.0 {
            return Err(FormatFault::Mismatch(
                "the number of blocks in the xz index",
            ));
        }
        self.state = if left == 0 {
            XzState::IndexPadding
        } else {
            XzState::IndexRecord {
                left,
                first: 0,
                second: false,
            }
        };
        Ok(true)
    }

    fn index_record(
        &mut self,
        input: &mut &[u8],
        left: u64,
        first: u64,
        second: bool,
    ) -> Result<bool, FormatFault> {
        let Some(number) = self.index_number(input)? else {
            return Ok(false);
        };
        self.state = if !second {
            XzState::IndexRecord {
                left,
                first: number,
                second: true,
            }
        } else {
            self.index.update(&first.to_le_bytes());
            self.index.update(&number.to_le_bytes());
            match left.saturating_sub(1) {
                0 => XzState::IndexPadding,
                left => XzState::IndexRecord {
                    left,
                    first: 0,
                    second: false,
                },
            }
        };
        Ok(true)
    }

    fn index_number(&mut self, input: &mut &[u8]) -> Result<Option<u64>, FormatFault> {
        let mut wanted = 1_usize;
        loop {
            if !self.held.fill(input, wanted) {
                return Ok(None);
            }
            if self
                .held
                .bytes()
                .get(wanted.saturating_sub(1))
                .is_some_and(|byte| byte & 0x80 == 0)
            {
                break;
            }
            wanted = wanted.saturating_add(1);
            if wanted > 9 {
                return Err(FormatFault::Malformed("a number in the xz index"));
            }
        }
        let (number, length) =
            vli(self.held.bytes()).ok_or(FormatFault::Malformed("a number in the xz index"))?;
        self.index_crc
            .update(self.held.bytes().get(..length).unwrap_or_default());
        self.index_size = self.index_size.saturating_add(length as u64);
        self.held.consume(length);
        Ok(Some(number))
    }

    fn index_crc(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        if !self.held.fill(input, 4) {
            return Ok(false);
        }
        if self.held.array() != Some(self.index_crc.value().to_le_bytes()) {
            return Err(FormatFault::Mismatch("the CRC-32 of the xz index"));
        }
        let hash = |hasher: &mut Sha256Hasher| -> Sha256 { core::mem::take(hasher).finish() };
        if hash(&mut self.blocks.1) != hash(&mut self.index) {
            return Err(FormatFault::Mismatch("the sizes in the xz index"));
        }
        self.held.consume(4);
        self.index_size = self.index_size.saturating_add(4);
        self.state = XzState::Footer;
        Ok(true)
    }

    fn footer(&mut self, input: &mut &[u8]) -> Result<bool, FormatFault> {
        if !self.held.fill(input, FRAME) {
            return Ok(false);
        }
        let footer: [u8; FRAME] = self.held.array().unwrap_or_default();
        let [a, b, c, d, e, f, g, h, flags @ .., y, z] = footer;
        let backward = u64::from(u32::from_le_bytes([e, f, g, h]))
            .saturating_add(1)
            .saturating_mul(4);
        let [first, second] = flags;
        let valid = [y, z] == *b"YZ"
            && flags == self.flags
            && backward == self.index_size
            && [a, b, c, d] == Crc32::of(&[e, f, g, h, first, second]).to_le_bytes();
        if !valid {
            return Err(FormatFault::Malformed("an xz stream footer"));
        }
        self.held.consume(FRAME);
        self.state = XzState::Between;
        Ok(true)
    }
}

/// Returns the packed and unpacked size that a block header claims, and its dictionary size, in
/// bytes.
fn block_fields(fields: &[u8]) -> Result<([Option<u64>; 2], u64), FormatFault> {
    let malformed = FormatFault::Malformed("an xz block header");
    let flags = *fields.get(1).ok_or(malformed)?;
    if flags & 0x3f != 0 {
        return Err(FormatFault::Feature("a filter of xz other than LZMA2"));
    }
    let mut rest = fields.get(2..).ok_or(malformed)?;
    let mut number = || {
        let (number, length) = vli(rest).ok_or(malformed)?;
        rest = rest.get(length..).unwrap_or_default();
        Ok(number)
    };
    let packed = (flags & 0x40 != 0).then(&mut number).transpose()?;
    let unpacked = (flags & 0x80 != 0).then(&mut number).transpose()?;
    let (filter, size) = (number()?, number()?);
    if filter != LZMA2 {
        return Err(FormatFault::Feature("a filter of xz other than LZMA2"));
    }
    let (coded, padding) = rest.split_first().filter(|_| size == 1).ok_or(malformed)?;
    if padding.iter().any(|byte| *byte != 0) || *coded > 40 {
        return Err(malformed);
    }
    let dictionary = match coded {
        40 => u64::from(u32::MAX),
        coded => (2 | u64::from(coded & 1)).wrapping_shl(u32::from(coded / 2).saturating_add(11)),
    };
    Ok(([packed, unpacked], dictionary))
}

/// Reads a variable-length integer. Returns it and its length in bytes.
fn vli(bytes: &[u8]) -> Option<(u64, usize)> {
    crate::dag_pb::protobuf::varint(bytes)
        .filter(|(number, length)| *number < 1 << 63 && *length <= 9)
}
