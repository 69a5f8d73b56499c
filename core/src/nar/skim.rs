//! Reading what is in an archive without its files' contents.
//!
//! Nothing in a NAR says where the next entry is but the lengths of the files before it; so this says which byte it wants next, and who has
//! the archive in pieces fetches those that hold framing and passes over the others.
//!
//! ```
//! use interplanar_core::nar::{Encoder, Event, Skim};
//! let (mut encoder, mut nar) = (Encoder::new(), vec![]);
//! for event in [Event::FileStart { executable: false, size: 8000, offset: 0 }, Event::FileData(&[0; 8000]), Event::FileEnd, Event::End] {
//!     encoder.write(event, &mut nar).unwrap();
//! }
//! let mut skim = Skim::new();
//! skim.push(&nar[..100]).unwrap();
//! assert_eq!(skim.position(), 8096);
//! skim.push(&nar[8096..]).unwrap();
//! assert!(skim.is_done() && skim.listing().entries().len() == 1);
//! ```

use super::{Event, Listing, NarError, Parser};

/// Lists one archive.
#[derive(Debug, Clone, Default)]
pub struct Skim {
    parser: Parser,
    listing: Listing,
}

impl Skim {
    /// Starts before the archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offset of the byte that is wanted next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.parser.position()
    }

    /// Whether the archive is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.parser.finish().is_ok()
    }

    /// What was found until now.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Takes bytes that start at [`Self::position`]; contents among them are passed over.
    ///
    /// # Errors
    /// [`NarError`] as [`Parser::push`] has it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        let mut rest = bytes;
        while let Some(event) = self.parser.push(&mut rest)? {
            let has_content = matches!(event, Event::FileStart { .. });
            self.listing.push(event)?;
            if has_content {
                let content = usize::try_from(self.parser.skip_content()).ok();
                match content.and_then(|content| rest.get(content..)) {
                    Some(behind) => rest = behind,
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }
}
