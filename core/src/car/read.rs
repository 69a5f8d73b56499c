//! The push reader.

use super::wire::{Varint, cid_prefix, parse_header};
use super::{CarError, MAX_HEADER, MAX_SECTION};
use crate::cid::{Cid, MAX_BLOCK};
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

/// One item of a CAR, in stream order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The header, which comes first and only once.
    Header {
        /// The roots that the sender claims. The list may be empty or wrong.
        roots: Vec<Cid>,
    },
    /// A block, **not verified**.
    Block {
        /// The CID that the sender claims.
        cid: Cid,
        /// The block's bytes: a slice of the input if one piece of the input contained the whole
        /// block.
        data: Bytes,
    },
}

#[derive(Debug)]
enum ReaderState {
    /// The length of the next section is being read.
    Length(Varint),
    /// A section of `len` bytes is being collected. Its length is at offset `start`. `have` stays
    /// empty until bytes must be copied.
    Section {
        start: u64,
        len: usize,
        have: BytesMut,
    },
    /// An error occurred.
    Poisoned,
}

/// Reads a CARv1 that arrives in pieces. It buffers at most one partial section, [`MAX_SECTION`]
/// bytes.
#[derive(Debug)]
pub struct Reader {
    state: ReaderState,
    offset: u64,
    header_read: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Makes a reader at the start of a stream.
    pub fn new() -> Self {
        let state = ReaderState::Length(Varint::default());
        Self {
            state,
            offset: 0,
            header_read: false,
        }
    }

    /// Number of bytes that were consumed so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the header was not read yet.
    pub fn is_at_header(&self) -> bool {
        !self.header_read
    }

    /// Consumes `input` up to the end of the next item. Returns `None` if all of `input` is
    /// consumed and more is needed.
    ///
    /// # Errors
    /// The first error in the stream. Every later call returns [`CarError::Poisoned`].
    pub fn push(&mut self, input: &mut Bytes) -> Result<Option<Item>, CarError> {
        let item = self.advance(input);
        if item.is_err() {
            self.state = ReaderState::Poisoned;
        }
        item
    }

    /// Marks the end of the stream.
    ///
    /// # Errors
    /// [`CarError::Truncated`] if the stream ended before the header or inside an item.
    pub fn finish(&self) -> Result<(), CarError> {
        match &self.state {
            ReaderState::Poisoned => Err(CarError::Poisoned),
            ReaderState::Length(varint) if self.header_read && varint.len() == 0 => Ok(()),
            _ => Err(CarError::Truncated {
                offset: self.offset,
            }),
        }
    }

    fn advance(&mut self, input: &mut Bytes) -> Result<Option<Item>, CarError> {
        loop {
            match &mut self.state {
                ReaderState::Poisoned => return Err(CarError::Poisoned),
                ReaderState::Length(_) => {
                    if !self.read_length(input)? {
                        return Ok(None);
                    }
                }
                ReaderState::Section { start, len, have } => {
                    let start = *start;
                    let before = input.len();
                    let section = gather(*len, have, input);
                    let read = before.saturating_sub(input.len());
                    self.offset = self.offset.saturating_add(read as u64);
                    let Some(section) = section else {
                        return Ok(None);
                    };
                    self.state = ReaderState::Length(Varint::default());
                    return self.item(section, start).map(Some);
                }
            }
        }
    }

    /// Reads a length. Returns false if the input ended first.
    fn read_length(&mut self, input: &mut Bytes) -> Result<bool, CarError> {
        let ReaderState::Length(varint) = &mut self.state else {
            return Ok(false);
        };
        while input.has_remaining() {
            let start = self.offset.saturating_sub(varint.len() as u64);
            let byte = input.get_u8();
            self.offset = self.offset.saturating_add(1);
            let Some(len) = varint
                .push(byte)
                .map_err(|()| CarError::Varint { offset: start })?
            else {
                continue;
            };
            let len = self.checked(len, start)?;
            self.state = ReaderState::Section {
                start,
                len,
                have: BytesMut::new(),
            };
            return Ok(true);
        }
        Ok(false)
    }

    /// Checks the length of a header or a section against the limits.
    fn checked(&self, len: u64, offset: u64) -> Result<usize, CarError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match (self.header_read, len) {
            (false, 1..=MAX_HEADER) | (true, 1..=MAX_SECTION) => Ok(len),
            (false, _) => Err(CarError::HeaderLength { offset }),
            (true, 0) => Err(CarError::EmptySection { offset }),
            (true, _) => Err(CarError::BlockTooLarge { offset }),
        }
    }

    /// Decodes a complete section.
    fn item(&mut self, mut section: Bytes, offset: u64) -> Result<Item, CarError> {
        let start = self.offset.saturating_sub(section.len() as u64);
        if !self.header_read {
            let roots = parse_header(&section, start)?;
            self.header_read = true;
            return Ok(Item::Header { roots });
        }
        let (cid, len) = cid_prefix(&section).ok_or(CarError::Cid { offset: start })?;
        section.advance(len);
        if section.len() > MAX_BLOCK {
            return Err(CarError::BlockTooLarge { offset });
        }
        Ok(Item::Block { cid, data: section })
    }
}

/// Collects `len` bytes in `have` and returns them once they are complete. It slices the input,
/// without a copy, if `have` is empty and the input contains all of them.
pub(crate) fn gather(len: usize, have: &mut BytesMut, input: &mut Bytes) -> Option<Bytes> {
    let missing = len.saturating_sub(have.len());
    if have.is_empty() && input.len() >= missing {
        return Some(input.split_to(missing));
    }
    let piece = input.split_to(missing.min(input.len()));
    // The buffer grows with the bytes received, never with the announced length alone. It grows
    // eightfold, so that few bytes are copied twice.
    let room = have.len().saturating_add(piece.len()).saturating_mul(8);
    have.reserve(missing.min(room));
    have.extend_from_slice(&piece);
    (have.len() == len).then(|| core::mem::take(have).freeze())
}
