//! Reads pieces of an installed item, roughly in the order of its NAR.
//!
//! A NAR is not a file, so the bytes before a piece are read (mostly from the page cache) and
//! dropped. A piece further back restarts the NAR. After [`MAX_ROUNDS`] readings of the whole item,
//! reading fails.

use super::{Candidate, PieceLocation};
use crate::task;
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Readings of the whole item at most.
const MAX_ROUNDS: u64 = 4;
/// Chunks of some 256 KiB that are read ahead.
const QUEUE: usize = 4;

/// Reads pieces of one item. See the module.
#[derive(Debug)]
pub struct ItemReader {
    candidate: Candidate,
    stream: Option<Receiver<Bytes>>,
    /// Bytes that were received and not used yet.
    rest: Bytes,
    /// Offset of `rest` in the NAR.
    at: u64,
    /// Bytes read so far.
    read: u64,
}

impl ItemReader {
    /// Creates a reader. Reading starts with the first piece.
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

    /// Returns the bytes of a piece, not verified. `None` if the item doesn't have them, or was
    /// read too often. Blocking.
    pub fn piece(&mut self, location: PieceLocation) -> Option<Vec<u8>> {
        if self.stream.is_none() || location.offset < self.at {
            self.begin()?;
        }
        self.skip(location.offset)?;
        let length = usize::try_from(location.length).ok()?;
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
        let path = candidate.item.store_path.clone();
        let work = ("reading an installed item", path);
        let dump = move || {
            // The receiver notices a NAR that ends too early.
            let dumped = candidate
                .store
                .dump(&candidate.item, &mut ChunkSender(sender));
            if let Err(error) = dumped {
                tracing::debug!(?candidate, %error, "reading an installed item ended early");
            }
        };
        task::thread(work, dump).ok()?;
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

/// Sends a NAR to the reader, until the reader is dropped.
struct ChunkSender(SyncSender<Bytes>);

impl Write for ChunkSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.send(Bytes::copy_from_slice(bytes));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
