//! Cuts an installed item into pieces, with the same rules as publishers.

use super::piece_list::IndexedPiece;
use super::{Candidate, IndexError};
use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::HASH_PART;
use std::io::{self, Write};

/// Returns the pieces of an item. Calls `keep_going` about every 256 KiB; it may block, and `false`
/// stops the cutting.
pub(super) fn cut(
    candidate: &Candidate,
    parameters: &Parameters,
    keep_going: &mut dyn FnMut() -> bool,
) -> Result<Vec<IndexedPiece>, IndexError> {
    let item = &candidate.item;
    let names = item
        .references
        .iter()
        .filter_map(|name| name.get(..HASH_PART));
    let references = References::new(names.chain([item.store_path.hash_part()]));
    let mut writer = CuttingWriter {
        cutter: Cutter::new(*parameters, references.unwrap_or_default()),
        pieces: Vec::new(),
        size: 0,
        keep_going,
        error: None,
    };
    let dumped = candidate.store.dump(item, &mut writer);
    if let Some(error) = writer.error {
        return Err(error);
    }
    dumped?;
    writer.cutter.finish()?;
    if writer.size != item.nar_size {
        return Err(IndexError::Altered);
    }
    Ok(writer.pieces)
}

struct CuttingWriter<'g> {
    cutter: Cutter,
    pieces: Vec<IndexedPiece>,
    size: u64,
    keep_going: &'g mut dyn FnMut() -> bool,
    /// Why cutting stopped; `dump` returns only an I/O error.
    error: Option<IndexError>,
}

impl CuttingWriter<'_> {
    fn push(&mut self, mut input: &[u8]) -> Result<(), IndexError> {
        if !(self.keep_going)() {
            return Err(IndexError::Stopped);
        }
        while let Some(cut) = self.cutter.push(&mut input)? {
            let Cut::Piece(piece) = cut else { continue };
            let length = u32::try_from(piece.data.len()).map_err(io::Error::other)?;
            self.size += u64::from(length);
            self.pieces.push(IndexedPiece {
                plain: Sha256::of(&piece.data),
                offset: piece.offset,
                length,
            });
        }
        Ok(())
    }
}

impl Write for CuttingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.error = Some(error);
                Err(io::Error::other("cutting was stopped"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
