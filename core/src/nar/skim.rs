//! Lists an archive without reading the contents of its files.
//!
//! The lengths of the files are the only way to find the next entry in a NAR. So [`NarSkimmer`] says
//! which byte it needs next. A caller that has the archive in pieces fetches only those with
//! framing and skips the others.
//!
//! ```
//! use interplanar_core::nar::{Encoder, Event, NarSkimmer};
//! let events = [
//!     Event::FileStart { executable: false, size: 8000, offset: 0 },
//!     Event::FileData(&[0; 8000]),
//!     Event::FileEnd,
//!     Event::End,
//! ];
//! let (mut encoder, mut nar) = (Encoder::new(), vec![]);
//! for event in events {
//!     encoder.write(event, &mut nar).unwrap();
//! }
//! let mut skim = NarSkimmer::new();
//! skim.push(&nar[..100]).unwrap();
//! assert_eq!(skim.position(), 8096);
//! skim.push(&nar[8096..]).unwrap();
//! assert!(skim.is_done() && skim.listing().entries().len() == 1);
//! ```

use super::{Event, Listing, NarError, Parser};

/// Lists one archive.
#[derive(Debug, Clone, Default)]
pub struct NarSkimmer {
    parser: Parser,
    listing: Listing,
}

impl NarSkimmer {
    /// Creates a lister that expects the start of an archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the offset of the byte that is needed next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.parser.position()
    }

    /// Returns whether the archive has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.parser.finish().is_ok()
    }

    /// Returns the entries found so far.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Reads bytes that start at [`Self::position`]. Skips the contents of files among them.
    ///
    /// # Errors
    /// [`NarError`], as from [`Parser::push`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        let mut rest = bytes;
        while let Some(event) = self.parser.push(&mut rest)? {
            let has_content = matches!(event, Event::FileStart { .. });
            self.listing.push(event)?;
            if has_content {
                let content = usize::try_from(self.parser.skip_content()).ok();
                match content.and_then(|content| rest.get(content..)) {
                    Some(after) => rest = after,
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }
}
