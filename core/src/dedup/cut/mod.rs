//! The cutter: a NAR in, pieces out that its neighbours have too.
//!
//! ```text
//! NAR   := space *( file space )      file: the content of a file of at least `threshold` bytes; space: what stands between them
//! space := pieces of whole entries    see the source of `group`
//! file  := pieces by content          see the source of `gear`
//! ```
//! In both, what a rebuild changes has pieces of its own: references to store items with little between them, and an ELF's head and section table
//! (see the source of `cluster`). A rebuild that changes nothing but hashes then changes nothing but those pieces, and
//! never where pieces end.
//!
//! Where pieces end depends on the NAR, the hashes and the [`Parameters`] only, not on how the input comes. Memory is the longest piece and a
//! look-ahead of one small file or [`Parameters::join`] bytes.
//!
//! ```
//! use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
//! use interplanar_core::nar::{Encoder, Event};
//! let (mut encoder, mut nar) = (Encoder::new(), vec![]);
//! for event in [Event::FileStart { executable: false, size: 100_000, offset: 0 }, Event::FileData(&[7; 100_000]), Event::FileEnd, Event::End] {
//!     encoder.write(event, &mut nar).unwrap();
//! }
//! let mut cutter = Cutter::new(Parameters::LARGE, References::default());
//! let (mut input, mut lengths) = (nar.as_slice(), vec![]);
//! while let Some(cut) = cutter.push(&mut input).unwrap() {
//!     if let Cut::Piece(piece) = cut {
//!         lengths.push(piece.data.len());
//!     }
//! }
//! cutter.finish().unwrap();
//! assert_eq!(lengths, [96, 100_000, 16]);
//! ```

mod cluster;
mod elf;
mod file;
mod gear;
mod group;
mod parameters;
#[cfg(test)]
pub(super) mod tests;

pub use parameters::{MAX_JOIN, MAX_PIECE, MAX_THRESHOLD, MIN_PIECE, Parameters, Sizes};

use super::scan::References;
use crate::nar::{Event, NarError, Parser};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use file::File;
use gear::Gear;
use group::Group;

/// Bytes taken from the input at once.
const STEP: usize = 64 << 10;
/// Bytes from an "entry" token to its name: `entry`, `(` and `name` as strings, and the name's length.
const BEFORE_NAME: u64 = 3 * 16 + 8;

/// A part of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts in the NAR.
    pub offset: u64,
    /// Its bytes: 1 to [`MAX_PIECE`].
    pub data: Bytes,
}

/// What the cutter gives, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The next piece; all of them together are the NAR.
    Piece(Piece),
    /// A directory of the NAR starts: the pieces up to its end start in it. The root's is not said.
    Enter,
    /// The innermost directory ends.
    Leave {
        /// Bytes of the NAR that it took.
        size: u64,
    },
}

/// What cutting goes by.
#[derive(Debug, Clone)]
struct Rules {
    parameters: Parameters,
    references: References,
    gear: Gear,
}

/// Bytes that were taken and are in no piece yet.
struct Window<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl Window<'_> {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Bytes by their place in the NAR.
    fn slice(&self, from: u64, to: u64) -> &[u8] {
        let index = |at: u64| usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.get(index(from)..index(to)).unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
enum Space {
    Group(Group),
    File(File),
}

/// Cuts one NAR.
#[derive(Debug, Clone)]
pub struct Cutter {
    rules: Rules,
    parser: Parser,
    space: Space,
    held: BytesMut,
    /// Where `held` starts in the NAR.
    offset: u64,
    /// Places where pieces end, not yet given out.
    cuts: VecDeque<u64>,
    /// Directories that start (no size) and end, with their place.
    directories: VecDeque<(u64, Option<u64>)>,
    /// Where the open directories start.
    open: Vec<u64>,
}

/// What an event means for the cutter.
enum Step {
    Entry { name: u64 },
    File { size: u64, offset: u64 },
    Data,
    Enter,
    Leave,
    End,
    Other,
}

impl Step {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::EntryStart { name } => Self::Entry {
                name: name.len() as u64,
            },
            Event::FileStart { size, offset, .. } => Self::File { size, offset },
            Event::FileData(_) => Self::Data,
            Event::DirectoryStart => Self::Enter,
            Event::DirectoryEnd => Self::Leave,
            Event::End => Self::End,
            Event::EntryEnd | Event::Symlink { .. } | Event::FileEnd => Self::Other,
        }
    }
}

impl Cutter {
    /// Starts a NAR. `references` are the hash parts of its references and its own.
    #[must_use]
    pub fn new(parameters: Parameters, references: References) -> Self {
        let rules = Rules {
            parameters,
            references,
            gear: Gear::new(),
        };
        Self {
            space: Space::Group(Group::new(0, &rules)),
            rules,
            parser: Parser::new(),
            held: BytesMut::new(),
            offset: 0,
            cuts: VecDeque::new(),
            directories: VecDeque::new(),
            open: Vec::new(),
        }
    }

    /// Takes bytes from `input` up to the next piece or directory; `None` when all of it is taken and more is needed.
    ///
    /// # Errors
    /// Those of the NAR; the cutter can't be used afterwards.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Cut>, NarError> {
        loop {
            if let Some(cut) = self.next() {
                return Ok(Some(cut));
            }
            let (head, rest) = input.split_at_checked(STEP).unwrap_or((input, &[]));
            let mut left = head;
            let step = self.parser.push(&mut left)?.map(Step::of);
            let taken = head.len().saturating_sub(left.len());
            self.held
                .extend_from_slice(head.get(..taken).unwrap_or_default());
            *input = input.get(taken..).unwrap_or(rest);
            // The archive's end is said without taking anything, so an empty input may still have an event.
            let Some(step) = step else {
                if input.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            self.step(step);
        }
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`NarError::Truncated`] when the NAR is not over.
    pub fn finish(&self) -> Result<(), NarError> {
        self.parser.finish()
    }

    fn step(&mut self, step: Step) {
        let at = self.parser.position();
        let (rules, cuts) = (&self.rules, &mut self.cuts);
        let window = Window {
            start: self.offset,
            bytes: &self.held,
        };
        match (step, &mut self.space) {
            (Step::Entry { name }, Space::Group(group)) => {
                let before = BEFORE_NAME.saturating_add(name.next_multiple_of(8));
                group.boundary(at.saturating_sub(before), rules, &window, cuts);
            }
            (Step::File { size, offset }, Space::Group(group))
                if size >= u64::from(rules.parameters.threshold()) =>
            {
                group.finish(offset, rules, &window, cuts);
                self.space = Space::File(File::new(offset, size, rules));
            }
            (Step::Data, Space::File(file)) => {
                file.advance(rules, &window, cuts);
                if at >= file.end {
                    self.space = Space::Group(Group::new(file.end, rules));
                }
            }
            (Step::End, Space::Group(group)) => group.finish(at, rules, &window, cuts),
            (Step::Enter, _) => {
                // The root is the whole.
                if !self.open.is_empty() {
                    self.directories.push_back((at, None));
                }
                self.open.push(at);
            }
            (Step::Leave, _) => {
                let start = self.open.pop().unwrap_or_default();
                if !self.open.is_empty() {
                    let size = at.saturating_sub(start);
                    self.directories.push_back((at, Some(size)));
                }
            }
            _ => {}
        }
    }

    fn next(&mut self) -> Option<Cut> {
        let offset = self.offset;
        // The next piece starts here, so what starts or ends no later comes before it.
        if let Some((_, size)) = self.directories.pop_front_if(|(at, _)| *at <= offset) {
            return Some(size.map_or(Cut::Enter, |size| Cut::Leave { size }));
        }
        // There may be several reasons to cut in one place.
        while self.cuts.pop_front_if(|end| *end <= offset).is_some() {}
        let end = self.cuts.pop_front()?;
        self.offset = end;
        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let data = self.held.split_to(length.min(self.held.len())).freeze();
        Some(Cut::Piece(Piece { offset, data }))
    }
}
