//! Hashes an archive, and checks in the same pass that it is well-formed.
//!
//! Equal hashes only prove equal bytes: somebody can sign the hash of bytes that are no archive. So
//! whatever this project calls a right NAR has passed through a [`NarHasher`].
//!
//! ```
//! use interplanar_core::hash::Sha256;
//! use interplanar_core::nar::{NarError, NarHasher};
//! let mut nar = NarHasher::new();
//! nar.update(b"no archive");
//! assert_eq!(nar.hash(), Sha256::of(b"no archive"));
//! assert!(matches!(nar.finish(), Err(NarError::Token { at: 0, .. })));
//! ```

use super::{NarError, Parser};
use crate::hash::{Sha256, Sha256Hasher};

/// Hashes and parses one archive. It uses constant memory.
#[derive(Debug, Clone, Default)]
pub struct NarHasher {
    hasher: Sha256Hasher,
    size: u64,
    parser: Parser,
    error: Option<NarError>,
}

impl NarHasher {
    /// Creates a hasher that expects the start of an archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes. It hashes all of them, also those after an error of the grammar.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        while self.error.is_none() {
            match self.parser.push(&mut rest) {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Number of bytes added.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the hash of the bytes so far.
    #[must_use]
    pub fn hash(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// Returns the state of the hash function, which is much smaller than the whole hasher.
    #[must_use]
    pub fn hash_state(&self) -> &Sha256Hasher {
        &self.hasher
    }

    /// Returns the first error of the grammar in the bytes so far.
    #[must_use]
    pub fn error(&self) -> Option<&NarError> {
        self.error.as_ref()
    }

    /// Checks that the bytes are one whole archive. Call this after the last byte.
    ///
    /// # Errors
    /// [`NarError`] with the offset of the first error.
    pub fn finish(&self) -> Result<(), NarError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => self.parser.finish(),
        }
    }
}
