//! Bodies of responses: empty, in memory, or produced step by step.

use std::ops::Range;

use bytes::Bytes;
use interplanar_core::cid::Cid;

use crate::car::CarBody;
use crate::directory::Listing;
use crate::file::FileBody;
use crate::stop::Stop;

/// The body of a response.
#[derive(Debug, Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Bytes in memory.
    Whole(Bytes),
    /// A file, or a range of one.
    File(FileBody),
    /// A CAR.
    Car(Box<CarBody>),
    /// A page that lists a directory.
    Listing(Listing),
}

impl Body {
    /// Returns the next bytes, never empty, or `None` at the end. After [`Stop::Pending`], repeat
    /// the call; after [`Stop::Refused`], the body has ended without being complete.
    // Not an iterator, because a step can fail and be repeated.
    #[expect(clippy::should_implement_trait, reason = "a pending step is repeated")]
    pub fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        match self {
            Self::Empty => None,
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Self::File(file) => file.next(),
            Self::Car(car) => car.next(),
            Self::Listing(listing) => listing.next(),
        }
    }

    /// Returns the number of bytes, if it is known. It is the `Content-Length`.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::File(file) => Some(file.length()),
            Self::Car(_) | Self::Listing(_) => None,
        }
    }

    /// Returns the UnixFS file and the range that this body is. The caller may have a faster way to
    /// read it than block by block.
    #[must_use]
    pub fn file(&self) -> Option<(Cid, Range<u64>)> {
        match self {
            Self::File(file) => Some(file.file_range()),
            _ => None,
        }
    }

    /// Returns the path and query of a CAR with all blocks that this body still needs, for a
    /// request to another gateway.
    #[must_use]
    pub fn as_car(&self) -> Option<String> {
        match self {
            Self::Empty | Self::Whole(_) => None,
            Self::File(file) => {
                let (cid, range) = file.file_range();
                let last = range.end.checked_sub(1)?;
                Some(format!(
                    "/ipfs/{cid}?format=car&dag-scope=entity&entity-bytes={}:{last}",
                    range.start
                ))
            }
            Self::Car(car) => Some(car.as_car()),
            Self::Listing(listing) => Some(format!(
                "/ipfs/{}?format=car&dag-scope=entity",
                listing.root()
            )),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Whole(text.into())
    }
}
