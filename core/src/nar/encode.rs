//! The writer: the parser's events in, the bytes of the archive out.

use super::wire::{MAGIC, MAX_DEPTH, is_name, is_target, padding};
use super::{Event, NarError};
use alloc::vec::Vec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// A node is to be written.
    Node,
    /// An entry, or the end of the directory.
    Directory,
    /// Content of a file.
    File {
        left: u64,
        size: u64,
    },
    /// The end of an entry.
    Entry,
    /// The node of the root is written.
    Root,
    Done,
}

/// Writes one archive; what the grammar doesn't have is refused.
///
/// ```
/// use interplanar_core::nar::{Encoder, Event, Parser};
/// let mut nar = vec![];
/// let mut encoder = Encoder::new();
/// for event in [Event::FileStart { executable: false, size: 2, offset: 0 }, Event::FileData(b"hi"), Event::FileEnd, Event::End] {
///     encoder.write(event, &mut nar).unwrap();
/// }
/// let (mut parser, mut input) = (Parser::new(), nar.as_slice());
/// assert_eq!(parser.push(&mut input), Ok(Some(Event::FileStart { executable: false, size: 2, offset: 96 })));
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    state: State,
    at: u64,
    /// For each open directory the name of its last entry.
    open: Vec<Vec<u8>>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Starts an archive.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Start,
            at: 0,
            open: Vec::new(),
        }
    }

    /// Bytes that were written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Appends what an event stands for. The `offset` of a [`Event::FileStart`] means nothing here.
    ///
    /// # Errors
    /// [`NarError`] where the grammar doesn't have it; nothing was appended then.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), NarError> {
        let before = out.len();
        if self.state == State::Start {
            string(out, MAGIC);
            self.state = State::Node;
        }
        match self.append(event, out) {
            Ok(()) => {
                self.at = self
                    .at
                    .saturating_add(out.len().saturating_sub(before) as u64);
                Ok(())
            }
            Err(error) => {
                out.truncate(before);
                Err(error)
            }
        }
    }

    /// Counts bytes of a file's content that the caller writes itself, to save a copy.
    ///
    /// # Errors
    /// [`NarError::Misplaced`] for more than the file has.
    pub fn skip_data(&mut self, length: u64) -> Result<(), NarError> {
        self.data(length)?;
        self.at = self.at.saturating_add(length);
        Ok(())
    }

    fn misplaced(&self) -> NarError {
        NarError::Misplaced { at: self.at }
    }

    fn append(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), NarError> {
        self.state = match (self.state, event) {
            (State::Node, Event::DirectoryStart) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(NarError::Depth { at: self.at });
                }
                self.open.push(Vec::new());
                strings(out, &[b"(", b"type", b"directory"]);
                State::Directory
            }
            (State::Node, Event::Symlink { target }) => {
                if !is_target(target) {
                    return Err(NarError::Target { at: self.at });
                }
                strings(out, &[b"(", b"type", b"symlink", b"target", target, b")"]);
                self.after_node()
            }
            (
                State::Node,
                Event::FileStart {
                    executable, size, ..
                },
            ) => {
                strings(out, &[b"(", b"type", b"regular"]);
                if executable {
                    strings(out, &[b"executable", b""]);
                }
                strings(out, &[b"contents"]);
                out.extend_from_slice(&size.to_le_bytes());
                State::File { left: size, size }
            }
            (State::File { .. }, Event::FileData(bytes)) => {
                self.data(bytes.len() as u64)?;
                out.extend_from_slice(bytes);
                self.state
            }
            (State::File { left: 0, size }, Event::FileEnd) => {
                zeros(out, size);
                strings(out, &[b")"]);
                self.after_node()
            }
            (State::Directory, Event::EntryStart { name }) => {
                self.name(name)?;
                strings(out, &[b"entry", b"(", b"name", name, b"node"]);
                State::Node
            }
            (State::Directory, Event::DirectoryEnd) => {
                self.open.pop();
                strings(out, &[b")"]);
                self.after_node()
            }
            (State::Entry, Event::EntryEnd) => {
                strings(out, &[b")"]);
                State::Directory
            }
            (State::Root, Event::End) => State::Done,
            _ => return Err(self.misplaced()),
        };
        Ok(())
    }

    fn after_node(&self) -> State {
        if self.open.is_empty() {
            State::Root
        } else {
            State::Entry
        }
    }

    fn data(&mut self, length: u64) -> Result<(), NarError> {
        let State::File { left, size } = self.state else {
            return Err(self.misplaced());
        };
        let left = left.checked_sub(length).ok_or(self.misplaced())?;
        self.state = State::File { left, size };
        Ok(())
    }

    fn name(&mut self, name: &[u8]) -> Result<(), NarError> {
        let at = self.at;
        if !is_name(name) {
            return Err(NarError::Name { at });
        }
        let last = self.open.last_mut().ok_or(NarError::Misplaced { at })?;
        if !last.is_empty() && last.as_slice() >= name {
            return Err(NarError::Order { at });
        }
        last.clear();
        last.extend_from_slice(name);
        Ok(())
    }
}

fn strings(out: &mut Vec<u8>, all: &[&[u8]]) {
    all.iter().for_each(|each| string(out, each));
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len() as u64;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    zeros(out, length);
}

/// The padding behind a string of this length.
fn zeros(out: &mut Vec<u8>, length: u64) {
    (0..padding(length)).for_each(|_| out.push(0));
}
