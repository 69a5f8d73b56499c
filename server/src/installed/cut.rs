//! Cuts an installed item as publishers cut.

use super::pieces::Piece;
use super::{Candidate, IndexError};
use interplanar_core::dedup::{Cut, Cutter, Parameters, References};
use interplanar_core::hash::Sha256;
use interplanar_core::store_path::HASH_PART;
use std::io::{self, Write};

/// The pieces of an item. `go_on` is asked every 256 KiB or so, and may take its time.
pub(super) fn cut(
    candidate: &Candidate,
    parameters: &Parameters,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<Piece>, IndexError> {
    let item = &candidate.item;
    let names = item
        .references
        .iter()
        .filter_map(|name| name.get(..HASH_PART));
    let references = References::new(names.chain([item.store_path.hash_part()]));
    let mut cutting = Cutting {
        cutter: Cutter::new(*parameters, references.unwrap_or_default()),
        pieces: Vec::new(),
        size: 0,
        go_on,
        why: None,
    };
    let dumped = candidate.store.dump(item, &mut cutting);
    if let Some(why) = cutting.why {
        return Err(why);
    }
    dumped?;
    cutting.cutter.finish()?;
    if cutting.size != item.nar_size {
        return Err(IndexError::Altered);
    }
    Ok(cutting.pieces)
}

struct Cutting<'g> {
    cutter: Cutter,
    pieces: Vec<Piece>,
    size: u64,
    go_on: &'g mut dyn FnMut() -> bool,
    /// Why it was given up, which the dump can't tell.
    why: Option<IndexError>,
}

impl Cutting<'_> {
    fn push(&mut self, mut input: &[u8]) -> Result<(), IndexError> {
        if !(self.go_on)() {
            return Err(IndexError::Stopped);
        }
        while let Some(cut) = self.cutter.push(&mut input)? {
            let Cut::Piece(piece) = cut else { continue };
            let length = u32::try_from(piece.data.len()).map_err(io::Error::other)?;
            self.size += u64::from(length);
            self.pieces.push(Piece {
                plain: Sha256::of(&piece.data),
                offset: piece.offset,
                length,
            });
        }
        Ok(())
    }
}

impl Write for Cutting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(why) => {
                self.why = Some(why);
                Err(io::Error::other("given up"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
