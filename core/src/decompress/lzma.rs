//! The LZMA decoder that lzip and LZMA2 share: range decoder, probabilities and window. Sources:
//! the LZMA specification (lzma-specification.txt) and the draft of the lzip format.
//!
//! It decodes symbol by symbol from a slice. A symbol uses at most [`MAX_SYMBOL`] bytes, so a slice
//! with that many bytes always holds a whole symbol. This makes it a push decoder that never has to
//! copy its state. The crate lzma-rust2 is as fast, but it pulls from a reader and can't be fed in
//! pieces.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most input bytes that one symbol uses.
pub(super) const MAX_SYMBOL: usize = 20;
/// Longest match, in bytes.
const MAX_MATCH: usize = 273;

type Prob = u16;
const HALF: Prob = 1024;

/// The input is not valid LZMA data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Corrupt;

/// The window: at most as large as requested, and never larger than its content.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    size: usize,
    at: usize,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self {
            bytes: Vec::new(),
            size: size.max(1),
            at: 0,
        }
    }

    /// Empties the window.
    pub(super) fn reset(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn put(&mut self, byte: u8) {
        match self.bytes.get_mut(self.at) {
            Some(slot) => *slot = byte,
            None => {
                self.grow();
                self.bytes.push(byte);
            }
        }
        self.at = self.at.wrapping_add(1);
        if self.at >= self.size {
            self.at = 0;
        }
    }

    /// Makes room for a byte. The room doubles, but not beyond the size of the window.
    fn grow(&mut self) {
        let length = self.bytes.len();
        if length == self.bytes.capacity() {
            let room = length.saturating_mul(2).clamp(4096, self.size.max(4096));
            self.bytes.reserve_exact(room.saturating_sub(length));
        }
    }

    pub(super) fn put_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(*byte));
    }

    /// Returns the byte `distance` + 1 positions back.
    fn back(&self, distance: usize) -> Option<u8> {
        let index = match self.at.checked_sub(distance.wrapping_add(1)) {
            Some(index) => index,
            // Before the start of the buffer: continue from its end, if the window has wrapped.
            None => self
                .bytes
                .len()
                .checked_sub(distance.wrapping_add(1).wrapping_sub(self.at))?,
        };
        if distance >= self.bytes.len() {
            None
        } else {
            self.bytes.get(index).copied()
        }
    }
}

/// The range decoder over a slice of input.
pub(super) struct RangeDecoder<'a> {
    range: u32,
    code: u32,
    input: &'a [u8],
    used: usize,
}

/// The state of a range decoder between two slices.
#[derive(Debug, Clone, Copy)]
pub(super) struct RangeState {
    range: u32,
    code: u32,
}

impl RangeState {
    /// Reads the first five bytes of a stream.
    pub(super) fn new(bytes: [u8; 5]) -> Result<Self, Corrupt> {
        let [zero, code @ ..] = bytes;
        if zero != 0 {
            Err(Corrupt)
        } else {
            Ok(Self {
                range: u32::MAX,
                code: u32::from_be_bytes(code),
            })
        }
    }

    pub(super) fn resume(self, input: &[u8]) -> RangeDecoder<'_> {
        RangeDecoder {
            range: self.range,
            code: self.code,
            input,
            used: 0,
        }
    }

    /// Returns whether the stream has ended: no code bits are left.
    pub(super) fn is_finished(self) -> bool {
        self.code == 0
    }
}

impl RangeDecoder<'_> {
    pub(super) fn state(&self) -> RangeState {
        RangeState {
            range: self.range,
            code: self.code,
        }
    }

    /// Returns the number of bytes used from the slice.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    #[inline(always)]
    fn normalize(&mut self) {
        if self.range < 1 << 24 {
            self.range <<= 8;
            let byte = self.input.get(self.used).copied().unwrap_or_default();
            self.code = self.code << 8 | u32::from(byte);
            self.used = self.used.wrapping_add(1);
        }
    }

    #[inline(always)]
    fn bit(&mut self, prob: &mut Prob) -> u32 {
        let bound = (self.range >> 11).wrapping_mul(u32::from(*prob));
        let bit = if self.code < bound {
            self.range = bound;
            *prob = prob.wrapping_add(2048_u16.wrapping_sub(*prob) >> 5);
            0
        } else {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
            *prob = prob.wrapping_sub(*prob >> 5);
            1
        };
        self.normalize();
        bit
    }

    /// Decodes a number with a tree of probabilities, most significant bit first.
    #[inline(always)]
    fn tree(&mut self, probs: &mut [Prob], bits: u32) -> u32 {
        let mut node = 1_u32;
        for _ in 0..bits {
            let Some(prob) = probs.get_mut(node as usize) else {
                return 0;
            };
            node = node << 1 | self.bit(prob);
        }
        node.wrapping_sub(1_u32.wrapping_shl(bits))
    }

    /// Decodes a number like [`Self::tree`], least significant bit first.
    fn reverse_tree(&mut self, probs: &mut [Prob], bits: u32) -> u32 {
        let (mut node, mut value) = (1_u32, 0_u32);
        for shift in 0..bits {
            let Some(prob) = probs.get_mut(node as usize) else {
                return 0;
            };
            let bit = self.bit(prob);
            node = node << 1 | bit;
            value |= bit.wrapping_shl(shift);
        }
        value
    }

    /// Decodes bits that have no probabilities.
    fn direct(&mut self, bits: u32) -> u32 {
        let mut value = 0_u32;
        for _ in 0..bits {
            self.range >>= 1;
            let bit = u32::from(self.code >= self.range);
            if bit == 1 {
                self.code = self.code.wrapping_sub(self.range);
            }
            value = value << 1 | bit;
            self.normalize();
        }
        value
    }
}

/// Decodes the lengths of matches.
#[derive(Debug, Clone)]
struct LengthDecoder {
    choice: Prob,
    choice2: Prob,
    low: [[Prob; 8]; 16],
    mid: [[Prob; 8]; 16],
    high: [Prob; 256],
}

impl LengthDecoder {
    fn new() -> Self {
        Self {
            choice: HALF,
            choice2: HALF,
            low: [[HALF; 8]; 16],
            mid: [[HALF; 8]; 16],
            high: [HALF; 256],
        }
    }

    fn decode(&mut self, range: &mut RangeDecoder<'_>, pos_state: usize) -> u32 {
        if range.bit(&mut self.choice) == 0 {
            return self
                .low
                .get_mut(pos_state)
                .map_or(0, |probs| range.tree(probs, 3))
                .wrapping_add(2);
        }
        if range.bit(&mut self.choice2) == 0 {
            return self
                .mid
                .get_mut(pos_state)
                .map_or(0, |probs| range.tree(probs, 3))
                .wrapping_add(10);
        }
        range.tree(&mut self.high, 8).wrapping_add(18)
    }
}

#[derive(Debug, Clone)]
struct Probs {
    is_match: [[Prob; 16]; 12],
    is_rep: [Prob; 12],
    is_rep0: [Prob; 12],
    is_rep1: [Prob; 12],
    is_rep2: [Prob; 12],
    is_rep0_long: [[Prob; 16]; 12],
    slot: [[Prob; 64]; 4],
    special: [Prob; 128],
    align: [Prob; 16],
    length: LengthDecoder,
    rep_length: LengthDecoder,
}

/// The parameters lc, lp and pb of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) lc: u32,
    pub(super) lp: u32,
    pub(super) pb: u32,
}

/// The decoder, without its input and output.
pub(super) struct Lzma {
    properties: Properties,
    probs: Box<Probs>,
    literal: Vec<Prob>,
    state: usize,
    reps: [u32; 4],
    position: u64,
}

/// The result of decoding one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// The symbol produced output.
    Output,
    /// The symbol was the end mark.
    End,
}

impl Lzma {
    pub(super) fn new(properties: Properties) -> Self {
        let Properties { lc, lp, .. } = properties;
        let literals = 0x300_usize.wrapping_shl(lc.wrapping_add(lp));
        let half = |_| HALF;
        let probs = Probs {
            is_match: [[HALF; 16]; 12],
            is_rep: [HALF; 12],
            is_rep0: [HALF; 12],
            is_rep1: [HALF; 12],
            is_rep2: [HALF; 12],
            is_rep0_long: [[HALF; 16]; 12],
            slot: [[HALF; 64]; 4],
            special: [HALF; 128],
            align: [HALF; 16],
            length: LengthDecoder::new(),
            rep_length: LengthDecoder::new(),
        };
        let literal = (0..literals).map(half).collect();
        Self {
            properties,
            probs: Box::new(probs),
            literal,
            state: 0,
            reps: [0; 4],
            position: 0,
        }
    }

    /// Decodes one symbol. `out` grows by at most 273 bytes.
    pub(super) fn symbol(
        &mut self,
        range: &mut RangeDecoder<'_>,
        window: &mut Window,
        out: &mut Vec<u8>,
    ) -> Result<Symbol, Corrupt> {
        let mask = 1_u64.wrapping_shl(self.properties.pb).wrapping_sub(1);
        let pos_state = (self.position & mask) as usize;
        let state = self.state;
        let is_match = self
            .probs
            .is_match
            .get_mut(state)
            .and_then(|probs| probs.get_mut(pos_state))
            .ok_or(Corrupt)?;
        if range.bit(is_match) == 0 {
            self.literal(range, window, out)?;
            return Ok(Symbol::Output);
        }
        let length = if range.bit(self.probs.is_rep.get_mut(state).ok_or(Corrupt)?) == 0 {
            match self.new_match(range, pos_state) {
                Some(length) => length,
                None => return Ok(Symbol::End),
            }
        } else if let Some(length) = self.repeat(range, window, pos_state)? {
            length
        } else {
            // One byte at the last distance.
            self.state = if state < 7 { 9 } else { 11 };
            1
        };
        self.copy(length as usize, window, out)?;
        Ok(Symbol::Output)
    }

    fn literal(
        &mut self,
        range: &mut RangeDecoder<'_>,
        window: &mut Window,
        out: &mut Vec<u8>,
    ) -> Result<(), Corrupt> {
        let Properties { lc, lp, .. } = self.properties;
        let previous = if window.is_empty() {
            0
        } else {
            u32::from(window.back(0).unwrap_or_default())
        };
        let low = (self.position as u32 & 1_u32.wrapping_shl(lp).wrapping_sub(1)).wrapping_shl(lc);
        let context = low.wrapping_add(previous.wrapping_shr(8_u32.wrapping_sub(lc)));
        let start = 0x300_usize.wrapping_mul(context as usize);
        let probs = self
            .literal
            .get_mut(start..start.wrapping_add(0x300))
            .ok_or(Corrupt)?;
        let mut node = 1_u32;
        if self.state >= 7 {
            let [rep0, ..] = self.reps;
            let mut matched = u32::from(window.back(rep0 as usize).ok_or(Corrupt)?);
            while node < 0x100 {
                matched <<= 1;
                let expected = matched >> 8 & 1;
                let index = expected.wrapping_add(1).wrapping_shl(8).wrapping_add(node);
                let bit = range.bit(probs.get_mut(index as usize).ok_or(Corrupt)?);
                node = node << 1 | bit;
                if bit != expected {
                    break;
                }
            }
        }
        while node < 0x100 {
            node = node << 1 | range.bit(probs.get_mut(node as usize).ok_or(Corrupt)?);
        }
        let byte = node as u8;
        window.put(byte);
        out.push(byte);
        self.position = self.position.wrapping_add(1);
        self.state = match self.state {
            0..=3 => 0,
            4..=9 => self.state.wrapping_sub(3),
            _ => self.state.wrapping_sub(6),
        };
        Ok(())
    }

    /// Decodes a match with a new distance. Returns `None` for the end mark.
    fn new_match(&mut self, range: &mut RangeDecoder<'_>, pos_state: usize) -> Option<u32> {
        let [rep0, rep1, rep2, _] = self.reps;
        let length = self.probs.length.decode(range, pos_state);
        let group = length.wrapping_sub(2).min(3) as usize;
        let slot = self
            .probs
            .slot
            .get_mut(group)
            .map_or(0, |probs| range.tree(probs, 6));
        let distance = if slot < 4 {
            slot
        } else {
            let bits = (slot >> 1).wrapping_sub(1);
            let base = (2 | slot & 1).wrapping_shl(bits);
            if slot < 14 {
                // The trees of all slots are stored in sequence; each starts at its base minus its
                // slot.
                let start = base.wrapping_sub(slot) as usize;
                let probs = self.probs.special.get_mut(start..).unwrap_or_default();
                base.wrapping_add(range.reverse_tree(probs, bits))
            } else {
                let high = range.direct(bits.wrapping_sub(4)).wrapping_shl(4);
                base.wrapping_add(high)
                    .wrapping_add(range.reverse_tree(&mut self.probs.align, 4))
            }
        };
        if distance == u32::MAX {
            return None;
        }
        self.reps = [distance, rep0, rep1, rep2];
        self.state = if self.state < 7 { 7 } else { 10 };
        Some(length)
    }

    /// Decodes a match that reuses one of the last distances. Returns `None` for a single byte at
    /// the last distance.
    fn repeat(
        &mut self,
        range: &mut RangeDecoder<'_>,
        window: &Window,
        pos_state: usize,
    ) -> Result<Option<u32>, Corrupt> {
        if window.is_empty() {
            return Err(Corrupt);
        }
        let state = self.state;
        let [rep0, rep1, rep2, rep3] = self.reps;
        if range.bit(self.probs.is_rep0.get_mut(state).ok_or(Corrupt)?) == 0 {
            let long = self
                .probs
                .is_rep0_long
                .get_mut(state)
                .and_then(|probs| probs.get_mut(pos_state))
                .ok_or(Corrupt)?;
            if range.bit(long) == 0 {
                return Ok(None);
            }
        } else if range.bit(self.probs.is_rep1.get_mut(state).ok_or(Corrupt)?) == 0 {
            self.reps = [rep1, rep0, rep2, rep3];
        } else if range.bit(self.probs.is_rep2.get_mut(state).ok_or(Corrupt)?) == 0 {
            self.reps = [rep2, rep0, rep1, rep3];
        } else {
            self.reps = [rep3, rep0, rep1, rep2];
        }
        self.state = if state < 7 { 8 } else { 11 };
        Ok(Some(self.probs.rep_length.decode(range, pos_state)))
    }

    fn copy(
        &mut self,
        length: usize,
        window: &mut Window,
        out: &mut Vec<u8>,
    ) -> Result<(), Corrupt> {
        let [rep0, ..] = self.reps;
        for _ in 0..length.min(MAX_MATCH) {
            let byte = window.back(rep0 as usize).ok_or(Corrupt)?;
            window.put(byte);
            out.push(byte);
        }
        self.position = self.position.wrapping_add(length as u64);
        Ok(())
    }
}
