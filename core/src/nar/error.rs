//! Why bytes are no archive.

/// Offsets count bytes from the start of the archive.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarError {
    /// Another string than the grammar has here.
    #[error("byte {at}: expected {expected}")]
    Token {
        /// Where the string starts.
        at: u64,
        /// What the grammar has.
        expected: &'static str,
    },
    /// Padding that is not zero.
    #[error("byte {at}: padding is not zero")]
    Padding {
        /// Where the padding starts.
        at: u64,
    },
    /// A name that no directory entry may have.
    #[error("byte {at}: not a name of a directory entry")]
    Name {
        /// Where the name starts.
        at: u64,
    },
    /// A name that doesn't come after the one before it.
    #[error("byte {at}: names are not strictly increasing")]
    Order {
        /// Where the name starts.
        at: u64,
    },
    /// A target that no symlink may have.
    #[error("byte {at}: not a target of a symlink")]
    Target {
        /// Where the target starts.
        at: u64,
    },
    /// Directories deeper than [`super::MAX_DEPTH`].
    #[error("byte {at}: directories are too deep")]
    Depth {
        /// Where the directory starts.
        at: u64,
    },
    /// Bytes behind the archive.
    #[error("byte {at}: bytes behind the archive")]
    Trailing {
        /// Where they start.
        at: u64,
    },
    /// The archive ends too early.
    #[error("the archive ends at byte {at}, inside of it")]
    Truncated {
        /// Where it ends.
        at: u64,
    },
    /// More entries than [`super::MAX_ENTRIES`].
    #[error("byte {at}: too many entries")]
    TooMany {
        /// Where the entry starts.
        at: u64,
    },
    /// A writer was told to write what the grammar doesn't have here.
    #[error("byte {at}: this can't be written here")]
    Misplaced {
        /// Where it would have stood.
        at: u64,
    },
}
