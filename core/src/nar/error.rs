//! Why bytes are not an archive.

/// An error in an archive. Offsets count bytes from the start of the archive.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarError {
    /// The string is not one that the grammar allows here.
    #[error("byte {at}: expected {expected}")]
    Token {
        /// Offset at which the string starts.
        at: u64,
        /// The strings that the grammar allows.
        expected: &'static str,
    },
    /// The padding is not zero.
    #[error("byte {at}: padding is not zero")]
    Padding {
        /// Offset at which the padding starts.
        at: u64,
    },
    /// A directory entry can't have this name.
    #[error("byte {at}: invalid name of a directory entry")]
    Name {
        /// Offset at which the name starts.
        at: u64,
    },
    /// A name doesn't sort after the one before it.
    #[error("byte {at}: names of directory entries are not strictly increasing")]
    Order {
        /// Offset at which the name starts.
        at: u64,
    },
    /// A symlink can't have this target.
    #[error("byte {at}: invalid target of a symlink")]
    Target {
        /// Offset at which the target starts.
        at: u64,
    },
    /// Directories are nested deeper than [`super::MAX_DEPTH`].
    #[error("byte {at}: directories are nested too deeply (at most 64)")]
    Depth {
        /// Offset at which the directory starts.
        at: u64,
    },
    /// Bytes follow the end of the archive.
    #[error("byte {at}: bytes follow the end of the archive")]
    Trailing {
        /// Offset at which they start.
        at: u64,
    },
    /// The input ends before the archive does.
    #[error("the archive is truncated at byte {at}")]
    Truncated {
        /// Offset at which the input ends.
        at: u64,
    },
    /// The listing would have more entries than [`super::MAX_ENTRIES`].
    #[error("byte {at}: too many entries")]
    TooMany {
        /// Offset at which the entry starts.
        at: u64,
    },
    /// The encoder got an event that the grammar doesn't allow here.
    #[error("byte {at}: the grammar doesn't allow this event here")]
    Misplaced {
        /// Offset at which the event would be written.
        at: u64,
    },
}
