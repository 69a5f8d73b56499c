//! The encoder: turns the parser's events into the bytes of an archive.

use super::wire::{MAGIC, MAX_DEPTH, is_name, is_target, padding};
use super::{Event, NarError};
use alloc::vec::Vec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EncoderState {
    Start,
    /// A node must follow.
    Node,
    /// An entry or the end of the directory must follow.
    Directory,
    /// Content of a file must follow.
    File {
        left: u64,
        size: u64,
    },
    /// The end of an entry must follow.
    Entry,
    /// The node of the root is written; only the end may follow.
    Root,
    Done,
}

/// Writes one archive. Refuses events that the grammar doesn't allow.
///
/// ```
/// use interplanar_core::nar::{Encoder, Event, Parser};
/// let events = [
///     Event::FileStart { executable: false, size: 2, offset: 0 },
///     Event::FileData(b"hi"),
///     Event::FileEnd,
///     Event::End,
/// ];
/// let (mut encoder, mut nar) = (Encoder::new(), vec![]);
/// for event in events {
///     encoder.write(event, &mut nar).unwrap();
/// }
/// let (mut parser, mut input) = (Parser::new(), nar.as_slice());
/// let start = Event::FileStart { executable: false, size: 2, offset: 96 };
/// assert_eq!(parser.push(&mut input), Ok(Some(start)));
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    state: EncoderState,
    at: u64,
    /// Name of the last entry, for each open directory.
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
            state: EncoderState::Start,
            at: 0,
            open: Vec::new(),
        }
    }

    /// Returns the number of bytes written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Appends the bytes of an event. Ignores the `offset` of an [`Event::FileStart`].
    ///
    /// # Errors
    /// [`NarError`] if the grammar doesn't allow the event here. Nothing is appended then.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), NarError> {
        let before = out.len();
        if self.state == EncoderState::Start {
            string(out, MAGIC);
            self.state = EncoderState::Node;
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

    /// Counts content bytes of a file that the caller writes itself, which saves a copy.
    ///
    /// # Errors
    /// [`NarError::Misplaced`] if the file has fewer bytes left.
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
            (EncoderState::Node, Event::DirectoryStart) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(NarError::Depth { at: self.at });
                }
                self.open.push(Vec::new());
                strings(out, &[b"(", b"type", b"directory"]);
                EncoderState::Directory
            }
            (EncoderState::Node, Event::Symlink { target }) => {
                if !is_target(target) {
                    return Err(NarError::Target { at: self.at });
                }
                strings(out, &[b"(", b"type", b"symlink", b"target", target, b")"]);
                self.after_node()
            }
            (
                EncoderState::Node,
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
                EncoderState::File { left: size, size }
            }
            (EncoderState::File { .. }, Event::FileData(bytes)) => {
                self.data(bytes.len() as u64)?;
                out.extend_from_slice(bytes);
                self.state
            }
            (EncoderState::File { left: 0, size }, Event::FileEnd) => {
                zeros(out, size);
                strings(out, &[b")"]);
                self.after_node()
            }
            (EncoderState::Directory, Event::EntryStart { name }) => {
                self.name(name)?;
                strings(out, &[b"entry", b"(", b"name", name, b"node"]);
                EncoderState::Node
            }
            (EncoderState::Directory, Event::DirectoryEnd) => {
                self.open.pop();
                strings(out, &[b")"]);
                self.after_node()
            }
            (EncoderState::Entry, Event::EntryEnd) => {
                strings(out, &[b")"]);
                EncoderState::Directory
            }
            (EncoderState::Root, Event::End) => EncoderState::Done,
            _ => return Err(self.misplaced()),
        };
        Ok(())
    }

    fn after_node(&self) -> EncoderState {
        if self.open.is_empty() {
            EncoderState::Root
        } else {
            EncoderState::Entry
        }
    }

    fn data(&mut self, length: u64) -> Result<(), NarError> {
        let EncoderState::File { left, size } = self.state else {
            return Err(self.misplaced());
        };
        let left = left.checked_sub(length).ok_or(self.misplaced())?;
        self.state = EncoderState::File { left, size };
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

/// Appends the padding of a string with this length.
fn zeros(out: &mut Vec<u8>, length: u64) {
    (0..padding(length)).for_each(|_| out.push(0));
}
