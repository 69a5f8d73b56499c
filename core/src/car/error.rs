//! Errors of the CAR reader.

/// Why a stream is not a CARv1. Offsets are bytes from the start of the stream.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// A length takes more than nine bytes or is not in its shortest form.
    #[error("byte {offset}: expected a varint of at most 9 bytes in its shortest form")]
    Varint {
        /// Offset of the length.
        offset: u64,
    },
    /// The header is empty or longer than [`MAX_HEADER`](super::MAX_HEADER).
    #[error("byte {offset}: expected a header of 1 to {} bytes", super::MAX_HEADER)]
    HeaderLength {
        /// Offset of the header's length.
        offset: u64,
    },
    /// The header is not the DAG-CBOR of `{roots, version}`.
    #[error("byte {offset}: expected {expected} in the CAR header")]
    Header {
        /// Offset of the error.
        offset: u64,
        /// What the format requires at this offset.
        expected: &'static str,
    },
    /// The header names another version.
    #[error("expected CAR version 1, found version {version}")]
    Version {
        /// The version in the header.
        version: u64,
    },
    /// The header has more than [`MAX_ROOTS`](super::MAX_ROOTS) roots.
    #[error("byte {offset}: expected at most {} roots", super::MAX_ROOTS)]
    TooManyRoots {
        /// Offset of the list of roots.
        offset: u64,
    },
    /// A section is empty. (CARs that are padded with zeros are not supported.)
    #[error("byte {offset}: expected a section, found an empty one")]
    EmptySection {
        /// Offset of the section's length.
        offset: u64,
    },
    /// A section is longer than the largest block with its CID.
    #[error(
        "byte {offset}: expected a block of at most {} bytes",
        crate::cid::MAX_BLOCK
    )]
    BlockTooLarge {
        /// Offset of the section's length.
        offset: u64,
    },
    /// A section doesn't begin with a CID, or is shorter than its CID.
    #[error("byte {offset}: expected a CID")]
    Cid {
        /// Offset at which the CID should start.
        offset: u64,
    },
    /// The stream ended before the header, or inside a header, a section or a length.
    #[error("byte {offset}: the stream ended inside a header or a block")]
    Truncated {
        /// Length of the stream in bytes.
        offset: u64,
    },
    /// Input was pushed after an error.
    #[error("the CAR reader stopped at an earlier error")]
    Poisoned,
}
