//! lzip: members of a header, an LZMA stream with an end mark, and a trailer. Source: the lzip manual, "File format".
//!
//! ```text
//! member := "LZIP" version(1) dictionary(1) stream crc32(4) data size(8) member size(8)
//! ```
//! Since 20 bytes of trailer follow the stream, a symbol always has the bytes that it may take. Restrictions: version 1; nothing but members.

use super::crc::Crc32;
use super::held::Held;
use super::lzma::{Lzma, MAX_SYMBOL, Properties, RangeState, Symbol, Window};
use super::{Fault, Limits, STEP};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// lc, lp and pb are fixed.
const PROPERTIES: Properties = Properties {
    lc: 3,
    lp: 0,
    pb: 2,
};
const HEADER: usize = 6;
const TRAILER: usize = 20;
const CORRUPT: Fault = Fault::Malformed("LZMA data");

enum State {
    /// Before a member; the first one must come.
    Header {
        first: bool,
    },
    Start(Box<Member>),
    Symbols(Box<Member>, RangeState),
    Trailer(Box<Member>),
    /// Only while one state becomes another.
    Moved,
}

struct Member {
    lzma: Lzma,
    window: Window,
    crc: Crc32,
    data_size: u64,
    member_size: u64,
}

pub(super) struct Lzip {
    state: State,
    held: Held,
}

impl Lzip {
    pub(super) fn new() -> Self {
        Self {
            state: State::Header { first: true },
            held: Held::default(),
        }
    }

    pub(super) fn push(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), Fault> {
        let start = out.len();
        while out.len().saturating_sub(start) < STEP {
            if !self.advance(input, out, limits)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the data may end here.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Header { first: false }) && self.held.bytes().is_empty()
    }

    fn advance(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<bool, Fault> {
        let wanted = match &self.state {
            State::Header { .. } => HEADER,
            State::Start(_) => 5,
            State::Symbols(..) | State::Trailer(_) => TRAILER,
            State::Moved => return Err(CORRUPT),
        };
        if !self.held.fill(input, wanted) {
            return Ok(false);
        }
        self.state = match core::mem::replace(&mut self.state, State::Moved) {
            State::Header { .. } => {
                let member = header(self.held.array().unwrap_or_default(), limits)?;
                self.held.consume(HEADER);
                State::Start(Box::new(member))
            }
            State::Start(member) => {
                let range =
                    RangeState::new(self.held.array().unwrap_or_default()).map_err(|_| CORRUPT)?;
                self.held.consume(5);
                State::Symbols(member, range)
            }
            State::Symbols(member, range) => self.symbols(member, range, input, out)?,
            State::Trailer(member) => {
                self.trailer(&member)?;
                State::Header { first: false }
            }
            State::Moved => return Err(CORRUPT),
        };
        Ok(true)
    }

    fn symbols(
        &mut self,
        mut member: Box<Member>,
        state: RangeState,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<State, Fault> {
        // What is held is the end of the last input; behind it symbols are decoded from the input itself.
        self.held.fill(input, 2 * MAX_SYMBOL);
        let start = out.len();
        let (mut state, used, mut ended) = run(&mut member, state, self.held.bytes(), out)?;
        self.held.consume(used);
        let mut taken = used as u64;
        if !ended && self.held.bytes().len() < MAX_SYMBOL && !input.is_empty() {
            // Fewer bytes than a symbol may take are held: they and the input are decoded together, across the seam.
            let seam = self.held.bytes().len();
            let mut joined = self.held.bytes().to_vec();
            joined.extend_from_slice(input.get(..input.len().min(STEP / 4)).unwrap_or_default());
            let (next, used, end) = run(&mut member, state, &joined, out)?;
            (state, ended) = (next, end);
            taken = taken.saturating_add(used as u64);
            self.held.consume(used.min(seam));
            *input = input.get(used.saturating_sub(seam)..).unwrap_or_default();
        }
        let produced = out.get(start..).unwrap_or_default();
        member.crc.update(produced);
        member.data_size = member.data_size.saturating_add(produced.len() as u64);
        member.member_size = member.member_size.saturating_add(taken);
        match ended {
            true if state.is_finished() => Ok(State::Trailer(member)),
            true => Err(CORRUPT),
            false => Ok(State::Symbols(member, state)),
        }
    }

    fn trailer(&mut self, member: &Member) -> Result<(), Fault> {
        let trailer: [u8; TRAILER] = self.held.array().unwrap_or_default();
        let (crc, sizes) = trailer.split_at(4);
        let (data_size, member_size) = sizes.split_at(8);
        if crc != member.crc.value().to_le_bytes() {
            return Err(Fault::Mismatch("lzip's CRC-32"));
        }
        if data_size != member.data_size.to_le_bytes() {
            return Err(Fault::Mismatch("lzip's data size"));
        }
        // Header, first five bytes and trailer are not counted yet.
        let whole = member
            .member_size
            .saturating_add((HEADER + 5 + TRAILER) as u64);
        if member_size != whole.to_le_bytes() {
            return Err(Fault::Mismatch("lzip's member size"));
        }
        self.held.consume(TRAILER);
        Ok(())
    }
}

/// Decodes symbols while each has the bytes that it may take: the range decoder's state, the bytes taken, and whether the end came.
fn run(
    member: &mut Member,
    state: RangeState,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(RangeState, usize, bool), Fault> {
    let start = out.len();
    let mut range = state.over(input);
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

fn header(header: [u8; HEADER], limits: &Limits) -> Result<Member, Fault> {
    let [b'L', b'Z', b'I', b'P', 1, coded] = header else {
        return Err(Fault::Malformed("an lzip member of version 1"));
    };
    let base = 1_u64.wrapping_shl(u32::from(coded & 0x1f));
    let size = base.saturating_sub((base / 16).saturating_mul(u64::from(coded >> 5)));
    if !(1 << 12..=1 << 29).contains(&size) {
        return Err(Fault::Malformed(
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
