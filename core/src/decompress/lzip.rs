//! lzip: members, each with a header, an LZMA stream with an end mark, and a trailer. Source: the
//! lzip manual, "File format".
//!
//! ```text
//! member := "LZIP" version(1) dictionary(1) stream crc32(4) data size(8) member size(8)
//! ```
//! The trailer of 20 bytes guarantees that every symbol has as many bytes as it may need.
//! Restrictions: version 1; no bytes other than members.

use super::crc::Crc32;
use super::input_buffer::InputBuffer;
use super::lzma::{Lzma, MAX_SYMBOL, Properties, RangeState, Symbol, Window};
use super::{FormatFault, Limits, STEP};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// lzip fixes lc, lp and pb.
const PROPERTIES: Properties = Properties {
    lc: 3,
    lp: 0,
    pb: 2,
};
const HEADER: usize = 6;
const TRAILER: usize = 20;
const CORRUPT: FormatFault = FormatFault::Malformed("LZMA data");

enum LzipState {
    /// Before a member. `first` means that the input may not end here.
    Header {
        first: bool,
    },
    Start(Box<Member>),
    Symbols(Box<Member>, RangeState),
    Trailer(Box<Member>),
    /// Placeholder while one state replaces another.
    Replaced,
}

struct Member {
    lzma: Lzma,
    window: Window,
    crc: Crc32,
    data_size: u64,
    member_size: u64,
}

pub(super) struct Lzip {
    state: LzipState,
    held: InputBuffer,
}

impl Lzip {
    pub(super) fn new() -> Self {
        Self {
            state: LzipState::Header { first: true },
            held: InputBuffer::default(),
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
        matches!(self.state, LzipState::Header { first: false }) && self.held.bytes().is_empty()
    }

    fn advance(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<bool, FormatFault> {
        let wanted = match &self.state {
            LzipState::Header { .. } => HEADER,
            LzipState::Start(_) => 5,
            LzipState::Symbols(..) | LzipState::Trailer(_) => TRAILER,
            LzipState::Replaced => return Err(CORRUPT),
        };
        if !self.held.fill(input, wanted) {
            return Ok(false);
        }
        self.state = match core::mem::replace(&mut self.state, LzipState::Replaced) {
            LzipState::Header { .. } => {
                let member = header(self.held.array().unwrap_or_default(), limits)?;
                self.held.consume(HEADER);
                LzipState::Start(Box::new(member))
            }
            LzipState::Start(member) => {
                let range =
                    RangeState::new(self.held.array().unwrap_or_default()).map_err(|_| CORRUPT)?;
                self.held.consume(5);
                LzipState::Symbols(member, range)
            }
            LzipState::Symbols(member, range) => self.symbols(member, range, input, out)?,
            LzipState::Trailer(member) => {
                self.trailer(&member)?;
                LzipState::Header { first: false }
            }
            LzipState::Replaced => return Err(CORRUPT),
        };
        Ok(true)
    }

    fn symbols(
        &mut self,
        mut member: Box<Member>,
        state: RangeState,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<LzipState, FormatFault> {
        // The buffer holds the end of the last input. Symbols after it are decoded from the input
        // itself.
        self.held.fill(input, 2 * MAX_SYMBOL);
        let start = out.len();
        let (mut state, used, mut ended) = run(&mut member, state, self.held.bytes(), out)?;
        self.held.consume(used);
        let mut taken = used as u64;
        if !ended && self.held.bytes().len() < MAX_SYMBOL && !input.is_empty() {
            // The buffer holds fewer bytes than a symbol may need. Decode them together with the
            // input.
            let buffered = self.held.bytes().len();
            let mut joined = self.held.bytes().to_vec();
            joined.extend_from_slice(input.get(..input.len().min(STEP / 4)).unwrap_or_default());
            let (next, used, end) = run(&mut member, state, &joined, out)?;
            (state, ended) = (next, end);
            taken = taken.saturating_add(used as u64);
            self.held.consume(used.min(buffered));
            *input = input
                .get(used.saturating_sub(buffered)..)
                .unwrap_or_default();
        }
        let produced = out.get(start..).unwrap_or_default();
        member.crc.update(produced);
        member.data_size = member.data_size.saturating_add(produced.len() as u64);
        member.member_size = member.member_size.saturating_add(taken);
        match ended {
            true if state.is_finished() => Ok(LzipState::Trailer(member)),
            true => Err(CORRUPT),
            false => Ok(LzipState::Symbols(member, state)),
        }
    }

    fn trailer(&mut self, member: &Member) -> Result<(), FormatFault> {
        let trailer: [u8; TRAILER] = self.held.array().unwrap_or_default();
        let (crc, sizes) = trailer.split_at(4);
        let (data_size, member_size) = sizes.split_at(8);
        if crc != member.crc.value().to_le_bytes() {
            return Err(FormatFault::Mismatch("the CRC-32 of an lzip member"));
        }
        if data_size != member.data_size.to_le_bytes() {
            return Err(FormatFault::Mismatch("the data size of an lzip member"));
        }
        // Header, first five bytes and trailer are not counted yet.
        let whole = member
            .member_size
            .saturating_add((HEADER + 5 + TRAILER) as u64);
        if member_size != whole.to_le_bytes() {
            return Err(FormatFault::Mismatch("the member size of an lzip member"));
        }
        self.held.consume(TRAILER);
        Ok(())
    }
}

/// Decodes symbols while each has as many bytes as it may need. Returns the range decoder's state,
/// the bytes used, and whether the end mark was read.
fn run(
    member: &mut Member,
    state: RangeState,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(RangeState, usize, bool), FormatFault> {
    let start = out.len();
    let mut range = state.resume(input);
    while input.len().saturating_sub(range.used()) >= MAX_SYMBOL
        && out.len().saturating_sub(start) < STEP
    {
        if member
            .lzma
            .symbol(&mut range, &mut member.window, out)
            .map_err(|_| CORRUPT)?
            == Symbol::End
        {
            return Ok((range.state(), range.used(), true));
        }
    }
    Ok((range.state(), range.used(), false))
}

fn header(header: [u8; HEADER], limits: &Limits) -> Result<Member, FormatFault> {
    let [b'L', b'Z', b'I', b'P', 1, coded] = header else {
        return Err(FormatFault::Malformed("an lzip member of version 1"));
    };
    let base = 1_u64.wrapping_shl(u32::from(coded & 0x1f));
    let size = base.saturating_sub((base / 16).saturating_mul(u64::from(coded >> 5)));
    if !(1 << 12..=1 << 29).contains(&size) {
        return Err(FormatFault::Malformed(
            "an lzip dictionary size from 4 KiB to 512 MiB",
        ));
    }
    let window = Window::new(limits.window(size)?);
    Ok(Member {
        lzma: Lzma::new(PROPERTIES),
        window,
        crc: Crc32::new(),
        data_size: 0,
        member_size: 0,
    })
}
