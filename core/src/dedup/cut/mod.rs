//! The cutter: cuts a NAR into pieces that similar NARs share.
//!
//! ```text
//! NAR   := space *( file space )
//! file  := the content of a file of at least `threshold` bytes; pieces by content, see `gear`
//! space := everything between two such files; pieces of whole entries, see `group`
//! ```
//! In both, the bytes that change in a rebuild get pieces of their own: references to store items
//! with few bytes between them, and the head and section table of an ELF file (see the source of
//! `cluster`). If a rebuild changes only hashes, then only those pieces change, and no piece
//! boundary moves.
//!
//! The boundaries depend only on the NAR, the hashes and the [`Parameters`], not on how the input
//! is split. Memory is the longest piece plus a look-ahead of one small file or
//! [`Parameters::join`] bytes.
//!
//! ```
//! use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
//! use interplanar_core::nar::{Encoder, Event};
//! let events = [
//!     Event::FileStart { executable: false, size: 100_000, offset: 0 },
//!     Event::FileData(&[7; 100_000]),
//!     Event::FileEnd,
//!     Event::End,
//! ];
//! let (mut encoder, mut nar) = (Encoder::new(), vec![]);
//! for event in events {
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
use file::FileCutter;
use gear::Gear;
use group::GroupCutter;

/// Most bytes read from the input at once.
const STEP: usize = 64 << 10;
/// Bytes from an "entry" token to its name: the strings `entry`, `(` and `name`, and the length of
/// the name.
const BEFORE_NAME: u64 = 3 * 16 + 8;

/// A part of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Offset at which it starts in the NAR.
    pub offset: u64,
    /// Its bytes: 1 to [`MAX_PIECE`].
    pub data: Bytes,
}

/// The output of the cutter, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The next piece. All pieces together are the NAR.
    Piece(Piece),
    /// A directory of the NAR starts: the pieces up to its end start in it. The root directory is
    /// left out.
    Enter,
    /// The innermost directory ends.
    Leave {
        /// Bytes of the NAR from the start to the end of the directory.
        size: u64,
    },
}

/// The rules by which a NAR is cut.
#[derive(Debug, Clone)]
struct CutRules {
    parameters: Parameters,
    references: References,
    gear: Gear,
}

/// Bytes that were read and are in no piece yet.
struct InputWindow<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl InputWindow<'_> {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Returns bytes by their offsets in the NAR.
    fn slice(&self, from: u64, to: u64) -> &[u8] {
        let index = |at: u64| usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.get(index(from)..index(to)).unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
enum Space {
    Group(GroupCutter),
    File(FileCutter),
}

/// Cuts one NAR.
#[derive(Debug, Clone)]
pub struct Cutter {
    rules: CutRules,
    parser: Parser,
    space: Space,
    held: BytesMut,
    /// Offset in the NAR at which `held` starts.
    offset: u64,
    /// Offsets at which pieces end and that were not returned yet.
    cuts: VecDeque<u64>,
    /// Starts (without a size) and ends of directories, with their offsets.
    directories: VecDeque<(u64, Option<u64>)>,
    /// Offsets at which the open directories start.
    open: Vec<u64>,
}

/// The part of an event that matters to the cutter.
enum CutterEvent {
    EntryStart { name: u64 },
    File { size: u64, offset: u64 },
    Data,
    Enter,
    Leave,
    End,
    Other,
}

impl CutterEvent {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::EntryStart { name } => Self::EntryStart {
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
    /// Creates a cutter. `references` are the hash parts of the item's references and of the item
    /// itself.
    #[must_use]
    pub fn new(parameters: Parameters, references: References) -> Self {
        let rules = CutRules {
            parameters,
            references,
            gear: Gear::new(),
        };
        Self {
            space: Space::Group(GroupCutter::new(0, &rules)),
            rules,
            parser: Parser::new(),
            held: BytesMut::new(),
            offset: 0,
            cuts: VecDeque::new(),
            directories: VecDeque::new(),
            open: Vec::new(),
        }
    }

    /// Reads bytes from `input` up to the next piece or directory. Returns `None` if the input is
    /// used up and more is needed.
    ///
    /// # Errors
    /// [`NarError`] if the NAR is malformed. The cutter can't be used afterwards.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Cut>, NarError> {
        loop {
            if let Some(cut) = self.next() {
                return Ok(Some(cut));
            }
            let (head, rest) = input.split_at_checked(STEP).unwrap_or((input, &[]));
            let mut left = head;
            let step = self.parser.push(&mut left)?.map(CutterEvent::of);
            let taken = head.len().saturating_sub(left.len());
            self.held
                .extend_from_slice(head.get(..taken).unwrap_or_default());
            *input = input.get(taken..).unwrap_or(rest);
            // The end of the archive is an event without input, so an empty input may still yield
            // an event.
            let Some(step) = step else {
                if input.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            self.apply(step);
        }
    }

    /// Checks that the NAR is complete. Call this after the last byte.
    ///
    /// # Errors
    /// [`NarError::Truncated`] if the NAR has not ended.
    pub fn finish(&self) -> Result<(), NarError> {
        self.parser.finish()
    }

    fn apply(&mut self, step: CutterEvent) {
        let at = self.parser.position();
        let (rules, cuts) = (&self.rules, &mut self.cuts);
        let window = InputWindow {
            start: self.offset,
            bytes: &self.held,
        };
        match (step, &mut self.space) {
            (CutterEvent::EntryStart { name }, Space::Group(group)) => {
                let before = BEFORE_NAME.saturating_add(name.next_multiple_of(8));
                group.boundary(at.saturating_sub(before), rules, &window, cuts);
            }
            (CutterEvent::File { size, offset }, Space::Group(group))
                if size >= u64::from(rules.parameters.threshold()) =>
            {
                group.finish(offset, rules, &window, cuts);
                self.space = Space::File(FileCutter::new(offset, size, rules));
            }
            (CutterEvent::Data, Space::File(file)) => {
                file.advance(rules, &window, cuts);
                if at >= file.end {
                    self.space = Space::Group(GroupCutter::new(file.end, rules));
                }
            }
            (CutterEvent::End, Space::Group(group)) => group.finish(at, rules, &window, cuts),
            (CutterEvent::Enter, _) => {
                // The root directory is the whole NAR, so it is left out.
                if !self.open.is_empty() {
                    self.directories.push_back((at, None));
                }
                self.open.push(at);
            }
            (CutterEvent::Leave, _) => {
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
        // The next piece starts here, so directories that start or end up to here come first.
        if let Some((_, size)) = self.directories.pop_front_if(|(at, _)| *at <= offset) {
            return Some(size.map_or(Cut::Enter, |size| Cut::Leave { size }));
        }
        // There may be several reasons to cut at the same offset.
        while self.cuts.pop_front_if(|end| *end <= offset).is_some() {}
        let end = self.cuts.pop_front()?;
        self.offset = end;
        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let data = self.held.split_to(length.min(self.held.len())).freeze();
        Some(Cut::Piece(Piece { offset, data }))
    }
}
