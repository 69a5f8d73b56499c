//! The parser: a push machine that turns bytes into flat events.

use super::NarError;
use super::wire::{MAGIC, MAX_DEPTH, MAX_NAME, MAX_TARGET, is_name, is_target, padding};
use alloc::vec::Vec;

/// One part of an archive, in the order of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A directory starts.
    DirectoryStart,
    /// An entry of the innermost directory starts. Its node follows.
    EntryStart {
        /// Its name.
        name: &'a [u8],
    },
    /// The node of the entry ends.
    EntryEnd,
    /// The innermost directory ends.
    DirectoryEnd,
    /// A symbolic link.
    Symlink {
        /// Target of the link.
        target: &'a [u8],
    },
    /// A file starts.
    FileStart {
        /// Whether the file is executable.
        executable: bool,
        /// Bytes of its content.
        size: u64,
        /// Offset of its content in the archive.
        offset: u64,
    },
    /// The next content bytes of the file.
    FileData(&'a [u8]),
    /// The file ends.
    FileEnd,
    /// The archive ends.
    End,
}

/// The string or data that must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParserState {
    Magic,
    NodeOpen,
    Type,
    NodeType,
    /// "executable" or "contents".
    Regular,
    /// The empty string after "executable".
    Empty,
    Contents,
    Size {
        executable: bool,
    },
    Data {
        left: u64,
        size: u64,
    },
    FilePadding {
        size: u64,
    },
    TargetKey,
    Target,
    /// "entry" or ")".
    Directory,
    EntryOpen,
    NameKey,
    Name,
    NodeKey,
    NodeClose,
    EntryClose,
    /// The root has ended; the event [`Event::End`] was not returned yet.
    Ended,
    Done,
}

/// Longest string that is buffered, in bytes: a symlink target with its length and padding.
const BUFFER: usize = MAX_TARGET + 1 + 16;

/// Parses one archive.
#[derive(Debug, Clone)]
pub struct Parser {
    state: ParserState,
    /// A string that is not complete yet.
    held: Vec<u8>,
    /// Bytes of `held` that the last event borrowed.
    used: usize,
    at: u64,
    /// Name of the last entry, for each open directory.
    open: Vec<Vec<u8>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// Creates a parser that expects the start of an archive.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: ParserState::Magic,
            held: Vec::new(),
            used: 0,
            at: 0,
            open: Vec::new(),
        }
    }

    /// Returns the number of bytes of the archive that were read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Reads bytes from `input` up to the next event. Returns `None` if the input is used up and
    /// more is needed. File data is a slice of the input, never a copy.
    ///
    /// # Errors
    /// [`NarError`] with the offset of the first fault. The parser can't be used afterwards.
    pub fn push<'p, 'i: 'p>(
        &'p mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Event<'p>>, NarError> {
        loop {
            match self.state {
                ParserState::Data { left: 0, size } => {
                    self.state = ParserState::FilePadding { size };
                }
                ParserState::Data { left, size } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let (data, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
                    *input = rest;
                    self.at = self.at.saturating_add(length as u64);
                    self.state = ParserState::Data {
                        left: left.saturating_sub(length as u64),
                        size,
                    };
                    return Ok(Some(Event::FileData(data)));
                }
                ParserState::FilePadding { size } => {
                    if !self.zeros(input, padding(size))? {
                        return Ok(None);
                    }
                    self.state = ParserState::NodeClose;
                    return Ok(Some(Event::FileEnd));
                }
                ParserState::Size { executable } => {
                    let Some(size) = self.number(input) else {
                        return Ok(None);
                    };
                    self.state = ParserState::Data { left: size, size };
                    return Ok(Some(Event::FileStart {
                        executable,
                        size,
                        offset: self.at,
                    }));
                }
                ParserState::Ended => {
                    self.state = ParserState::Done;
                    return Ok(Some(Event::End));
                }
                ParserState::Done => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    return Err(NarError::Trailing { at: self.at });
                }
                _ => {
                    let Some(length) = self.string(input)? else {
                        return Ok(None);
                    };
                    // The string decides which event this is. The event borrows the string again
                    // below.
                    match self.advance(length)? {
                        PendingEvent::Silent => {}
                        PendingEvent::Plain(event) => return Ok(Some(event)),
                        PendingEvent::Name => {
                            return Ok(Some(Event::EntryStart {
                                name: self.value(length),
                            }));
                        }
                        PendingEvent::Target => {
                            return Ok(Some(Event::Symlink {
                                target: self.value(length),
                            }));
                        }
                    }
                }
            }
        }
    }

    /// Skips the rest of the open file's content and returns its length in bytes. The next byte to
    /// push is the one after it.
    pub fn skip_content(&mut self) -> u64 {
        let ParserState::Data { left, size } = self.state else {
            return 0;
        };
        self.at = self.at.saturating_add(left);
        self.state = ParserState::Data { left: 0, size };
        left
    }

    /// Checks that the archive is complete. Call this after the last byte.
    ///
    /// # Errors
    /// [`NarError::Truncated`] if the archive has not ended.
    pub fn finish(&self) -> Result<(), NarError> {
        match self.state {
            ParserState::Done => Ok(()),
            _ => Err(NarError::Truncated { at: self.at }),
        }
    }

    fn value(&self, length: usize) -> &[u8] {
        self.held
            .get(8..length.saturating_add(8))
            .unwrap_or_default()
    }

    /// Moves bytes into `held` until it has `wanted` bytes. Returns whether it has them.
    fn fill(&mut self, input: &mut &[u8], wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.held.len());
        let (head, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.held.extend_from_slice(head);
        self.at = self.at.saturating_add(head.len() as u64);
        *input = rest;
        self.held.len() >= wanted
    }

    /// Drops the bytes that the last event borrowed.
    fn release(&mut self) {
        if core::mem::take(&mut self.used) > 0 {
            self.held.clear();
        }
    }

    fn length(&self) -> Option<u64> {
        let bytes: [u8; 8] = self.held.get(..8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn number(&mut self, input: &mut &[u8]) -> Option<u64> {
        self.release();
        if !self.fill(input, 8) {
            return None;
        }
        let number = self.length();
        self.held.clear();
        number
    }

    /// Reads a whole string into `held`, with its length before it and its padding after it.
    /// Returns its length.
    fn string(&mut self, input: &mut &[u8]) -> Result<Option<usize>, NarError> {
        self.release();
        if !self.fill(input, 8) {
            return Ok(None);
        }
        let start = self.start();
        let length = self.length().unwrap_or(u64::MAX);
        let whole = length
            .checked_add(padding(length))
            .and_then(|length| length.checked_add(8));
        let whole = whole
            .and_then(|whole| usize::try_from(whole).ok())
            .filter(|whole| *whole <= BUFFER);
        // Longer than any string in the grammar.
        let whole = whole.ok_or_else(|| self.unexpected(start))?;
        if !self.fill(input, whole) {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let end = length.saturating_add(8);
        if self
            .held
            .get(end..)
            .is_some_and(|padding| padding.iter().any(|byte| *byte != 0))
        {
            return Err(NarError::Padding {
                at: start.saturating_add(end as u64),
            });
        }
        self.used = whole;
        Ok(Some(length))
    }

    /// Returns the offset at which the string in `held` starts.
    fn start(&self) -> u64 {
        self.at.saturating_sub(self.held.len() as u64)
    }

    fn zeros(&mut self, input: &mut &[u8], count: u64) -> Result<bool, NarError> {
        self.release();
        let count = usize::try_from(count).unwrap_or(0);
        if !self.fill(input, count) {
            return Ok(false);
        }
        let valid = self.held.iter().all(|byte| *byte == 0);
        let at = self.start();
        self.held.clear();
        if valid {
            Ok(true)
        } else {
            Err(NarError::Padding { at })
        }
    }

    /// Returns the error for a string that the grammar doesn't allow here.
    fn unexpected(&self, at: u64) -> NarError {
        let expected = match self.state {
            ParserState::Magic => "\"nix-archive-1\"",
            ParserState::NodeOpen | ParserState::EntryOpen => "\"(\"",
            ParserState::Type => "\"type\"",
            ParserState::NodeType => "\"regular\", \"symlink\" or \"directory\"",
            ParserState::Regular => "\"executable\" or \"contents\"",
            ParserState::Empty => "\"\"",
            ParserState::Contents => "\"contents\"",
            ParserState::TargetKey => "\"target\"",
            ParserState::Directory => "\"entry\" or \")\"",
            ParserState::NameKey => "\"name\"",
            ParserState::NodeKey => "\"node\"",
            ParserState::NodeClose | ParserState::EntryClose => "\")\"",
            ParserState::Name => return NarError::Name { at },
            ParserState::Target => return NarError::Target { at },
            ParserState::Size { .. }
            | ParserState::Data { .. }
            | ParserState::FilePadding { .. }
            | ParserState::Ended
            | ParserState::Done => "content",
        };
        NarError::Token { at, expected }
    }

    /// Advances the state by the string in `held`.
    fn advance(&mut self, length: usize) -> Result<PendingEvent, NarError> {
        let at = self.start();
        let (state, next) = match (self.state, self.value(length)) {
            (ParserState::Magic, MAGIC) => (ParserState::NodeOpen, PendingEvent::Silent),
            (ParserState::NodeOpen, b"(") => (ParserState::Type, PendingEvent::Silent),
            (ParserState::Type, b"type") => (ParserState::NodeType, PendingEvent::Silent),
            (ParserState::NodeType, b"regular") => (ParserState::Regular, PendingEvent::Silent),
            (ParserState::NodeType, b"symlink") => (ParserState::TargetKey, PendingEvent::Silent),
            (ParserState::NodeType, b"directory") => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(NarError::Depth { at });
                }
                self.open.push(Vec::new());
                (
                    ParserState::Directory,
                    PendingEvent::Plain(Event::DirectoryStart),
                )
            }
            (ParserState::Regular, b"executable") => (ParserState::Empty, PendingEvent::Silent),
            (ParserState::Regular, b"contents") => (
                ParserState::Size { executable: false },
                PendingEvent::Silent,
            ),
            (ParserState::Empty, b"") => (ParserState::Contents, PendingEvent::Silent),
            (ParserState::Contents, b"contents") => {
                (ParserState::Size { executable: true }, PendingEvent::Silent)
            }
            (ParserState::TargetKey, b"target") => (ParserState::Target, PendingEvent::Silent),
            (ParserState::Target, target) if is_target(target) => {
                (ParserState::NodeClose, PendingEvent::Target)
            }
            (ParserState::Directory, b"entry") => (ParserState::EntryOpen, PendingEvent::Silent),
            (ParserState::Directory, b")") => {
                self.open.pop();
                (self.after_node(), PendingEvent::Plain(Event::DirectoryEnd))
            }
            (ParserState::EntryOpen, b"(") => (ParserState::NameKey, PendingEvent::Silent),
            (ParserState::NameKey, b"name") => (ParserState::Name, PendingEvent::Silent),
            (ParserState::Name, _) => {
                self.name(length, at)?;
                (ParserState::NodeKey, PendingEvent::Name)
            }
            (ParserState::NodeKey, b"node") => (ParserState::NodeOpen, PendingEvent::Silent),
            (ParserState::NodeClose, b")") if self.open.is_empty() => {
                (ParserState::Done, PendingEvent::Plain(Event::End))
            }
            (ParserState::NodeClose, b")") => (ParserState::EntryClose, PendingEvent::Silent),
            (ParserState::EntryClose, b")") => {
                (ParserState::Directory, PendingEvent::Plain(Event::EntryEnd))
            }
            _ => return Err(self.unexpected(at)),
        };
        self.state = state;
        Ok(next)
    }

    /// Returns the state after a directory's `)`.
    fn after_node(&self) -> ParserState {
        if self.open.is_empty() {
            ParserState::Ended
        } else {
            ParserState::EntryClose
        }
    }

    /// Checks a name and that it sorts after the last one.
    fn name(&mut self, length: usize, at: u64) -> Result<(), NarError> {
        let name = self
            .held
            .get(8..length.saturating_add(8))
            .unwrap_or_default();
        if name.len() > MAX_NAME || !is_name(name) {
            return Err(NarError::Name { at });
        }
        let Some(last) = self.open.last_mut() else {
            return Err(NarError::Name { at });
        };
        if !last.is_empty() && last.as_slice() >= name {
            return Err(NarError::Order { at });
        }
        last.clear();
        last.extend_from_slice(name);
        Ok(())
    }
}

/// The event that a string leads to, without its borrowed part.
enum PendingEvent {
    Silent,
    Plain(Event<'static>),
    Name,
    Target,
}
