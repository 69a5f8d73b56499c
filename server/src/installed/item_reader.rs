//! Pieces of an installed item, read in about the order of its NAR.
//!
//! A NAR isn't a file, so what stands before a piece is read (out of the page cache, mostly) and thrown away. A piece further back begins anew; so
//! often that it would cost more than [`MAX_ROUNDS`] readings of all, it is refused.

use super::{Candidate, Spot};
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Readings of the whole item at most.
const MAX_ROUNDS: u64 = 4;
/// Pieces of some 256 KiB that are read ahead.
const QUEUE: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Reader {
    candidate: Candidate,
    stream: Option<Receiver<Bytes>>,
    /// What came and wasn't used.
    rest: Bytes,
    /// Where `rest` starts in the NAR.
    at: u64,
    /// Bytes read so far.
    read: u64,
}

impl Reader {
    /// A reader that hasn't begun.
    #[must_use]
    pub fn new(candidate: Candidate) -> Self {
        Self {
            candidate,
            stream: None,
            rest: Bytes::new(),
            at: 0,
            read: 0,
        }
    }

    /// The bytes of a piece, not verified; `None` where the item hasn't got them, or has been read too often. Blocks.
    pub fn piece(&mut self, spot: Spot) -> Option<Vec<u8>> {
        if self.stream.is_none() || spot.offset < self.at {
            self.begin()?;
        }
        self.skip(spot.offset)?;
        let length = usize::try_from(spot.length).ok()?;
        let mut piece = Vec::with_capacity(length);
        while piece.len() < length {
            if self.rest.is_empty() {
                self.next()?;
            }
            let taken = self
                .rest
                .split_to(self.rest.len().min(length - piece.len()));
            self.at += taken.len() as u64;
            piece.extend_from_slice(&taken);
        }
        Some(piece)
    }

    fn begin(&mut self) -> Option<()> {
        let most = self.candidate.item.nar_size.saturating_mul(MAX_ROUNDS);
        if self.read > most {
            return None;
        }
        let (sender, receiver) = sync_channel(QUEUE);
        let candidate = self.candidate.clone();
        let dump = move || {
            // Whoever reads sees that it ends too early.
            let dumped = candidate.store.dump(&candidate.item, &mut Pipe(sender));
            if let Err(error) = dumped {
                tracing::debug!(?candidate, %error, "an installed item was read in part");
            }
        };
        let thread = std::thread::Builder::new().name("installed".to_owned());
        thread.spawn(dump).ok()?;
        self.stream = Some(receiver);
        self.rest = Bytes::new();
        self.at = 0;
        Some(())
    }

    fn next(&mut self) -> Option<()> {
        self.rest = self.stream.as_ref()?.recv().ok()?;
        self.read += self.rest.len() as u64;
        Some(())
    }

    fn skip(&mut self, offset: u64) -> Option<()> {
        while self.at < offset {
            if self.rest.is_empty() {
                self.next()?;
            }
            let left = usize::try_from(offset - self.at).unwrap_or(usize::MAX);
            let skipped = self.rest.split_to(self.rest.len().min(left));
            self.at += skipped.len() as u64;
        }
        Some(())
    }
}

/// Hands a NAR over; ends with its reader.
struct Pipe(SyncSender<Bytes>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.send(Bytes::copy_from_slice(bytes));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
