//! The push reader.

use super::wire::{Varint, cid_prefix, parse_header};
use super::{CarError, MAX_HEADER, MAX_SECTION};
use crate::cid::{Cid, MAX_BLOCK};
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

/// What a CAR holds, in the order in which it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The header, first and once.
    Header {
        /// The roots that the sender names. May be empty or wrong.
        roots: Vec<Cid>,
    },
    /// A block, **not verified**.
    Block {
        /// The CID that the sender says it has.
        cid: Cid,
        /// Its bytes: a slice of the input where the block lay inside one piece of it.
        data: Bytes,
    },
}

#[derive(Debug)]
enum State {
    /// Reads the length of the next section.
    Length(Varint),
    /// Gathers a section of `len` bytes whose length stood at `start`. `have` is empty while nothing had to be copied.
    Section {
        start: u64,
        len: usize,
        have: BytesMut,
    },
    /// After an error.
    Poisoned,
}

/// Reads a CARv1 that comes in pieces. Holds at most one section that was cut, [`MAX_SECTION`] bytes.
#[derive(Debug)]
pub struct Reader {
    state: State,
    offset: u64,
    header_read: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        let state = State::Length(Varint::default());
        Self {
            state,
            offset: 0,
            header_read: false,
        }
    }

    /// How many bytes were consumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the header is still to come.
    pub fn is_at_header(&self) -> bool {
        !self.header_read
    }

    /// Consumes from `input` until an item is complete. `None`: all of `input` is consumed and more is needed.
    ///
    /// # Errors
    /// The first thing that is wrong; after it every call says [`CarError::Poisoned`].
    pub fn push(&mut self, input: &mut Bytes) -> Result<Option<Item>, CarError> {
        let item = self.advance(input);
        if item.is_err() {
            self.state = State::Poisoned;
        }
        item
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// [`CarError::Truncated`] when it ended inside something or before the header.
    pub fn finish(&self) -> Result<(), CarError> {
        match &self.state {
            State::Poisoned => Err(CarError::Poisoned),
            State::Length(varint) if self.header_read && varint.len() == 0 => Ok(()),
            _ => Err(CarError::Truncated {
                offset: self.offset,
            }),
        }
    }

    fn advance(&mut self, input: &mut Bytes) -> Result<Option<Item>, CarError> {
        loop {
            match &mut self.state {
                State::Poisoned => return Err(CarError::Poisoned),
                State::Length(_) => {
                    if !self.read_length(input)? {
                        return Ok(None);
                    }
                }
                State::Section { start, len, have } => {
                    let start = *start;
                    let before = input.len();
                    let section = gather(*len, have, input);
                    let read = before.saturating_sub(input.len());
                    self.offset = self.offset.saturating_add(read as u64);
                    let Some(section) = section else {
                        return Ok(None);
                    };
                    self.state = State::Length(Varint::default());
                    return self.item(section, start).map(Some);
                }
            }
        }
    }

    /// Reads a length; false when the input ended first.
    fn read_length(&mut self, input: &mut Bytes) -> Result<bool, CarError> {
        let State::Length(varint) = &mut self.state else {
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
            self.state = State::Section {
                start,
                len,
                have: BytesMut::new(),
            };
            return Ok(true);
        }
        Ok(false)
    }

    /// The length of a header or of a block's section, within the limits.
    fn checked(&self, len: u64, offset: u64) -> Result<usize, CarError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match (self.header_read, len) {
            (false, 1..=MAX_HEADER) | (true, 1..=MAX_SECTION) => Ok(len),
            (false, _) => Err(CarError::HeaderLength { offset }),
            (true, 0) => Err(CarError::EmptySection { offset }),
            (true, _) => Err(CarError::BlockTooLarge { offset }),
        }
    }

    /// What a whole section says.
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

/// Takes what is still missing of `len` bytes; the whole when it is there, sliced from the input if nothing came before.
pub(crate) fn gather(len: usize, have: &mut BytesMut, input: &mut Bytes) -> Option<Bytes> {
    let missing = len.saturating_sub(have.len());
    if have.is_empty() && input.len() >= missing {
        return Some(input.split_to(missing));
    }
    let piece = input.split_to(missing.min(input.len()));
    // Room grows with what has come, never with what was announced alone, and seldom enough that little is copied twice.
    let room = have.len().saturating_add(piece.len()).saturating_mul(8);
    have.reserve(missing.min(room));
    have.extend_from_slice(&piece);
    (have.len() == len).then(|| core::mem::take(have).freeze())
}
