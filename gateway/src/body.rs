//! Bodies: nothing, bytes at hand, or a stream that is stepped.

use std::ops::Range;

use bytes::Bytes;
use interplanar_core::cid::Cid;

use crate::car::CarBody;
use crate::directory::Listing;
use crate::file::FileBody;
use crate::stop::Stop;

/// The body of an answer.
#[derive(Debug, Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Bytes at hand.
    Whole(Bytes),
    /// A file, or a range of one.
    File(FileBody),
    /// A CAR.
    Car(Box<CarBody>),
    /// A page that lists a directory.
    Listing(Listing),
}

impl Body {
    /// The next piece, never an empty one; `None` at the end. After [`Stop::Pending`] the same call is to be made again; after
    /// [`Stop::Refused`] there is nothing more.
    // Not an iterator: a step can fail and be made again.
    #[expect(
        clippy::should_implement_trait,
        reason = "a step that is pending is repeated"
    )]
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

    /// How many bytes come, where that is known: the `Content-Length`.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::File(file) => Some(file.length()),
            Self::Car(_) | Self::Listing(_) => None,
        }
    }

    /// The UnixFS file, and the bytes of it, that the body is; for a front end that has a better way to them than block by block.
    #[must_use]
    pub fn file(&self) -> Option<(Cid, Range<u64>)> {
        match self {
            Self::File(file) => Some(file.what()),
            _ => None,
        }
    }

    /// The path and query by which another gateway gives all blocks that are still needed, as one CAR.
    #[must_use]
    pub fn as_car(&self) -> Option<String> {
        match self {
            Self::Empty | Self::Whole(_) => None,
            Self::File(file) => {
                let (cid, range) = file.what();
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
