//! What can be wrong with a CAR, and where.

/// Why a stream is not a CARv1. Offsets count bytes from the start of the stream.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// A length that is longer than nine bytes or not in its shortest form.
    #[error("byte {offset}: expected a varint of at most 9 bytes in its shortest form")]
    Varint {
        /// Where the length starts.
        offset: u64,
    },
    /// A header of no bytes or of more than [`MAX_HEADER`](super::MAX_HEADER).
    #[error("byte {offset}: expected a header of 1 to {} bytes", super::MAX_HEADER)]
    HeaderLength {
        /// Where the header's length starts.
        offset: u64,
    },
    /// The header is not the DAG-CBOR of `{roots, version}`.
    #[error("byte {offset}: expected {expected} in the CAR header")]
    Header {
        /// Where in the stream.
        offset: u64,
        /// What should stand there.
        expected: &'static str,
    },
    /// A header of another version.
    #[error("expected CAR version 1, found version {version}")]
    Version {
        /// The version in the header.
        version: u64,
    },
    /// More than [`MAX_ROOTS`](super::MAX_ROOTS) roots.
    #[error("byte {offset}: expected at most {} roots", super::MAX_ROOTS)]
    TooManyRoots {
        /// Where the list of roots starts.
        offset: u64,
    },
    /// A section without bytes (CARs padded with zeros are not read).
    #[error("byte {offset}: expected a section, found an empty one")]
    EmptySection {
        /// Where the section's length starts.
        offset: u64,
    },
    /// A section that holds more than the largest block with its CID.
    #[error(
        "byte {offset}: expected a block of at most {} bytes",
        crate::cid::MAX_BLOCK
    )]
    BlockTooLarge {
        /// Where the section's length starts.
        offset: u64,
    },
    /// A section that doesn't begin with a CID, or is shorter than its CID.
    #[error("byte {offset}: expected a CID")]
    Cid {
        /// Where the CID should start.
        offset: u64,
    },
    /// The stream ended inside a header, a section or a length, or before the header.
    #[error("byte {offset}: the stream ends where more was announced")]
    Truncated {
        /// How many bytes there were.
        offset: u64,
    },
    /// More input after an earlier error.
    #[error("the stream was given up after an earlier error")]
    Poisoned,
}
