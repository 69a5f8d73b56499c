//! The parser: a push machine from bytes to flat events.

use super::NarError;
use super::wire::{MAGIC, MAX_DEPTH, MAX_NAME, MAX_TARGET, is_name, is_target, padding};
use alloc::vec::Vec;

/// What an archive holds, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A directory starts.
    DirectoryStart,
    /// An entry of the innermost directory starts; its node follows.
    EntryStart {
        /// Its name.
        name: &'a [u8],
    },
    /// The entry's node is over.
    EntryEnd,
    /// The innermost directory is over.
    DirectoryEnd,
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: &'a [u8],
    },
    /// A file starts.
    FileStart {
        /// Whether it may be run.
        executable: bool,
        /// Bytes of its content.
        size: u64,
        /// Where its content starts in the archive.
        offset: u64,
    },
    /// The next bytes of the file.
    FileData(&'a [u8]),
    /// The file is over.
    FileEnd,
    /// The archive is over.
    End,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Magic,
    NodeOpen,
    Type,
    Kind,
    /// "executable" or "contents".
    Regular,
    /// The empty string behind "executable".
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
    /// The root is over, which is not said yet.
    Ended,
    Done,
}

/// Longest string that is buffered: a target, with its length and padding.
const BUFFER: usize = MAX_TARGET + 1 + 16;

/// Parses one archive.
#[derive(Debug, Clone)]
pub struct Parser {
    state: State,
    /// A string that has not come whole.
    held: Vec<u8>,
    /// How much of `held` the last event borrowed.
    used: usize,
    at: u64,
    /// For each open directory the name of its last entry.
    open: Vec<Vec<u8>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// Starts before the archive.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Magic,
            held: Vec::new(),
            used: 0,
            at: 0,
            open: Vec::new(),
        }
    }

    /// Bytes of the archive that were taken.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Takes bytes from `input` up to the next event; `None` when all of it is taken and more is needed.
    /// File data is a slice of the input, never a copy.
    ///
    /// # Errors
    /// [`NarError`] with the offset of the first fault; the parser can't be used afterwards.
    pub fn push<'p, 'i: 'p>(
        &'p mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Event<'p>>, NarError> {
        loop {
            match self.state {
                State::Data { left: 0, size } => {
                    self.state = State::FilePadding { size };
                }
                State::Data { left, size } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let (data, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
                    *input = rest;
                    self.at = self.at.saturating_add(length as u64);
                    self.state = State::Data {
                        left: left.saturating_sub(length as u64),
                        size,
                    };
                    return Ok(Some(Event::FileData(data)));
                }
                State::FilePadding { size } => {
                    if !self.zeros(input, padding(size))? {
                        return Ok(None);
                    }
                    self.state = State::NodeClose;
                    return Ok(Some(Event::FileEnd));
                }
                State::Size { executable } => {
                    let Some(size) = self.number(input) else {
                        return Ok(None);
                    };
                    self.state = State::Data { left: size, size };
                    return Ok(Some(Event::FileStart {
                        executable,
                        size,
                        offset: self.at,
                    }));
                }
                State::Ended => {
                    self.state = State::Done;
                    return Ok(Some(Event::End));
                }
                State::Done => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    return Err(NarError::Trailing { at: self.at });
                }
                _ => {
                    let Some(length) = self.string(input)? else {
                        return Ok(None);
                    };
                    // Which step it is depends on the string; borrowed again below, for the event.
                    match self.step(length)? {
                        Next::Silent => {}
                        Next::Plain(event) => return Ok(Some(event)),
                        Next::Name => {
                            return Ok(Some(Event::EntryStart {
                                name: self.value(length),
                            }));
                        }
                        Next::Target => {
                            return Ok(Some(Event::Symlink {
                                target: self.value(length),
                            }));
                        }
                    }
                }
            }
        }
    }

    /// Passes over what is left of the open file's content, and says how many bytes that is: the next byte to push is the one behind it.
    pub fn skip_content(&mut self) -> u64 {
        let State::Data { left, size } = self.state else {
            return 0;
        };
        self.at = self.at.saturating_add(left);
        self.state = State::Data { left: 0, size };
        left
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`NarError::Truncated`] when the archive is not over.
    pub fn finish(&self) -> Result<(), NarError> {
        match self.state {
            State::Done => Ok(()),
            _ => Err(NarError::Truncated { at: self.at }),
        }
    }

    fn value(&self, length: usize) -> &[u8] {
        self.held
            .get(8..length.saturating_add(8))
            .unwrap_or_default()
    }

    /// Moves bytes into `held` until it has `wanted`.
    fn fill(&mut self, input: &mut &[u8], wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.held.len());
        let (head, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.held.extend_from_slice(head);
        self.at = self.at.saturating_add(head.len() as u64);
        *input = rest;
        self.held.len() >= wanted
    }

    /// Drops what the last event borrowed.
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

    /// Takes a whole string into `held`, with its length before and its padding behind, and gives its length.
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
        // Longer than any string that the grammar has.
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

    /// Where the string in `held` starts.
    fn start(&self) -> u64 {
        self.at.saturating_sub(self.held.len() as u64)
    }

    fn zeros(&mut self, input: &mut &[u8], count: u64) -> Result<bool, NarError> {
        self.release();
        let count = usize::try_from(count).unwrap_or(0);
        if !self.fill(input, count) {
            return Ok(false);
        }
        let sound = self.held.iter().all(|byte| *byte == 0);
        let at = self.start();
        self.held.clear();
        if sound {
            Ok(true)
        } else {
            Err(NarError::Padding { at })
        }
    }

    /// The error for a string that the grammar doesn't have at this place.
    fn unexpected(&self, at: u64) -> NarError {
        let expected = match self.state {
            State::Magic => "\"nix-archive-1\"",
            State::NodeOpen | State::EntryOpen => "\"(\"",
            State::Type => "\"type\"",
            State::Kind => "\"regular\", \"symlink\" or \"directory\"",
            State::Regular => "\"executable\" or \"contents\"",
            State::Empty => "\"\"",
            State::Contents => "\"contents\"",
            State::TargetKey => "\"target\"",
            State::Directory => "\"entry\" or \")\"",
            State::NameKey => "\"name\"",
            State::NodeKey => "\"node\"",
            State::NodeClose | State::EntryClose => "\")\"",
            State::Name => return NarError::Name { at },
            State::Target => return NarError::Target { at },
            State::Size { .. }
            | State::Data { .. }
            | State::FilePadding { .. }
            | State::Ended
            | State::Done => "content",
        };
        NarError::Token { at, expected }
    }

    /// Moves on by the string in `held`.
    fn step(&mut self, length: usize) -> Result<Next, NarError> {
        let at = self.start();
        let (state, next) = match (self.state, self.value(length)) {
            (State::Magic, MAGIC) => (State::NodeOpen, Next::Silent),
            (State::NodeOpen, b"(") => (State::Type, Next::Silent),
            (State::Type, b"type") => (State::Kind, Next::Silent),
            (State::Kind, b"regular") => (State::Regular, Next::Silent),
            (State::Kind, b"symlink") => (State::TargetKey, Next::Silent),
            (State::Kind, b"directory") => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(NarError::Depth { at });
                }
                self.open.push(Vec::new());
                (State::Directory, Next::Plain(Event::DirectoryStart))
            }
            (State::Regular, b"executable") => (State::Empty, Next::Silent),
            (State::Regular, b"contents") => (State::Size { executable: false }, Next::Silent),
            (State::Empty, b"") => (State::Contents, Next::Silent),
            (State::Contents, b"contents") => (State::Size { executable: true }, Next::Silent),
            (State::TargetKey, b"target") => (State::Target, Next::Silent),
            (State::Target, target) if is_target(target) => (State::NodeClose, Next::Target),
            (State::Directory, b"entry") => (State::EntryOpen, Next::Silent),
            (State::Directory, b")") => {
                self.open.pop();
                (self.after_node(), Next::Plain(Event::DirectoryEnd))
            }
            (State::EntryOpen, b"(") => (State::NameKey, Next::Silent),
            (State::NameKey, b"name") => (State::Name, Next::Silent),
            (State::Name, _) => {
                self.name(length, at)?;
                (State::NodeKey, Next::Name)
            }
            (State::NodeKey, b"node") => (State::NodeOpen, Next::Silent),
            (State::NodeClose, b")") if self.open.is_empty() => {
                (State::Done, Next::Plain(Event::End))
            }
            (State::NodeClose, b")") => (State::EntryClose, Next::Silent),
            (State::EntryClose, b")") => (State::Directory, Next::Plain(Event::EntryEnd)),
            _ => return Err(self.unexpected(at)),
        };
        self.state = state;
        Ok(next)
    }

    /// What follows a directory's `)`.
    fn after_node(&self) -> State {
        if self.open.is_empty() {
            State::Ended
        } else {
            State::EntryClose
        }
    }

    /// Checks a name and its order.
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

/// What a string led to.
enum Next {
    Silent,
    Plain(Event<'static>),
    Name,
    Target,
}
